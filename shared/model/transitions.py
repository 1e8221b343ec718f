"""Transitions: the document that an attempt, or a decision not to attempt, makes of a record's document."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.model import json_codec
from shared.model.answer import Sent
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.history import Act, noted
from shared.model.ids import timestamp
from shared.model.policy import HOLD_REASON
from shared.model.record import (
    ANSWER,
    ATTEMPTS,
    CANCELLED,
    FAILED,
    FILTERED,
    MACHINERY,
    MOST_REASON_CHARACTERS,
    SUCCESS,
    Document,
    attempts,
    failed_members,
    interruptions,
    queued_members,
    tries,
)
from shared.model.targets import parse_url

_KEPT_MACHINERY = ("attempts", "unsent", "size", "ingest", "digest", "proof")  # what no attempt changes
_OF_FAILURES = ("failure_reason", "error_stream", "nextAttemptDate", "dead", "status_code", MACHINERY)
_MOST_ATTEMPTS = 10  # that a record lists, beside their number
_MOST_LISTED_CHARACTERS = 300  # of the reason of each
_MOST_INTERRUPTIONS = 3  # in a row, after which a record is assumed to kill its worker


@dataclass(frozen=True)
class Failure:
    """What is written on a record after a failed attempt; `next_attempt` is None if it is dead."""

    code: int | str
    reason: str
    error_stream: str
    next_attempt: datetime | None
    sent: Sent = "yes"
    said: str = ""
    """What the target said, as it is kept."""
    is_held: bool = False
    """Whether the target may have received it, and a person is to look there first: it is dead."""
    counts: bool = True
    """Whether it is one of the attempts that are limited: what is not sent never is."""

    @property
    def is_attempt(self) -> bool:
        """Whether it counts towards the limit."""
        return self.counts and self.sent != "no"


def succeeded(
    document: Document, code: int, moment: datetime, seconds: float = 0.0, said: str = ""
) -> Document:
    """Return `document` after a delivery that took `seconds` and that the target accepted, saying that."""
    entry = _entry(moment, code, "yes", seconds)
    if said:
        entry[ANSWER] = said
    after = _attempted(document, SUCCESS, entry)
    after[MACHINERY] = _counted(document)
    return after


def failed(document: Document, failure: Failure, moment: datetime, seconds: float = 0.0) -> Document:
    """Return `document` after a failed attempt that took `seconds`: due again later, or dead.

    What the target can't have seen, or refused since it is overloaded, counts as a try and not as an attempt.
    """
    entry = _entry(moment, failure.code, failure.sent, seconds, failure.reason)
    if failure.said:
        entry[ANSWER] = failure.said
    if document["status"] == CANCELLED:
        return _still_cancelled(document, entry, is_attempt=failure.is_attempt)
    after = _attempted(document, FAILED, entry, is_attempt=failure.is_attempt)
    after["failure_reason"] = failure.reason[:MOST_REASON_CHARACTERS]
    after["error_stream"] = failure.error_stream
    machinery = _counted(document, is_attempt=failure.is_attempt) | failed_members(
        document, failure.code, moment
    )
    if failure.is_held:
        machinery["held"] = document["id"]
    if failure.next_attempt is None:
        after["dead"] = True
    else:
        after["nextAttemptDate"] = timestamp(failure.next_attempt)
        machinery |= _waiting(document, after["nextAttemptDate"])
    after[MACHINERY] = machinery
    return after


def interrupted(
    document: Document, error_stream: str, most_attempts: int, moment: datetime, *, holds: bool = False
) -> Document:
    """Return `document` after an attempt whose process ended before it wrote the outcome.

    It is due again at once, in its old place, since nobody knows whether the target received it. After three
    such attempts in a row, or if it has no attempts left, or if a person is to look at the target first, it
    is dead.
    """
    times = interruptions(document) + 1
    reason = f"the process ended during delivery, {times} time(s) in a row"
    if holds:
        reason = f"{reason}; it {HOLD_REASON}"
    entry = _entry(moment, UNEXPECTED_ERROR, "unknown", None, reason)
    if document["status"] == CANCELLED:
        return _still_cancelled(document, entry)
    after = _attempted(document, FAILED, entry)
    after["failure_reason"] = reason
    after["error_stream"] = error_stream
    machinery = _counted(document) | failed_members(document, UNEXPECTED_ERROR, moment)
    machinery["interrupted"] = times
    if holds:
        machinery["held"] = document["id"]
    if holds or times >= _MOST_INTERRUPTIONS or attempts(document) + 1 >= most_attempts:
        after["dead"] = True
    else:
        due = document[MACHINERY].get("due", f"{timestamp(moment)} {document['id']}")
        after["nextAttemptDate"] = due.split(" ")[0]
        machinery |= _waiting(document, after["nextAttemptDate"])
    after[MACHINERY] = machinery
    return after


def filtered(document: Document, rule: str, moment: datetime) -> Document:
    """Return `document` after a rule has excluded it: finished, and not sent."""
    after = {name: value for name, value in document.items() if name not in _OF_FAILURES}
    after |= {"status": FILTERED, "filteredBy": rule, "lastAttemptDate": timestamp(moment)}
    after[MACHINERY] = _kept(document)
    return after


def cancelled(document: Document, by: str, moment: datetime) -> Document:
    """Return `document` after somebody has cancelled it: finished, whatever became of it before."""
    after = {name: value for name, value in document.items() if name not in _OF_FAILURES}
    after["status"] = CANCELLED
    after[MACHINERY] = _kept(document) | {"ended": timestamp(moment)}
    return noted(after, Act("cancelled", by), moment)


def edited(
    document: Document, changes: Mapping[str, Any], removed: Collection[str], by: str, moment: datetime
) -> Document:
    """Return `document` with other members, waiting or dead as before; itself if all are as they were."""
    gone = {name for name in removed if name in document}
    changed = [name for name in changes if name not in document or document[name] != changes[name]]
    if not (changed or gone):
        return document
    names = sorted({*changed, *gone})
    act = Act("edited", by, names, {name: document[name] for name in names if name in document})
    after = {name: value for name, value in {**document, **changes}.items() if name not in gone}
    origin = parse_url(after["targetRestApi"]).origin
    machinery = document[MACHINERY] | {
        name: origin for name in ("target", "at") if name in document[MACHINERY]
    }
    after = noted({**after, MACHINERY: machinery}, act, moment)
    after[MACHINERY] = machinery | {"size": len(json_codec.dump(after))}
    return after


def _still_cancelled(document: Document, entry: dict[str, Any], *, is_attempt: bool = True) -> Document:
    """Return a cancelled record after an attempt that was on its way then, and has failed."""
    after = _attempted(document, CANCELLED, entry, is_attempt=is_attempt)
    after[MACHINERY] = _counted(document, is_attempt=is_attempt) | {"ended": document[MACHINERY]["ended"]}
    return after


def expired(document: Document, error_stream: str, moment: datetime) -> Document:
    """Return `document` after it was not delivered for too long: dead."""
    reason = "expired: it was not delivered within EXPIRE_AFTER"
    entry = _entry(moment, UNEXPECTED_ERROR, "no", None, reason)
    after = _attempted(document, FAILED, entry, is_attempt=False)
    after |= {"failure_reason": reason, "error_stream": error_stream, "dead": True}
    after[MACHINERY] = _kept(document) | failed_members(document, UNEXPECTED_ERROR, moment)
    return after


def _waiting(document: Document, date: str) -> dict[str, Any]:
    """Return the machinery of a failed record that will be tried again."""
    machinery = queued_members(document, date) | {"replay": document["id"]}
    return machinery | {"blocks": machinery["lane"]} if "keyed" in machinery else machinery


def _kept(document: Document) -> dict[str, Any]:
    return {name: document[MACHINERY][name] for name in _KEPT_MACHINERY if name in document[MACHINERY]}


def _counted(document: Document, *, is_attempt: bool = True) -> dict[str, Any]:
    """Return the machinery that is kept, with one more attempt, or one more try that is none."""
    if is_attempt:
        return _kept(document) | {"attempts": attempts(document) + 1}
    return _kept(document) | {"unsent": tries(document) - attempts(document) + 1}


def _entry(
    moment: datetime, code: int | str, sent: Sent, seconds: float | None, reason: str = ""
) -> dict[str, Any]:
    """Return an attempt as the record lists it; its duration is unknown (None) if its process ended."""
    entry: dict[str, Any] = {"time": timestamp(moment), "code": code, "sent": sent}
    if seconds is not None:
        entry["durationMs"] = round(seconds * 1000)
    if reason:
        entry["reason"] = reason[:_MOST_LISTED_CHARACTERS]
    return entry


def _attempted(
    document: Document, status: str, entry: dict[str, Any], *, is_attempt: bool = True
) -> Document:
    """Return `document` after an attempt, as listed, without what the machinery has of it."""
    gone = ("failure_reason", "error_stream", "nextAttemptDate", "dead", MACHINERY)
    after = {name: value for name, value in document.items() if name not in gone}
    after |= {"status": status, "status_code": entry["code"], "lastAttemptDate": entry["time"]}
    after["retry_attempts"] = max(0, attempts(document) - (not is_attempt))
    after[ATTEMPTS] = [*document.get(ATTEMPTS, ()), entry][-_MOST_ATTEMPTS:]
    return after
