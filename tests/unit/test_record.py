"""A record's identity, its states as they are written, its place among others, and what is shown of it."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from shared.model import ids, record, transitions
from shared.model.record import Document
from shared.model.transitions import Failure

MOMENT = datetime(2026, 11, 23, 21, 0, 0, 123456, UTC)
DATE = "2026-11-23T21:00:00.123456Z"
LATER = MOMENT + timedelta(minutes=5)
LATER_DATE = "2026-11-23T21:05:00.123456Z"

MEMBERS: dict[str, Any] = {
    "streamKey": "key1",
    "vaultSecretName": "erp-token-7",
    "targetRestApi": "https://ERP.example.com/latest/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"orderid": "18jan"},
    "targetRestApiHeaders": [{"key": "X-Name", "value": "value"}],
    "note": "unknown members are kept",
}
AGAIN = Failure(503, "the target answered 503", "recoverable", LATER)
FILED = {
    "at": "erp.example.com:443",
    "key": record.name_digest("key1"),
    "lately": DATE,
}  # beside code and id, of every failure
DEAD = Failure(404, "the target answered 404", "unrecoverable", None)


def stored(**changes: Any) -> Document:
    """A new record, as it is read back: with its size."""
    document = record.new(MEMBERS | changes)
    document["datasync"]["size"] = 321
    return document


def machinery(document: Document) -> dict[str, Any]:
    members: dict[str, Any] = document["datasync"]
    return members


def state(document: Document) -> dict[str, Any]:
    """What a document has beside the caller's members, its identity, its machinery and its attempts."""
    others = {*MEMBERS, "id", "createdDate", "datasync", "attempts"}
    return {name: value for name, value in document.items() if name not in others}


def test_an_id_is_a_uuid_of_version_7_that_holds_the_time_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    moment = datetime.now(UTC)
    identity = ids.new_id(moment)
    after = time.time_ns() // 1_000_000
    parsed = uuid.UUID(identity)
    milliseconds = parsed.int >> 80
    assert str(parsed) == identity
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before <= milliseconds <= after + 1
    assert milliseconds - int((moment - datetime.fromtimestamp(0, UTC)) / timedelta(milliseconds=1)) in (0, 1)


def test_ids_and_dates_sort_as_they_were_made() -> None:
    made = [ids.new_id(datetime.now(UTC)) for _ in range(5000)]
    assert made == sorted(made)


def test_an_id_is_greater_than_one_that_a_clock_ahead_has_made() -> None:
    ahead = ids.new_id(MOMENT + timedelta(hours=1))
    assert ids.new_id(MOMENT) > ahead  # of one process, each is greater than all before
    theirs = "7" + ahead[1:]
    mine = [ids.new_id(MOMENT, after=theirs)]
    for _ in range(5000):
        mine.append(ids.new_id(MOMENT, after=mine[-1]))
    assert mine == sorted(set(mine))
    assert mine[0] > theirs
    assert ids.new_id(MOMENT) < theirs  # and nobody else's is


@pytest.mark.parametrize("step", [0, -1000])
def test_ids_sort_as_they_were_made_where_the_clock_stands_still_or_goes_back(
    step: int,
) -> None:
    now = datetime.now(UTC)
    made = [ids.new_id(now + number * timedelta(microseconds=step)) for number in range(3000)]
    assert made == sorted(set(made))


def test_ids_are_unique_and_in_order_under_threads() -> None:
    def make(_: int) -> list[str]:
        return [ids.new_id(datetime.now(UTC)) for _ in range(2000)]

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(8)))
    assert all(ids == sorted(ids) for ids in made)
    assert len({identity for ids in made for identity in ids}) == 8 * 2000


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (MOMENT, DATE),
        (datetime(2026, 11, 23, 21, 0, tzinfo=UTC), "2026-11-23T21:00:00.000000Z"),
        (MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))), DATE),
        (datetime(999, 1, 2, tzinfo=UTC), "0999-01-02T00:00:00.000000Z"),  # or it would sort after 2026
    ],
)
def test_a_time_is_written_in_utc_with_microseconds(moment: datetime, text: str) -> None:
    assert ids.timestamp(moment) == text


