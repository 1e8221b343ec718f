"""What a call to /process or /process/retry asks for, read from its body and held against real records."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.delivery.requests import DeliveryRequest, process_request, retry_request
from shared.drivers.database import Database
from shared.model import record, transitions
from shared.model.errors import Invalid, NotJson
from shared.model.ids import id_at, timestamp
from shared.model.record import Document
from shared.model.transitions import Failure
from shared.settings import Settings
from shared.storage.records import Records

NOW = datetime.now(UTC)
SETTINGS = Settings(
    "sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment", messages_per_call=50, retry_limit=8
)
NAMES = (
    "ancient",
    "waiting",
    "done",
    "ripe",
    "resting",
    "team",
    "tired",
    "spent",
    "refused",
    "nowhere",
    "keyed",
)
ANCIENT = datetime(2020, 2, 29, 12, tzinfo=UTC)
DUE_AGAIN = {"ancient", "ripe", "team", "tired", "nowhere", "keyed"}
ALL_FAILED = DUE_AGAIN | {"resting", "spent", "refused"}

Reader = Callable[..., DeliveryRequest]


def stored(**members: str) -> Document:
    return record.new({"targetRestApi": "https://erp.example.com/orders", **members})


def failed(
    document: Document,
    code: int | str,
    *,
    stream: str = "recoverable",
    attempts: int = 1,
    minutes: int = -1,
    dead: bool = False,
) -> Document:
    """A record after so many attempts: due again so many minutes from now, or dead."""
    due = None if dead else NOW + timedelta(minutes=minutes)
    for _ in range(attempts):
        document = transitions.failed(document, Failure(code, "why", stream, due), NOW)
    return document


@pytest.fixture(scope="module")
def kept() -> dict[str, Document]:
    """One record of each kind, by name, in the order in which they were stored."""
    own = {"team": {"targetRestApi": "https://crm.example.com/leads"}, "keyed": {"streamKey": "key1"}}
    new = {name: stored(**own.get(name, {})) for name in NAMES}
    return {
        "ancient": failed(new["ancient"] | {"id": id_at(ANCIENT), "createdDate": timestamp(ANCIENT)}, 503),
        "waiting": new["waiting"],
        "done": transitions.succeeded(new["done"], 200, NOW),
        "ripe": failed(new["ripe"], 503),
        "resting": failed(new["resting"], 503, minutes=600),
        "team": failed(new["team"], 500, stream="team-a"),
        "tired": failed(new["tired"], 503, attempts=5),
        "spent": failed(new["spent"], 503, stream="unrecoverable", attempts=8, dead=True),
        "refused": failed(new["refused"], 404, stream="unrecoverable", dead=True),
        "nowhere": failed(new["nowhere"], "unexpectedError"),
        "keyed": failed(new["keyed"], 429),
    }


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, kept: dict[str, Document]) -> Records:
    path = tmp_path_factory.mktemp("orders") / "records.db"
    records = Records(Database(f"sqlite:{path}", "", str), "datasync_records")
    records.insert(list(kept.values()))
    return records


@pytest.fixture
def selected(records: Records, kept: dict[str, Document]) -> Callable[[DeliveryRequest], list[str]]:
    """The names of the records that an order selects, in its order."""
    names = {document["id"]: name for name, document in kept.items()}

    def select(order: DeliveryRequest) -> list[str]:
        return [names[stored.document["id"]] for stored in records.page(order.query, 100)]

    return select


def process(body: object = None, *, direct: bool = False) -> DeliveryRequest:
    return at_once(process_request(written(body), SETTINGS, 12.5, direct=direct))


def retry(body: object = None) -> DeliveryRequest:
    return at_once(retry_request(written(body), SETTINGS, 12.5))


def at_once(request: DeliveryRequest) -> DeliveryRequest:
    return replace(request, query=request.query.at(datetime.now(UTC)))


def written(body: object) -> bytes:
    return body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()


def pointers(reader: Reader, body: object, **options: Any) -> list[str]:
    """Where the faults of a body stand."""
    with pytest.raises(Invalid) as caught:
        reader(body, **options)
    assert all(fault.detail for fault in caught.value.faults)
    return [fault.pointer for fault in caught.value.faults]


@pytest.mark.parametrize("reader", [process, retry])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b'{"noOfMessagesToProcess": null}'])
def test_a_body_that_asks_for_nothing_gets_the_operators_defaults(reader: Reader, body: bytes) -> None:
    order = reader(body)
    assert (order.limit, order.deadline, order.dry_run) == (50, 12.5, False)
    assert (order.policy.codes, order.policy.limit) == (SETTINGS.retry_codes, 8)


@pytest.mark.parametrize("reader", [process, retry])
@pytest.mark.parametrize("number", [1, 100, 10_000, "100", 100.0])
def test_a_call_may_ask_for_a_number_of_records_up_to_the_highest(reader: Reader, number: int | str) -> None:
    assert reader({"noOfMessagesToProcess": number}).limit == int(number)


@pytest.mark.parametrize("reader", [process, retry])
@pytest.mark.parametrize(
    "number",
    [0, -1, 10_001, 10**30, 10**40, 1.5, 1e100, True, False, "", "0", "-1", "1.5", "many", "٣", [], [1], {}],
)
def test_what_is_no_number_of_records_is_refused(reader: Reader, number: object) -> None:
    assert pointers(reader, {"noOfMessagesToProcess": number}) == ["/noOfMessagesToProcess"]


@pytest.mark.parametrize("reader", [process, retry])
@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"text"', b"[{}]"])
def test_a_body_is_an_object(reader: Reader, body: bytes) -> None:
    assert pointers(reader, body) == [""]


@pytest.mark.parametrize("reader", [process, retry])
@pytest.mark.parametrize("body", [b"{", b"noOfMessagesToProcess=100", b"\xff", b'{"a": 1, "a": 2}'])
def test_a_body_is_json(reader: Reader, body: bytes) -> None:
    with pytest.raises(NotJson):
        reader(body)


@pytest.mark.parametrize(
    "body", [None, b"{", b"\xff", b"[]", b"null", b"text", {"type": "OK_TO_FIRING", "alarm": {"a": [1]}}]
)
def test_invoked_directly_the_body_may_be_anything(body: object) -> None:
    assert process(body, direct=True).limit == 50


def test_invoked_directly_a_number_of_records_still_counts() -> None:
    assert process({"noOfMessagesToProcess": 7, "type": "x"}, direct=True).limit == 7
    assert pointers(process, {"noOfMessagesToProcess": 0}, direct=True) == ["/noOfMessagesToProcess"]


def test_only_another_invocation_can_say_that_it_started_this_one() -> None:
    body = {"noOfMessagesToProcess": 7, "fannedOut": True}
    assert process(body, direct=True).fanned_out
    assert not process(body).fanned_out
    assert not process({"noOfMessagesToProcess": 7}, direct=True).fanned_out
    assert pointers(process, body | {"fannedOut": "yes"}, direct=True) == ["/fannedOut"]


def test_process_takes_what_waits_and_what_is_due_again_the_longest_due_first(
    selected: Callable[[DeliveryRequest], list[str]], kept: dict[str, Document]
) -> None:
    taken = selected(process())
    assert set(taken) == {"waiting", *DUE_AGAIN}
    assert taken == sorted(taken, key=lambda name: str(kept[name]["datasync"]["due"]))


def test_records_that_are_named_are_taken_whatever_their_codes_and_dead_ones_too(
    selected: Callable[[DeliveryRequest], list[str]], kept: dict[str, Document]
) -> None:
    def ids(*names: str) -> list[str]:
        return [str(kept[name]["id"]) for name in names]

    named = ids("refused", "ripe", "resting", "spent", "waiting")
    assert set(selected(retry({"ids": named}))) == {"refused", "ripe"}
    assert set(selected(retry({"ids": named, "force": True}))) == {"refused", "ripe", "resting", "spent"}
    assert set(selected(retry({"ids": named, "retryCodes": "404"}))) == {"refused"}
    first, second = sorted(ids("refused", "ripe"))
    behind = selected(retry({"ids": [first, second], "readAfterOffset": first}))
    assert [kept[name]["id"] for name in behind] == [second]
    assert selected(retry({"ids": [first], "readAfterOffset": second})) == []
    assert selected(retry({"ids": ["nobody"]})) == []
    assert retry({"ids": named}).is_walk


@pytest.mark.parametrize("ids", [[], "a", [1], [""], ["ä"], ["a" * 65], ["a"] * 101, {}])
def test_what_are_no_ids_is_refused(ids: object) -> None:
    assert pointers(retry, {"ids": ids}) == ["/ids"]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, DUE_AGAIN),
        ({"readAfterOffset": "-1"}, DUE_AGAIN),
        ({"readAfterOffset": -1}, DUE_AGAIN),
        # codes: those named, dead ones among them, while under the limit
        ({"retryCodes": ["503"]}, {"ancient", "ripe", "tired"}),
        ({"retryCodes": [503, "unexpectedError"]}, {"ancient", "ripe", "tired", "nowhere"}),
        ({"retryCodes": "500, 429"}, {"team", "keyed"}),
        ({"retryCodes": ["404"]}, {"refused"}),
        ({"retryCodes": [404], "retryLimit": 1}, set()),
        ({"retryCodes": ["418"]}, set()),
        ({"retryCodes": "503", "retryLimit": 9}, {"ancient", "ripe", "tired", "spent"}),
        # the limit: records with this many attempts are left alone
        ({"retryLimit": 5}, DUE_AGAIN - {"tired"}),
        ({"retryLimit": "6"}, DUE_AGAIN),
        ({"retryLimit": 1}, set()),
        # the other filters
        ({"streamOCIDToRetry": "team-a"}, {"team"}),
        ({"streamOCIDToRetry": "recoverable"}, DUE_AGAIN - {"team"}),
        ({"streamOCIDToRetry": "team"}, set()),
        ({"streamOCIDToRetry": "unrecoverable"}, set()),
        ({"streamOCIDToRetry": "unrecoverable", "retryCodes": "404"}, {"refused"}),
        ({"targetRestApi": "https://crm.example.com/"}, {"team"}),
        ({"targetRestApi": "https://erp.example.com/ord"}, DUE_AGAIN - {"team"}),
        ({"targetRestApi": "HTTPS://CRM.example.com:443/leads"}, {"team"}),
        ({"targetRestApi": "erp.example.com"}, set()),
        ({"targetRestApi": "https://%"}, set()),
        ({"streamKey": "key1"}, {"keyed"}),
        ({"streamKey": "key"}, set()),
        ({"from": "2021-01-01T00:00:00Z"}, DUE_AGAIN - {"ancient"}),
        ({"to": "2021-01-01T00:00:00Z"}, {"ancient"}),
        ({"from": "2020-02-29T12:00:00Z", "to": "2020-02-29T12:00:01Z"}, {"ancient"}),
        ({"from": "2020-02-29T13:00:00+01:00", "to": "2020-02-29T13:00:00.5+01:00"}, {"ancient"}),
        ({"from": "2020-02-29T12:00:00.000001Z", "to": "2021-01-01T00:00:00Z"}, set()),
        ({"from": "0999-01-01T00:00:00Z"}, DUE_AGAIN),
        ({"streamKey": "key1", "streamOCIDToRetry": "team-a"}, set()),
        # force: whatever backoff, limit and the setting's codes say; codes that it names hold
        ({"force": True}, ALL_FAILED),
        ({"force": True, "retryCodes": "404", "retryLimit": 1}, {"refused"}),
        ({"force": True, "streamOCIDToRetry": "unrecoverable"}, {"spent", "refused"}),
        ({"force": False}, DUE_AGAIN),
        (
            {"force": None, "retryCodes": None, "from": None, "dryRun": None, "readAfterOffset": None},
            DUE_AGAIN,
        ),
    ],
)
def test_retry_selects_failed_records_in_the_order_they_were_stored(
    selected: Callable[[DeliveryRequest], list[str]], body: dict[str, Any], names: set[str]
) -> None:
    assert selected(retry(body)) == [name for name in NAMES if name in names]


def test_the_offset_of_an_answer_leads_on_behind_that_record(
    selected: Callable[[DeliveryRequest], list[str]], kept: dict[str, Document]
) -> None:
    taken = selected(retry())
    for index, name in enumerate(taken):
        assert selected(retry({"readAfterOffset": kept[name]["id"]})) == taken[index + 1 :]
    after_waiting = retry({"readAfterOffset": kept["waiting"]["id"], "force": True})
    assert selected(after_waiting) == [name for name in NAMES[2:] if name in ALL_FAILED]


def test_a_dry_run_selects_the_same_and_says_so(selected: Callable[[DeliveryRequest], list[str]]) -> None:
    assert retry({"dryRun": True}).dry_run
    assert not retry({"dryRun": False}).dry_run
    assert selected(retry({"dryRun": True, "retryCodes": "404"})) == ["refused"]


def test_a_call_may_file_its_failures_in_its_own_way() -> None:
    mapping = [
        {"responsecode": "503", "stream": "ocid1.stream.a"},
        {"responsecode": 404, "stream": "team-b"},
        {"responsecode": "unexpectedError", "stream": "rest"},
    ]
    streams = [retry({"errormapping": mapping}).policy.error_stream(code) for code in (503, 404, 500)]
    assert streams == ["ocid1.stream.a", "team-b", "rest"]


def test_without_a_mapping_the_operators_holds() -> None:
    settings = Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.x", error_mapping={"404": "team-a"})
    for order in (retry_request(b"{}", settings, 1.0), process_request(b"{}", settings, 1.0)):
        assert [order.policy.error_stream(code) for code in (404, 503)] == ["team-a", "recoverable"]
    assert retry_request(b'{"errormapping": []}', settings, 1.0).policy.error_stream(404) == "unrecoverable"


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("readAfterOffset", [0, -2, True, -1.5, [], {}, "é", "x" * 65]),
        (
            "retryCodes",
            [503, True, {}, [None], [True], ["5xx"], [[503]], [503.5], "503;504", "503,", "1600", ""],
        ),
        ("retryLimit", [0, -1, 1.5, True, "", "many", [], {}, "9" * 200]),
        ("errormapping", ["503", {}, [[]], [7], [{}], [{"responsecode": "503"}], [{"stream": "a"}]]),
        ("errormapping", [[{"responsecode": "5xx", "stream": "a"}], [{"responsecode": "503", "stream": ""}]]),
        ("streamOCIDToRetry", [7, True, [], {}, "", ["recoverable"]]),
        ("targetRestApi", [7, True, [], {}, ""]),
        ("streamKey", [7, True, [], {}]),
        ("force", [1, 0, "true", "", [], {}]),
        ("dryRun", [1, 0, "true", "", [], {}]),
        (
            "from",
            [7, True, [], {}, "", "yesterday", "2026-11-23", "2026-11-23T21:00:00", "2026-13-01T00:00:00Z"],
        ),
        ("to", [7, "", "21:00:00Z", "2026-11-23T21:00:00", "2026-02-30T00:00:00Z", "2026-11-23T25:00:00Z"]),
        ("from", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"]),  # no date in UTC
    ],
)
def test_a_member_of_a_replay_that_can_not_be_read_is_named(member: str, values: list[object]) -> None:
    for value in values:
        assert pointers(retry, {member: value}) == [f"/{member}"], value


@pytest.mark.parametrize(
    ("member", "pointer"),
    [("retryCode", "/retryCode"), ("Force", "/Force"), ("", "/"), ("a/b~c", "/a~1b~0c")],
)
def test_a_mistyped_member_of_a_replay_is_refused_lest_it_replays_too_much(member: str, pointer: str) -> None:
    assert pointers(retry, {member: 1}) == [pointer]


def test_everything_that_is_wrong_with_a_replay_is_named_at_once() -> None:
    broken = {
        "noOfMessagesToProcess": 0,
        "readAfterOffset": 0,
        "retryCodes": "5xx",
        "retryLimit": 0,
        "errormapping": "x",
        "streamOCIDToRetry": 7,
        "from": "yesterday",
        "to": "tomorrow",
        "targetRestApi": 7,
        "streamKey": 7,
        "force": "yes",
        "dryRun": "yes",
        "unknown": None,
    }
    assert sorted(pointers(retry, broken)) == sorted(f"/{member}" for member in broken)
