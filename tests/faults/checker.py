"""The promises of the contract, held to what targets received, the collection says and calls answered.

What a target gave no answer to may have been received or not, and what a process was doing as it was killed
is known to nobody: the record has to say so. Everything else must agree exactly.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Document = Mapping[str, Any]

RETRY_CODES = frozenset(("408", "425", "429", "500", "502", "503", "504", "unexpectedError"))  # by default
_FINISHED = ("success", "filtered", "cancelled")
_LISTED = 10  # attempts that a record lists, of more
_INTERRUPTED = "the process ended during delivery"
_EXPIRED = "expired: "
_NOT_COUNTED = "so this does not count"
_UNHEARD = ("no answer from the target within", "its outcome, ")
_HELD = "may have been received: look at the target before replaying"
_MOST_INTERRUPTIONS = 3


@dataclass(frozen=True)
class Received:
    """A request as its target saw it; `status` is None if it gave no answer, all times are of one clock."""

    id: str
    began: float
    ended: float | None
    status: int | None


@dataclass(frozen=True)
class Evidence:
    """All that was said, and all that came of it, once nobody delivers any more."""

    stored: Sequence[str]
    """The ids that `/store` has answered, in its order."""
    records: Sequence[Document]
    received: Sequence[Received]
    answers: Sequence[Mapping[str, Any]]
    """Of `/process` and `/process/retry`."""
    report: Mapping[str, Any]
    retry_limit: int
    is_unanswered: bool = False
    """Some calls ended without an answer, and may have delivered."""
    policies: Sequence[Mapping[str, Any]] = ()
    """What held for targets at some time, beside the settings."""

    def terms(self, record: Document) -> "list[_Terms]":
        """Return what may have held for a record."""
        found = [one for one in self.policies if record["targetRestApi"].startswith(one["targetRestApi"])]
        usual = _Terms(RETRY_CODES, self.retry_limit)
        return [usual, *(_terms(one, usual) for one in found)]


@dataclass(frozen=True)
class _Terms:
    """Which failures of a record are retried, and how often."""

    codes: frozenset[str]
    limit: int
    holds: bool = False


def _terms(policy: Mapping[str, Any], usual: _Terms) -> _Terms:
    codes = policy.get("retryCodes")
    return _Terms(
        usual.codes if codes is None else frozenset(codes),
        policy.get("retryLimit", usual.limit),
        policy.get("unknownOutcome") == "hold",
    )


def check(evidence: Evidence, interrupted: int = 0) -> int:
    """Hold the promises to the evidence; return how often a record was accepted once more than once.

    At most `interrupted` attempts may have been interrupted: where no process died, was suspended or lost
    its database, none.
    """
    broken = list(violations(evidence, interrupted))
    assert not broken, "\n".join([f"{len(broken)} promises are broken:", *broken[:30]])
    accepted = Counter(one.id for one in evidence.received if _is_accepted(one))
    return accepted.total() - len(accepted)


def violations(evidence: Evidence, interrupted: int = 0) -> Iterator[str]:
    """Tell every promise that was not kept."""
    received: dict[str, list[Received]] = defaultdict(list)
    for one in sorted(evidence.received, key=lambda one: one.began):
        received[one.id].append(one)
    records = {str(one["id"]): one for one in evidence.records}
    yield from _presence(evidence, records, received)
    for identity, record in records.items():
        for fault in (
            *_state(record, evidence.terms(record)),
            *_attempts(record, evidence.terms(record)),
            *_sending(record, received[identity]),
        ):
            yield f"record {identity} {fault}: {_in_short(record, received[identity])}"
    yield from _order(evidence.stored, records, received)
    yield from _counts(evidence)
    number = sum(_interruptions(one) for one in evidence.records)
    if number > interrupted:
        yield f"{number} attempts are recorded as interrupted, and at most {interrupted} were"


def _presence(
    evidence: Evidence, records: Mapping[str, Document], received: Mapping[str, Sequence[Received]]
) -> Iterator[str]:
    """None disappears, none comes from nowhere."""
    if len(records) != len(evidence.records):
        yield "an id stands on two records"
    for identity in evidence.stored:
        if identity not in records:
            yield f"record {identity} was stored, and is not there"
    for identity in {*records, *received}.difference(evidence.stored):
        yield f"record {identity} was never stored"


def _state(record: Document, terms: Sequence[_Terms]) -> Iterator[str]:
    """A record is delivered, ended visibly, or waits in a way in which a call will find it."""
    status, machinery = record["status"], record["datasync"]
    entries, is_dead = record.get("attempts", ()), bool(record.get("dead"))
    if status in _FINISHED or is_dead:
        if "due" in machinery:
            yield "is finished, and still in the queue"
    elif status in ("not_processed", "failed"):
        if not {"due", "partition", "lane", "target"} <= machinery.keys():
            yield "is not finished, and no call would find it"
    else:
        yield f"has the status {status!r}"
    if status == "failed" and not (record.get("failure_reason") and record.get("error_stream")):
        yield "has failed without a reason or an error stream"
    if status == "not_processed" and entries:
        yield "was attempted, and does not say so"
    if status in ("success", "failed") and (not entries or entries[-1]["code"] != record["status_code"]):
        yield "has another code than its last attempt"
    if (status == "success") != (bool(entries) and _is_success(entries[-1])):
        yield "does not have the status of its last attempt"
    if is_dead and not (
        any(_ends(record, one) for one in terms)
        or int(machinery.get("interrupted", 0)) >= _MOST_INTERRUPTIONS
        or entries[-1].get("reason", "").startswith(("its outcome, 2", _EXPIRED))
    ):
        yield "is dead for no reason"


def _ends(record: Document, terms: _Terms) -> bool:
    """Tell whether a record's last failure is its last attempt under these terms."""
    last = record["attempts"][-1]
    is_held = terms.holds and last["sent"] == "unknown" and last.get("reason", "").endswith(_HELD)
    too_often = int(record["datasync"]["attempts"]) >= terms.limit
    return is_held or too_often or str(record["status_code"]) not in terms.codes