def test_a_new_record_holds_what_the_caller_sent_and_waits() -> None:
    document = stored()
    assert document.items() >= MEMBERS.items()
    assert state(document) == {"status": "not_processed"}
    assert document["id"] == str(uuid.UUID(document["id"]))
    assert datetime.fromisoformat(document["createdDate"]).tzinfo is not None
    assert len(document["createdDate"]) == len(DATE)


def test_a_new_record_is_due_at_once_in_its_partition_and_lane() -> None:
    document = stored()
    assert machinery(document) == {
        "attempts": 0,
        "size": 321,
        "due": f"{document['createdDate']} {document['id']}",
        "partition": record.partition(document),
        "lane": record.key_digest(document),
        "keyed": record.key_digest(document),
        "secret": "erp-token-7",
        "target": "erp.example.com:443",
    }


@pytest.mark.parametrize(
    "payload", [{"orderid": "18jan"}, '"size":0', {"size": 0, "datasync": {"size": 0}}, "x" * 5000, "ü" * 500]
)
def test_a_new_record_is_encoded_with_its_size_in_it(payload: object) -> None:
    document = record.new(
        MEMBERS | {"targetRestApiPayload": payload}, idempotency={"ingest": "a", "digest": "b"}
    )
    content = record.encoded(document)
    read = json.loads(content)
    assert abs(machinery(read)["size"] - len(content)) < 5  # the digits of the size itself
    machinery(read)["size"] = 0
    assert read == document


def test_a_record_that_has_a_size_keeps_it() -> None:
    document = transitions.succeeded(stored(note={"size": 0}), 200, MOMENT)
    assert json.loads(record.encoded(document)) == document


def test_what_a_caller_sent_is_not_changed() -> None:
    members = deepcopy(MEMBERS)
    record.new(members)
    assert members == MEMBERS


def test_a_success_is_written_with_its_code_and_stands_in_no_index() -> None:
    document = transitions.succeeded(stored(), 201, MOMENT)
    assert document.items() >= MEMBERS.items()
    assert state(document) == {
        "status": "success",
        "status_code": 201,
        "lastAttemptDate": DATE,
        "retry_attempts": 0,
    }
    assert machinery(document) == {"attempts": 1, "size": 321}


def test_a_failure_worth_another_try_is_due_again_and_holds_back_its_key() -> None:
    before = stored()
    document = transitions.failed(before, AGAIN, MOMENT)
    assert document.items() >= MEMBERS.items()
    assert state(document) == {
        "status": "failed",
        "status_code": 503,
        "failure_reason": "the target answered 503",
        "error_stream": "recoverable",
        "lastAttemptDate": DATE,
        "nextAttemptDate": LATER_DATE,
        "retry_attempts": 0,
    }
    assert machinery(document) == {
        "attempts": 1,
        "size": 321,
        "due": f"{LATER_DATE} {document['id']}",
        "partition": record.partition(before),
        "lane": record.key_digest(before),
        "keyed": record.key_digest(before),
        "secret": "erp-token-7",
        "target": "erp.example.com:443",
        "failed": document["id"],
        **FILED,
        "code": "503",
        "replay": document["id"],
        "blocks": record.key_digest(before),
    }


@pytest.mark.parametrize("key", [None, ""])
def test_a_record_without_a_key_waits_in_no_lane_and_holds_nothing_back(key: str | None) -> None:
    members = {name: value for name, value in MEMBERS.items() if name != "streamKey"}
    before = record.new(members | ({} if key is None else {"streamKey": key}))
    for document in (
        before,
        transitions.failed(before, AGAIN, MOMENT),
        transitions.interrupted(before, "recoverable", 8, MOMENT),
    ):
        assert machinery(document)["lane"] == "-"
        assert not {"keyed", "blocks"} & machinery(document).keys()


def test_a_dead_record_is_counted_among_the_failures_and_is_neither_due_nor_in_the_way() -> None:
    document = transitions.failed(stored(), DEAD, MOMENT)
    assert state(document) == {
        "status": "failed",
        "status_code": 404,
        "failure_reason": "the target answered 404",
        "error_stream": "unrecoverable",
        "lastAttemptDate": DATE,
        "retry_attempts": 0,
        "dead": True,
    }
    assert machinery(document) == {
        "attempts": 1,
        "size": 321,
        "failed": document["id"],
        **FILED,
        "code": "404",
        **FILED,
    }


