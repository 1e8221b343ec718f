"""Contract section 1 through gateway and FDK: what is kept, and what is refused."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from local.emulators.oci.secret_store import SecretStore, put_secret
from tests.end_to_end.bundle import PATIENCE, TOKEN, Bundle


def new_name() -> str:
    return f"erp-{uuid.uuid4().hex[:12]}"


def test_an_enveloped_record_is_kept(bundle: Bundle) -> None:
    response = bundle.call("POST", "/store", bundle.record(streamKey="key1"))
    assert response.status_code == 202
    answer = response.json()
    assert answer.keys() == {"id", "status", "createdDate"}
    assert answer["status"] == "not_processed"
    state = bundle.state(answer["id"])
    assert (state["status"], state["createdDate"]) == ("not_processed", answer["createdDate"])
    assert state["streamKey"] == "key1"


def test_a_flat_record_is_the_same_record(bundle: Bundle) -> None:
    enveloped = bundle.record(streamKey="key1")
    bundle.store(enveloped)
    bundle.store(enveloped["streamMessage"] | {"streamKey": "key1"})
    first, second = ({**one, "id": "", "createdDate": ""} for one in bundle.documents())
    for one in (first, second):
        del one["datasync"], one["_id"]
    assert first == second


def test_an_array_is_kept_in_its_order(bundle: Bundle) -> None:
    answer = bundle.store([bundle.record(number=number) for number in range(3)])
    ids = [one["id"] for one in answer["records"]]
    assert ids == sorted(ids)
    assert [one["number"] for one in sorted(bundle.documents(), key=lambda one: one["id"])] == [0, 1, 2]


def test_an_array_with_one_bad_record_stores_nothing(bundle: Bundle) -> None:
    bad = bundle.record(targetRestApiOperation="GET")
    response = bundle.call("POST", "/store", [bundle.record(), bad, bundle.record()])
    assert response.status_code == 422
    assert [one["pointer"] for one in response.json()["errors"]] == [
        "/1/streamMessage/targetRestApiOperation"
    ]
    assert bundle.documents() == []


def test_members_that_mean_nothing_to_the_system_are_kept(bundle: Bundle) -> None:
    identity = bundle.stored(note={"deep": [1, {"a": None}]}, ünïcode="✓")
    state = bundle.state(identity)
    assert (state["note"], state["ünïcode"]) == ({"deep": [1, {"a": None}]}, "✓")


def test_what_bodies_made_for_oracles_sample_have_beside_is_accepted_and_overwritten(bundle: Bundle) -> None:
    body = bundle.record(
        status="not_processed", createdDate="2021-01-01", streamKey=None, vaultSecretName=None
    )
    state = bundle.state(bundle.store(body)["id"])
    assert state["status"] == "not_processed"
    assert state["createdDate"] > "2021-01-01T00"
    assert not {"streamKey", "vaultSecretName"} & state.keys()


def test_a_reference_is_kept_and_shown(bundle: Bundle) -> None:
    assert bundle.state(bundle.stored(reference="Bestellung 4711 ✓"))["reference"] == "Bestellung 4711 ✓"


def test_the_state_shows_neither_token_nor_payload_nor_headers(bundle: Bundle) -> None:
    identity = bundle.stored(
        token=TOKEN,
        vaultSecretName=new_name(),
        targetRestApiPayload={"private": "payload-words"},
        targetRestApiHeaders={"X-Private": "header-words"},
    )
    text = bundle.call("GET", f"/store/{identity}").text
    for hidden in (TOKEN, "payload-words", "header-words", "datasync"):
        assert hidden not in text


@pytest.mark.parametrize(
    "identity", ["nobody", "01a20b76-df29-7055-b3ec-dc7ab6212dc5", "%00", "a%2Fb", "%25"]
)
def test_an_unknown_record_is_404(bundle: Bundle, identity: str) -> None:
    response = bundle.call("GET", f"/store/{identity}")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


# Every rule on members broken once: what is changed in a valid enveloped record, and where the fault stands.
BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"vaultSecretName": "a/b"}, "/streamMessage/vaultSecretName"),
    ({"vaultSecretName": ""}, "/streamMessage/vaultSecretName"),
    ({"vaultSecretName": "x" * 201}, "/streamMessage/vaultSecretName"),
    ({"vaultSecretName": 7}, "/streamMessage/vaultSecretName"),
    ({"vaultSecretName": "named-without-token"}, "/streamMessage/vaultSecretName"),
    ({"targetRestApi": None}, "/streamMessage/targetRestApi"),
    ({"targetRestApi": ""}, "/streamMessage/targetRestApi"),
    ({"targetRestApi": "/relative"}, "/streamMessage/targetRestApi"),
    ({"targetRestApi": "ftp://127.0.0.1/x"}, "/streamMessage/targetRestApi"),
    ({"targetRestApi": "https://user:pw@erp.example.com/"}, "/streamMessage/targetRestApi"),
    ({"targetRestApi": "https://erp.example.com/#x"}, "/streamMessage/targetRestApi"),
    ({"targetRestApi": "https://not-allowed.example.com/"}, "/streamMessage/targetRestApi"),
    ({"targetRestApi": "http://169.254.169.254/opc/v2/"}, "/streamMessage/targetRestApi"),
    ({"targetRestApiOperation": "GET"}, "/streamMessage/targetRestApiOperation"),
    ({"targetRestApiOperation": "post"}, "/streamMessage/targetRestApiOperation"),
    ({"targetRestApiOperation": ["POST"]}, "/streamMessage/targetRestApiOperation"),
    ({"targetRestApiHeaders": "X-A: b"}, "/streamMessage/targetRestApiHeaders"),
    ({"targetRestApiHeaders": {"X-A": 1}}, "/streamMessage/targetRestApiHeaders"),
    ({"targetRestApiHeaders": [{"key": "X-A"}]}, "/streamMessage/targetRestApiHeaders"),
    ({"targetRestApiHeaders": {"X A": "b"}}, "/streamMessage/targetRestApiHeaders/X A"),
    ({"targetRestApiHeaders": {"X-A": "b\r\nX-B: c"}}, "/streamMessage/targetRestApiHeaders/X-A"),
    *(
        ({"targetRestApiHeaders": [{"key": name, "value": "x"}]}, "/streamMessage/targetRestApiHeaders/0")
        for name in (
            *("Host", "content-length", "AUTHORIZATION", "Cookie", "Idempotency-Key", "Fn-Intent"),
            *("Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade"),
            *("Proxy-Authorization", "Proxy-Authenticate"),
        )
    ),
    *(
        ({name: "x"}, f"/streamMessage/{name}")
        for name in (
            *("id", "_id", "caller", "status_code", "failure_reason", "error_stream"),
            *("retry_attempts", "lastAttemptDate", "nextAttemptDate", "dead", "datasync"),
        )
    ),
]


@pytest.mark.parametrize(("members", "pointer"), BROKEN)
def test_a_broken_rule_is_named_with_its_place(bundle: Bundle, members: dict[str, Any], pointer: str) -> None:
    body = bundle.record()
    body["streamMessage"] |= members
    assert_refused(bundle, body, pointer)


@pytest.mark.parametrize("member", ["targetRestApi", "targetRestApiOperation", "targetRestApiPayload"])
def test_a_required_member_that_is_missing_is_named(bundle: Bundle, member: str) -> None:
    body = bundle.record()
    del body["streamMessage"][member]
    assert_refused(bundle, body, f"/streamMessage/{member}")
    assert_refused(bundle, body["streamMessage"], f"/{member}")


@pytest.mark.parametrize("key", [7, "x" * 257, ["a"]])
def test_a_stream_key_is_a_string_of_at_most_256_characters(bundle: Bundle, key: Any) -> None:
    assert_refused(bundle, bundle.record() | {"streamKey": key}, "/streamKey")


@pytest.mark.parametrize("body", ["a string", 7, None, True, [], ["a"]])
def test_what_is_no_record_is_refused(bundle: Bundle, body: Any) -> None:
    response = bundle.call("POST", "/store", data=json.dumps(body).encode(), Content_Type="application/json")
    assert response.status_code == 422
    assert bundle.documents() == []


def test_all_broken_rules_are_named_at_once(bundle: Bundle) -> None:
    body = {"streamKey": 1, "targetRestApi": "nope", "targetRestApiOperation": "GET", "dead": True}
    response = bundle.call("POST", "/store", body)
    assert response.status_code == 422
    pointers = {one["pointer"] for one in response.json()["errors"]}
    assert pointers == {"/streamKey", "/targetRestApi", "/targetRestApiOperation", "/dead"}


def assert_refused(bundle: Bundle, body: Any, pointer: str) -> None:
    response = bundle.call("POST", "/store", body)
    assert response.status_code == 422, response.text
    problem = response.json()
    assert (problem["status"], response.headers["Content-Type"]) == (422, "application/problem+json")
    assert [one["pointer"] for one in problem["errors"]] == [pointer]
    assert all(one["detail"] for one in problem["errors"])
    assert bundle.documents() == []


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{not json", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"a": 1, "a": 2}', "application/json", 400),
        (b'{"a": "\\ud800"}', "application/json", 400),
        (b'"\xff"', "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"", "application/x-www-form-urlencoded", 415),
        (b"<a/>", "application/xml", 415),
        (b'{"a": "' + b"x" * (1024 * 1024) + b'"}', "application/json", 413),
        (b"x" * (7 * 1024 * 1024), "application/json", 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_can_not_be_read_is_told_why(bundle: Bundle, data: bytes, kind: str, status: int) -> None:
    response = bundle.call("POST", "/store", data=data, Content_Type=kind)
    assert response.status_code == status
    assert response.json()["status"] == status
    assert bundle.documents() == []


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/store"), ("POST", "/store/x"), ("POST", "/process/failures")]
)
def test_another_method_is_405_and_told_which_are_allowed(bundle: Bundle, method: str, path: str) -> None:
    response = bundle.call(method, path)
    assert response.status_code == 405
    assert response.headers["Allow"] in ("GET, POST", "DELETE, GET, PATCH", "GET")


def test_a_token_without_a_name_is_refused(bundle: Bundle) -> None:
    response = bundle.call("POST", "/store", bundle.record(), Authorization=TOKEN)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/streamMessage/vaultSecretName"
    assert bundle.documents() == []


def test_whoever_holds_the_token_may_use_its_name_and_nobody_else(bundle: Bundle) -> None:
    name = new_name()
    bundle.store(bundle.record(vaultSecretName=name), TOKEN)
    bundle.store(bundle.record(vaultSecretName=name), TOKEN)
    for other in ("Bearer another", TOKEN + "x", TOKEN[:-1], TOKEN.lower()):
        response = bundle.call("POST", "/store", bundle.record(vaultSecretName=name), Authorization=other)
        assert response.status_code == 409
        assert "new name" in response.json()["detail"]
        assert TOKEN not in response.text
    assert len(bundle.documents()) == 2


def test_a_name_in_vault_that_the_system_did_not_prefix_can_not_be_reached(bundle: Bundle) -> None:
    """`datasync-` stands before every name: another secret of the vault is another name's business."""
    put_secret(bundle.home, "database-password", "Bearer hunter2")
    bundle.store(bundle.record("/echo/200", vaultSecretName="database-password"), "Bearer mine")
    bundle.process()
    assert [one["header"]["authorization"] for one in bundle.received()] == ["Bearer mine"]