def _attempts(record: Document, terms: Sequence[_Terms]) -> Iterator[str]:
    """What is counted is what is listed; what was not sent is not counted."""
    entries, machinery = _tries(record), record["datasync"]
    sent = Counter("no" if _is_overload(entry) else entry["sent"] for entry in entries)
    attempts, unsent = int(machinery["attempts"]), int(machinery.get("unsent", 0))
    if len(record.get("attempts", ())) < _LISTED:
        if (attempts, unsent) != (sent["yes"] + sent["unknown"], sent["no"]):
            yield f"counts {attempts} attempts and {unsent} that were not sent"
    elif attempts + unsent < len(entries):
        yield f"counts {attempts} attempts and {unsent} that were not sent, fewer than it lists"
    if any(_is_success(entry) for entry in entries[:-1]):
        yield "was attempted after a success"
    if not _acts(record, "replayed") and any(
        all(str(entry["code"]) not in one.codes for one in terms) for entry in entries[:-1]
    ):
        yield "was attempted after an answer that asks for no retry"
    if any((entry["sent"] == "yes") == isinstance(entry["code"], str) for entry in entries):
        yield "says of an answer that it was not sent, or the other way round"


def _sending(record: Document, received: Sequence[Received]) -> Iterator[str]:
    """The target has seen what the record says, and again only what the record has a reason for."""
    entries, machinery = record.get("attempts", ()), record["datasync"]
    attempts = int(machinery["attempts"]) + sum(map(_is_overload, entries))
    if len(entries) >= _LISTED:
        attempts = int(machinery["attempts"]) + int(machinery.get("unsent", 0))
    if len(received) > attempts:
        yield f"was received {len(received)} times, and counts {attempts} attempts"
    heard = [int(entry["code"]) for entry in entries if entry["sent"] == "yes"]
    answered = [one.status for one in received if one.status is not None]
    if not _is_subsequence(heard, answered):
        yield f"lists the answers {heard}, and its target gave {answered}"
    unheard = sum(entry.get("reason", "").startswith((_INTERRUPTED, *_UNHEARD)) for entry in entries)
    if len(entries) < _LISTED and len(answered) > len(heard) + unheard:
        yield f"lists the answers {heard} alone, and its target gave {answered}"
    for earlier, later in pairwise(received):
        is_open = earlier.ended is None or earlier.ended > later.began
        if is_open and earlier.status is not None and not unheard:
            yield "was sent while it was being sent"