def test_a_failure_without_an_http_answer_has_a_word_for_a_code() -> None:
    document = transitions.failed(stored(), Failure("unexpectedError", "why", "recoverable", LATER), MOMENT)
    assert document["status_code"] == "unexpectedError"
    assert machinery(document)["code"] == "unexpectedError"


def test_an_attempt_that_nobody_saw_the_end_of_counts_and_leaves_the_record_in_its_place() -> None:
    before = stored()
    document = transitions.interrupted(before, "recoverable", 8, MOMENT)
    assert document.items() >= MEMBERS.items()
    assert "process ended" in document["failure_reason"]
    assert state(document) | {"failure_reason": ""} == {
        "status": "failed",
        "status_code": "unexpectedError",
        "failure_reason": "",
        "error_stream": "recoverable",
        "lastAttemptDate": DATE,
        "nextAttemptDate": before["createdDate"],
        "retry_attempts": 0,
    }
    assert machinery(document) == machinery(before) | {
        "attempts": 1,
        "interrupted": 1,
        "failed": document["id"],
        **FILED,
        "code": "unexpectedError",
        "replay": document["id"],
        "blocks": record.key_digest(before),
    }


def test_a_record_that_was_to_be_tried_later_stays_due_at_that_time_when_it_is_interrupted() -> None:
    before = transitions.failed(stored(), AGAIN, MOMENT)
    document = transitions.interrupted(before, "recoverable", 8, LATER)
    assert machinery(document)["due"] == machinery(before)["due"]
    assert document["nextAttemptDate"] == LATER_DATE


def test_a_record_that_keeps_killing_its_worker_ends_up_dead() -> None:
    document = stored()
    for number in (1, 2):
        document = transitions.interrupted(document, "recoverable", 8, MOMENT)
        assert record.interruptions(document) == number
        assert record.is_unfinished(document)
    document = transitions.interrupted(document, "recoverable", 8, MOMENT)
    assert document["dead"] is True
    assert "nextAttemptDate" not in document
    assert machinery(document).keys() == {
        "attempts",
        "size",
        "interrupted",
        "failed",
        "code",
        "at",
        "key",
        "lately",
    }
    assert record.attempts(document) == 3


def test_an_interrupted_record_without_attempts_left_is_dead() -> None:
    assert "dead" not in transitions.interrupted(stored(), "recoverable", 2, MOMENT)
    assert (
        transitions.interrupted(transitions.failed(stored(), AGAIN, MOMENT), "recoverable", 2, MOMENT)["dead"]
        is True
    )


@pytest.mark.parametrize("failure", [AGAIN, DEAD, None])
def test_only_interruptions_in_a_row_count(failure: Failure | None) -> None:
    document = transitions.interrupted(stored(), "recoverable", 8, MOMENT)
    document = (
        transitions.succeeded(document, 200, MOMENT)
        if failure is None
        else transitions.failed(document, failure, MOMENT)
    )
    assert record.interruptions(document) == 0
    assert record.attempts(document) == 2


@pytest.mark.parametrize(
    ("document", "unfinished"),
    [
        (stored(), True),
        (transitions.failed(stored(), AGAIN, MOMENT), True),
        (transitions.failed(stored(), DEAD, MOMENT), False),
        (transitions.succeeded(stored(), 200, MOMENT), False),
    ],
)
def test_a_record_is_unfinished_until_it_succeeded_or_is_dead(document: Document, unfinished: bool) -> None:
    assert record.is_unfinished(document) == unfinished


def test_attempts_and_those_after_the_first_are_counted() -> None:
    document = stored()
    assert record.attempts(document) == 0
    for number in range(1, 4):
        document = transitions.failed(document, AGAIN, MOMENT)
        assert record.attempts(document) == number
        assert document["retry_attempts"] == number - 1
    document = transitions.succeeded(document, 200, MOMENT)
    assert (record.attempts(document), document["retry_attempts"]) == (4, 3)


@pytest.mark.parametrize("failure", [AGAIN, DEAD])
def test_a_success_leaves_nothing_of_earlier_failures(failure: Failure) -> None:
    before = transitions.failed(stored(), failure, MOMENT)
    document = transitions.succeeded(before, 200, LATER)
    assert state(document) == {
        "status": "success",
        "status_code": 200,
        "lastAttemptDate": LATER_DATE,
        "retry_attempts": 1,
    }
    assert machinery(document) == {"attempts": 2, "size": 321}
    assert document["id"] == before["id"]
    assert document["createdDate"] == before["createdDate"]