def test_eight_first_uses_at_once_make_one_secret_and_eight_records(bundle: Bundle) -> None:
    record = bundle.record(vaultSecretName=new_name())
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(bundle.call, "POST", "/store", record, Authorization=TOKEN) for _ in range(8)]
    assert [call.result().status_code for call in calls] == [202] * 8
    assert bundle.oci_calls()["vault.create_secret"] >= 1
    kept = [one.name for one in SecretStore(bundle.home).all()]
    assert kept.count(f"datasync-{record['streamMessage']['vaultSecretName']}") == 1
    assert len(bundle.documents()) == 8


def test_eight_first_uses_at_once_with_different_tokens_have_one_winner(bundle: Bundle) -> None:
    record = bundle.record("/echo/200", vaultSecretName=new_name())
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(bundle.call, "POST", "/store", record, Authorization=f"Bearer {number}")
            for number in range(8)
        ]
    statuses = [call.result().status_code for call in calls]
    assert sorted(statuses) == [202] + [409] * 7
    assert len(bundle.documents()) == 1
    bundle.process()
    assert bundle.received()[0]["header"]["authorization"] == f"Bearer {statuses.index(202)}"


def schedule_deletion(bundle: Bundle, name: str) -> None:
    """Do as an operator who deletes a secret: it is gone in a week, and unreadable from now on."""
    store = SecretStore(bundle.home)
    secret = next(one for one in store.all() if one.name == f"datasync-{name}")
    later = datetime.now(UTC) + timedelta(days=7)
    store.change(secret.id, lambda one: replace(one, time_of_deletion=later))


