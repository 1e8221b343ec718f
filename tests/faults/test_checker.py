"""The checker finds every promise that is broken, and nothing where all were kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.model import record, transitions
from shared.model.record import Document
from shared.model.transitions import Failure
from tests.faults.checker import Evidence, Received, check, violations

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LIMIT = 3


def made(**members: Any) -> Document:
    usual = {"targetRestApi": "https://erp.example.com/orders", "targetRestApiOperation": "DELETE"}
    return record.new({**usual, **members})


def failed(document: Document, code: int | str, sent: Any = "yes", *, dead: bool = False) -> Document:
    following = None if dead else NOW + timedelta(minutes=1)
    return transitions.failed(document, Failure(code, "a reason", "a stream", following, sent), NOW)


def succeeded(document: Document) -> Document:
    return transitions.succeeded(document, 200, NOW)


def interrupted(document: Document) -> Document:
    return transitions.interrupted(document, "a stream", LIMIT, NOW)


def seen(document: Document, *statuses: int | None, at: float = 1.0) -> list[Received]:
    """Requests one after the other, each of half a second."""
    return [
        Received(document["id"], at + number, at + number + 0.5, status)
        for number, status in enumerate(statuses)
    ]


def evidence(
    *records: Document, received: list[Received], handled: tuple[int, int], **others: Any
) -> Evidence:
    """Evidence whose counts are those of its records; `handled` is what the answers say."""
    dead = sum(bool(one.get("dead")) for one in records)
    by_status = {
        status: sum(one["status"] == status for one in records)
        for status in ("not_processed", "success", "failed", "filtered", "cancelled")
    }
    tries = sum(record.tries(one) for one in records)
    delivered = by_status["success"]
    report = {
        "counts": {**by_status, "dead": dead},
        "lastDay": [{"delivered": delivered, "failed": tries - delivered, "dead": dead}],
    }
    answers = [{"processedmessages": handled[0], "failedMessages": handled[1]}]
    ids = [one["id"] for one in records]
    return Evidence(ids, records, received, answers, report, LIMIT, **others)


A, B = made(streamKey="k"), made(streamKey="k")

KEPT = {
    "nothing was attempted": evidence(A, received=[], handled=(0, 0)),
    "delivered in order": evidence(
        succeeded(A),
        succeeded(B),
        received=seen(A, 200) + seen(B, 200, at=2.0),
        handled=(2, 0),
    ),
    "delivered after an answer that asks for another attempt": evidence(
        succeeded(failed(A, 503)), received=seen(A, 503, 200), handled=(1, 1)
    ),
    "delivered after no answer": evidence(
        succeeded(failed(A, "unexpectedError", "unknown")), received=seen(A, None, 200), handled=(1, 1)
    ),
    "delivered after it could not be sent": evidence(
        succeeded(failed(A, "unexpectedError", "no")), received=seen(A, 200), handled=(1, 1)
    ),
    "waits after it could not be sent": evidence(
        failed(A, "unexpectedError", "no"), received=[], handled=(0, 1)
    ),
    "dead for its code, and the next of its key delivered": evidence(
        failed(A, 404, dead=True), succeeded(B), received=seen(A, 404) + seen(B, 200, at=2.0), handled=(1, 1)
    ),
    "dead after its last attempt": evidence(
        failed(failed(failed(A, 500), 500), 500, dead=True), received=seen(A, 500, 500, 500), handled=(0, 3)
    ),
    "accepted twice since a process died": evidence(
        succeeded(interrupted(A)), received=seen(A, 200, 200), handled=(1, 0)
    ),
    "delivered by a call that died": evidence(
        succeeded(A), received=seen(A, 200), handled=(0, 0), is_unanswered=True
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_promises_that_were_kept(name: str) -> None:
    assert list(violations(KEPT[name], interrupted=1)) == []


def test_it_tells_how_often_a_record_was_accepted_once_more() -> None:
    assert check(KEPT["accepted twice since a process died"], 1) == 1


def _machinery(document: Document, **changes: Any) -> Document:
    return {**document, "datasync": {**document["datasync"], **changes}}


def _without(document: Document, name: str) -> Document:
    return {key: value for key, value in document.items() if key != name}


_ONE = evidence(succeeded(A), received=seen(A, 200), handled=(1, 0))
_REPORT = _ONE.report

BROKEN = {
    "is not there": (replace(_ONE, stored=[A["id"], B["id"]]), "and is not there"),
    "from nowhere": (replace(_ONE, stored=[]), "was never stored"),
    "sent from nowhere": (
        replace(_ONE, received=seen(A, 200) + seen(B, 200, at=3.0)),
        "was never stored",
    ),
    "twice in the collection": (
        evidence(succeeded(A), succeeded(A), received=seen(A, 200), handled=(2, 0)),
        "two records",
    ),
    "waits where no call looks": (
        evidence(_machinery(A, partition=1) | {"datasync": {"attempts": 0}}, received=[], handled=(0, 0)),
        "no call would find it",
    ),
    "finished and queued": (
        evidence(_machinery(succeeded(A), due="now"), received=seen(A, 200), handled=(1, 0)),
        "still in the queue",
    ),
    "failed without a reason": (
        evidence(_without(failed(A, 503), "failure_reason"), received=seen(A, 503), handled=(0, 1)),
        "without a reason",
    ),
    "dead for nothing": (
        evidence(failed(A, 503, dead=True), received=seen(A, 503), handled=(0, 1)),
        "dead for no reason",
    ),
    "success without an attempt": (
        evidence(
            _machinery(succeeded(A), attempts=0) | {"attempts": []}, received=seen(A, 200), handled=(1, 0)
        ),
        "status of its last attempt",
    ),
    "an accepted record waits": (
        evidence(A, received=seen(A, 200), handled=(0, 0)),
        "received 1 times, and counts 0",
    ),
    "sent twice after a success": (
        replace(_ONE, received=seen(A, 200, 200)),
        "received 2 times, and counts 1",
    ),
    "an answer that was not heard": (
        evidence(
            succeeded(failed(A, "unexpectedError", "unknown")), received=seen(A, 200, 200), handled=(1, 1)
        ),
        "lists the answers [200] alone",
    ),
    "an answer that nobody gave": (
        evidence(succeeded(A), received=seen(A, None), handled=(1, 0)),
        "lists the answers [200], and its target gave []",
    ),
    "not sent, and counted": (
        evidence(
            _machinery(failed(A, "unexpectedError", "no"), attempts=1, unsent=0), received=[], handled=(0, 1)
        ),
        "counts 1 attempts and 0",
    ),
    "sent, and not counted": (
        evidence(failed(A, "unexpectedError", "no"), received=seen(A, None), handled=(0, 1)),
        "received 1 times, and counts 0",
    ),
    "retried for no reason": (
        evidence(succeeded(failed(A, 404)), received=seen(A, 404, 200), handled=(1, 1)),
        "asks for no retry",
    ),
    "two at once": (
        evidence(
            succeeded(failed(A, 503)),
            received=[Received(A["id"], 1.0, 3.0, 503), Received(A["id"], 2.0, 4.0, 200)],
            handled=(1, 1),
        ),
        "while it was being sent",
    ),
    "overtaken": (
        evidence(
            succeeded(A), succeeded(B), received=seen(A, 200, at=2.0) + seen(B, 200, at=1.0), handled=(2, 0)
        ),
        "before an earlier one was done",
    ),
    "sent behind one that waits": (
        evidence(failed(A, 503), succeeded(B), received=seen(A, 503) + seen(B, 200, at=2.0), handled=(1, 1)),
        "before an earlier one was done",
    ),
    "sent before an earlier one was answered": (
        evidence(
            succeeded(A),
            succeeded(B),
            received=[Received(A["id"], 1.0, 3.0, 200), Received(B["id"], 2.0, 4.0, 200)],
            handled=(2, 0),
        ),
        "before an earlier one was done",
    ),
    "interrupted by nothing": (
        evidence(succeeded(interrupted(A)), received=seen(A, 200), handled=(1, 0)),
        "recorded as interrupted",
    ),
    "the report miscounts": (
        replace(_ONE, report={**_REPORT, "counts": {**_REPORT["counts"], "success": 0}}),
        "the report counts 0 as success",
    ),
    "the report miscounts the dead": (
        replace(_ONE, report={**_REPORT, "counts": {**_REPORT["counts"], "dead": 1}}),
        "the report counts 1 dead",
    ),
    "the counters miscount": (
        replace(_ONE, report={**_REPORT, "lastDay": [{"delivered": 1, "failed": 1, "dead": 0}]}),
        "the counters say 1 failed",
    ),
    "the answers say more": (
        replace(_ONE, answers=[{"processedmessages": 2, "failedMessages": 0}], is_unanswered=True),
        "processedmessages add up to 2",
    ),
    "the answers say less": (replace(_ONE, answers=[]), "processedmessages add up to 0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_promise_that_was_broken(name: str) -> None:
    broken, words = BROKEN[name]
    assert any(words in one for one in violations(broken)), list(violations(broken))
    with pytest.raises(AssertionError, match="are broken"):
        check(broken)