def test_a_dead_record_that_fails_again_may_come_back_to_life_and_the_other_way_round() -> None:
    revived = transitions.failed(transitions.failed(stored(), DEAD, MOMENT), AGAIN, LATER)
    assert "dead" not in revived
    assert machinery(revived)["replay"] == revived["id"]
    dead = transitions.failed(revived, DEAD, LATER)
    assert "nextAttemptDate" not in dead
    assert machinery(dead).keys() == {"attempts", "size", "failed", "code", "at", "key", "lately"}


def test_a_reason_has_at_most_2000_characters() -> None:
    failure = Failure(503, "x" * 2001, "recoverable", None)
    assert transitions.failed(stored(), failure, MOMENT)["failure_reason"] == "x" * 2000


@pytest.mark.parametrize(
    "outcome",
    [
        lambda document: transitions.succeeded(document, 200, LATER),
        lambda document: transitions.failed(document, AGAIN, LATER),
        lambda document: transitions.failed(document, DEAD, LATER),
        lambda document: transitions.interrupted(document, "recoverable", 8, LATER),
    ],
)
def test_the_document_as_it_stood_is_not_changed_by_its_outcome(
    outcome: Callable[[Document], Document],
) -> None:
    before = transitions.failed(stored(), AGAIN, MOMENT)
    kept = deepcopy(before)
    assert outcome(before) != kept
    assert before == kept


@pytest.mark.parametrize(
    ("key", "partition", "lane"),
    [("key1", 22, "8174099687a26621"), ("ключ", 50, "1de36a32af798da0"), (" ", 49, "36a9e7f1c95b82ff")],
)
def test_a_keys_partition_and_lane_are_the_same_for_ever(key: str, partition: int, lane: str) -> None:
    for document in (stored(streamKey=key), {"id": "x", "streamKey": key}):
        assert record.partition(document) == partition
        assert record.key_digest(document) == lane


def test_a_key_is_its_callers_own() -> None:
    callers = ("", "mobile", "mobile2", "m")
    documents = [{"id": "x", "streamKey": "key1", "caller": caller} for caller in callers]
    assert len({record.key_digest(document) for document in documents}) == len(callers)
    assert len({record.partition(document) for document in documents}) > 1
    # What would be the same text without anything between caller and key.
    one, other = {"streamKey": "b", "caller": "a"}, {"streamKey": "ab"}
    assert record.key_digest(one) != record.key_digest(other)


def test_an_idempotency_key_is_its_callers_own_and_an_anonymous_callers_is_as_it_always_was() -> None:
    keys = {record.IdempotencyKey.of(caller, "order-4711", b"{}").digest for caller in ("", "a", "b")}
    assert len(keys) == 3
    assert hashlib.sha256(b"order-4711").hexdigest() in keys


def test_a_record_tells_who_stored_it_and_what_proved_the_right_to_its_token() -> None:
    proof = record.Proof("ocid1.vaultsecret.oc1..a", 3)
    document = record.new(MEMBERS, "mobile", proof=proof)
    assert (document["caller"], record.caller(document), record.proof(document)) == (
        "mobile",
        "mobile",
        proof,
    )
    assert machinery(document)["lane"] == record.key_digest(MEMBERS | {"caller": "mobile"})
    for after in (
        transitions.failed(document, AGAIN, MOMENT),
        transitions.failed(document, DEAD, MOMENT),
        transitions.interrupted(document, "recoverable", 8, MOMENT),
    ):
        assert (record.caller(after), record.proof(after)) == ("mobile", proof)
    assert proof.secret not in str(record.public_view(document))


def test_an_anonymous_callers_record_has_no_caller_and_one_without_a_token_no_proof() -> None:
    assert "caller" not in stored()
    assert record.caller(stored()) == ""
    assert record.proof(stored()) is None


@pytest.mark.parametrize("key", [{}, {"streamKey": ""}])
def test_a_record_without_a_key_is_in_no_lane_and_in_the_partition_of_its_id(key: dict[str, str]) -> None:
    document = {"id": "019ac2b8-0000-7000-8000-000000000000", **key}
    assert record.key_digest(document) == "-"
    assert record.partition(document) == 28
    assert record.partition({**document, "id": "019ac2b8-0000-7000-8000-000000000001"}) == 51