def test_a_name_whose_secret_is_scheduled_for_deletion_is_told_apart(bundle: Bundle) -> None:
    name = new_name()
    put_secret(bundle.home, f"datasync-{name}", TOKEN)
    schedule_deletion(bundle, name)
    response = bundle.call("POST", "/store", bundle.record(vaultSecretName=name), Authorization=TOKEN)
    assert response.status_code == 409
    assert "scheduled for deletion" in response.json()["detail"]
    assert bundle.documents() == []


def test_a_record_whose_secret_is_gone_fails_with_a_reason_and_can_be_retried(bundle: Bundle) -> None:
    name = new_name()
    kept = bundle.stored(token=TOKEN, vaultSecretName=name)
    schedule_deletion(bundle, name)
    bundle.process()
    state = bundle.state(kept)
    assert (state["status"], state["status_code"]) == ("failed", "unexpectedError")
    assert state["failure_reason"] == f"the vault has no readable secret for vaultSecretName {name!r}"
    assert (state["error_stream"], "dead" in state) == ("recoverable", False)
    assert bundle.received() == []


def test_numbers_are_kept_exactly(bundle: Bundle) -> None:
    data = json.dumps(bundle.record()).replace(
        '{"orderid": "18jan"}', '{"a": 12.50, "b": 12345678901234567890123456789012345678, "c": 1e-100}'
    )
    response = bundle.call("POST", "/store", data=data.encode(), Content_Type="application/json")
    assert response.status_code == 202
    bundle.process()
    assert bundle.received()[0]["body"] in (
        b'{"a":12.50,"b":12345678901234567890123456789012345678,"c":1E-100}',
        b'{"a":12.5,"b":12345678901234567890123456789012345678,"c":1E-100}',
    )