def _order(
    stored: Sequence[str], records: Mapping[str, Document], received: Mapping[str, Sequence[Received]]
) -> Iterator[str]:
    """Nothing is sent before the earlier records of its key were accepted, or are dead."""
    lanes: dict[str, list[str]] = defaultdict(list)
    for identity in stored:
        if records.get(identity, {}).get("streamKey"):
            lanes[records[identity]["streamKey"]].append(identity)
    for key, lane in lanes.items():
        passed = 0.0
        for identity in lane:
            began = received[identity][0].began if received[identity] else None
            if began is not None and began < passed:
                yield f"record {identity} of the key {key!r} was sent before an earlier one was done"
            passed = max(passed, _done_at(records[identity], received[identity]))


def _done_at(record: Document, received: Sequence[Received]) -> float:
    """Return from when on a record holds back none behind it."""
    if _acts(record, "replayed"):  # it may have been dead before, and since when is not known
        return 0.0
    accepted = next((one for one in received if _is_accepted(one)), None)
    if accepted is not None:
        return accepted.ended or accepted.began
    if record.get("dead") or record["status"] == "cancelled":
        # What was answered to nobody was given up before: a policy's time-out may be shorter than the target.
        return max(((one.ended if one.status else None) or one.began for one in received), default=0.0)
    return float("inf")


def _counts(evidence: Evidence) -> Iterator[str]:
    """Answers, counters and records tell the same numbers."""
    statuses = Counter(str(one["status"]) for one in evidence.records)
    dead = sum(bool(one.get("dead")) for one in evidence.records)
    counts = evidence.report["counts"]
    for status in ("not_processed", "success", "failed", "filtered", "cancelled"):
        if counts[status] != statuses[status]:
            yield f"the report counts {counts[status]} as {status}, and there are {statuses[status]}"
    if counts["dead"] != dead:
        yield f"the report counts {counts['dead']} dead, and there are {dead}"
    failures = sum(map(_failures, evidence.records))
    interruptions = sum(map(_interruptions, evidence.records))
    hours = evidence.report["lastDay"]
    for name, number in (("delivered", statuses["success"]), ("failed", failures), ("dead", dead)):
        counted = sum(hour[name] for hour in hours)
        again = sum(_acts(one, "replayed") + _acts(one, "cancelled") for one in evidence.records)
        if counted != number and not (
            name == "dead" and number < counted <= number + again
        ):  # and not for ever
            yield f"the counters say {counted} {name}, and the records {number}"
    for name, number in (
        ("processedmessages", statuses["success"] + statuses["filtered"]),
        ("failedMessages", failures - interruptions - sum(map(_expiries, evidence.records))),
    ):
        answered = sum(answer[name] for answer in evidence.answers)
        if answered != number and (answered > number or not evidence.is_unanswered):
            yield f"the answers' {name} add up to {answered}, and the records say {number}"


def _failures(record: Document) -> int:
    """Return how many attempts have failed, sent or not."""
    machinery = record["datasync"]
    tries = int(machinery["attempts"]) + int(machinery.get("unsent", 0))
    return tries + _expiries(record) - (record["status"] == "success")


def _acts(record: Document, act: str) -> int:
    """Return how often people did something to a record."""
    return sum(one["act"] == act for one in record.get("history", ()))


def _tries(record: Document) -> Sequence[Mapping[str, Any]]:
    """Return the attempts that a record lists, without the end that came of waiting too long."""
    return [one for one in record.get("attempts", ()) if not one.get("reason", "").startswith(_EXPIRED)]


def _expiries(record: Document) -> int:
    return len(record.get("attempts", ())) - len(_tries(record))


def _interruptions(record: Document) -> int:
    return sum(entry.get("reason", "").startswith(_INTERRUPTED) for entry in record.get("attempts", ()))


def _is_success(entry: Mapping[str, Any]) -> bool:
    return not isinstance(entry["code"], str) and 200 <= entry["code"] < 300


def _is_overload(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("reason", "")).endswith(_NOT_COUNTED)


def _is_accepted(one: Received) -> bool:
    return one.status is not None and 200 <= one.status < 300


def _is_subsequence(part: Sequence[Any], whole: Sequence[Any]) -> bool:
    left = iter(whole)
    return all(one in left for one in part)


def _in_short(record: Document, received: Sequence[Received]) -> str:
    listed = [
        (str(entry["code"]), entry["sent"], entry.get("reason", "")) for entry in record.get("attempts", ())
    ]
    return (
        f"{record['status']}, {listed}; received {[(one.status, one.began, one.ended) for one in received]}"
    )