def test_records_spread_over_all_partitions() -> None:
    by_key = {record.partition({"id": "x", "streamKey": f"key{number}"}) for number in range(2000)}
    by_id = {record.partition({"id": ids.new_id(datetime.now(UTC))}) for _ in range(2000)}
    assert by_key == by_id == set(range(64))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://ERP.example.com/a", "erp.example.com:443"),
        ("https://erp.example.com:8443/a?b", "erp.example.com:8443"),
        ("http://erp.example.com", "erp.example.com:80"),
    ],
)
def test_a_target_is_a_host_and_a_port_whatever_the_path(url: str, target: str) -> None:
    assert record.target({"targetRestApi": url}) == target


@pytest.mark.parametrize(
    "document",
    [
        stored(),
        transitions.succeeded(stored(), 200, MOMENT),
        transitions.failed(stored(), AGAIN, MOMENT),
        transitions.failed(stored(), DEAD, MOMENT) | {"_id": "01"},
    ],
)
def test_what_is_shown_is_the_state_without_payload_headers_and_machinery(document: Document) -> None:
    hidden = {"targetRestApiPayload", "targetRestApiHeaders", "datasync", "_id"}
    assert record.public_view(document) == {
        name: value for name, value in document.items() if name not in hidden
    }
    assert {"id", "createdDate", "status", "streamKey", "targetRestApi"} <= record.public_view(
        document
    ).keys()
    assert not record.public_view(document).keys() & hidden


def test_a_record_keeps_its_last_ten_attempts() -> None:
    document = stored()
    for number in range(12):
        failure = Failure(500 + number, "x" * 1000, "recoverable", LATER)
        document = transitions.failed(document, failure, MOMENT, seconds=0.0214)
    document = transitions.interrupted(document, "recoverable", 100, MOMENT)
    document = transitions.succeeded(document, 200, LATER, seconds=1.5)
    attempts = record.public_view(document)["attempts"]
    assert [attempt["code"] for attempt in attempts] == [*range(504, 512), "unexpectedError", 200]
    assert attempts[0] == {
        "time": DATE,
        "code": 504,
        "sent": "yes",
        "durationMs": 21,
        "reason": "x" * 300,
    }
    assert "durationMs" not in attempts[-2]
    assert attempts[-1] == {"time": LATER_DATE, "code": 200, "sent": "yes", "durationMs": 1500}
    assert record.attempts(document) == 14


def test_what_a_target_said_stands_with_the_attempt_and_counts_as_size() -> None:
    said = Failure(500, "the target answered 500", "recoverable", LATER, said="no such order")
    document = transitions.failed(transitions.failed(stored(), said, MOMENT), AGAIN, MOMENT)
    first, second = document["attempts"]
    assert first["answer"] == "no such order"
    assert "answer" not in second
    assert record.size(document) == record.size(stored()) + len("no such order")
    assert record.without_answers(document)["attempts"] == [
        {name: one[name] for name in one if name != "answer"} for one in (first, second)
    ]
    untried = stored()
    assert record.without_answers(untried) == untried


def test_what_was_not_sent_is_a_try_and_no_attempt() -> None:
    document = stored()
    for times in (1, 2):
        failure = Failure("unexpectedError", "refused", "recoverable", LATER, "no")
        document = transitions.failed(document, failure, MOMENT)
        assert (record.attempts(document), record.tries(document)) == (0, times)
        assert document["retry_attempts"] == 0
        assert document["attempts"][-1]["sent"] == "no"
    document = transitions.failed(document, Failure(503, "why", "recoverable", LATER), MOMENT)
    assert (record.attempts(document), record.tries(document)) == (1, 3)


def test_a_record_behind_another_is_not_due_before_it_whatever_its_clock_says() -> None:
    behind = datetime(2026, 11, 23, 21, tzinfo=UTC)
    earlier = record.new(MEMBERS, moment=behind + timedelta(milliseconds=3, microseconds=141))
    later = record.identified_after(record.new(MEMBERS, moment=behind), earlier["id"])
    last = record.identified_after(record.new(MEMBERS, moment=behind), later["id"])
    due = [machinery(one)["due"] for one in (earlier, later, last)]
    assert due == sorted(due)