def test_the_same_key_and_body_store_once(bundle: Bundle) -> None:
    body, key = bundle.record(), uuid.uuid4().hex
    first = bundle.call("POST", "/store", body, Idempotency_Key=key)
    again = bundle.call("POST", "/store", body, Idempotency_Key=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert [one["id"] for one in bundle.documents()] == [first.json()["id"]]


def test_a_key_is_known_after_its_record_was_delivered(bundle: Bundle) -> None:
    body, key = bundle.record(), uuid.uuid4().hex
    first = bundle.call("POST", "/store", body, Idempotency_Key=key)
    bundle.process()
    again = bundle.call("POST", "/store", body, Idempotency_Key=key)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert again.json()["status"] == "success"
    assert len(bundle.documents()) == 1


def test_a_key_with_another_body_is_a_conflict(bundle: Bundle) -> None:
    key = uuid.uuid4().hex
    bundle.call("POST", "/store", bundle.record(), Idempotency_Key=key)
    response = bundle.call("POST", "/store", bundle.record(number=2), Idempotency_Key=key)
    assert response.status_code == 409
    assert "Use a new key" in response.json()["detail"]
    assert len(bundle.documents()) == 1


def test_a_key_covers_an_array_as_a_whole(bundle: Bundle) -> None:
    records, key = [bundle.record(number=number) for number in range(3)], uuid.uuid4().hex
    first = bundle.call("POST", "/store", records, Idempotency_Key=key)
    again = bundle.call("POST", "/store", records, Idempotency_Key=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    for other in (records[:2], records[0], [*records, bundle.record()]):
        assert bundle.call("POST", "/store", other, Idempotency_Key=key).status_code == 409
    assert len(bundle.documents()) == 3


@pytest.mark.parametrize("key", ["", "k" * 256, "na\u00efve"])
def test_a_key_that_is_none_is_refused(bundle: Bundle, key: str) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": key.encode()}
    body = json.dumps(bundle.record())
    response = requests.post(f"{bundle.url}/store", body, headers=headers, timeout=PATIENCE)
    assert response.status_code == 422
    assert "Idempotency-Key" in response.json()["errors"][0]["detail"]
    assert bundle.documents() == []


def test_eight_callers_that_race_on_one_key_store_one_record(bundle: Bundle) -> None:
    body = bundle.record()
    for _ in range(5):
        key = uuid.uuid4().hex
        before = len(bundle.documents())
        with ThreadPoolExecutor(8) as pool:
            racing = [pool.submit(bundle.call, "POST", "/store", body, Idempotency_Key=key) for _ in range(8)]
        answers = [one.result() for one in racing]
        assert sorted(one.status_code for one in answers) == [200] * 7 + [202]
        assert len({one.json()["id"] for one in answers}) == 1
        assert len(bundle.documents()) == before + 1
