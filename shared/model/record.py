"""The record: its identity, its states, and what of it may be shown.

A record is a JSON document. What a caller stored stands at its top level, beside its state (`status`,
`status_code`, …); what only the machinery needs stands under the member `datasync`:

| member of `datasync` | while | meaning |
|---|---|---|
| `attempts` | always | deliveries tried |
| `size` | always | bytes of the stored record as JSON, about |
| `due` | unfinished | `<time> <id>`: not before this time; sorts by time, then by age |
| `partition`, `lane`, `target` | unfinished | where leases, order and bounds apply |
| `failed`, `code`, `at` | failed | its id, its code as text, its target: indexes of failures, dead ones too |
| `lately` | failed | the time of its last attempt: an index of the latest failures |
| `replay` | failed, not dead | its id: an index of failures that are still worth a try |
| `secret` | unfinished, with a token | its `vaultSecretName`: an index of tokens that are still needed |
| `blocks` | failed, not dead, with a key | its lane: an index of what holds back later records of a key |
| `keyed` | unfinished, with a key | its lane: an index of a key's records that wait |
| `ingest`, `digest` | stored under an idempotency key | key's digest and place (unique); the body's digest |
| `interrupted` | interrupted | attempts in a row after which the process did not live to write an outcome |

A finished record has none of the indexed members, so it stands in none of these indexes and costs their
queries nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.model.ids import new_id, timestamp
from shared.model.parsing import OTHER_FAILURES
from shared.model.targets import parse_url

Document = dict[str, Any]

OPERATIONS = ("POST", "PUT", "PATCH", "DELETE")
NOT_PROCESSED = "not_processed"
SUCCESS = "success"
FAILED = "failed"
FILTERED = "filtered"  # a rule of the operator's keeps it from being sent

MACHINERY = "datasync"
ATTEMPTS = "attempts"  # the last ones, each with its time, code, duration in milliseconds and reason
SET_ASIDE = "setAside"  # a message that is no record, as it came
INVALID = "invalid"  # its code
NO_KEY = "-"  # not empty: to Oracle an empty string is NULL, and NULL matches nothing
PARTITIONS = (
    64  # fixed: stored records carry their number; four times the most workers that FAN_OUT makes sense for
)

SYSTEM_MEMBERS = frozenset(
    (
        "_id",
        "id",
        "createdDate",
        "status",
        "status_code",
        "failure_reason",
        "error_stream",
        "retry_attempts",
        "lastAttemptDate",
        "nextAttemptDate",
        "dead",
        ATTEMPTS,
        "filteredBy",
        SET_ASIDE,
        MACHINERY,
    )
)
_HIDDEN_MEMBERS = frozenset(("_id", MACHINERY, SET_ASIDE, "targetRestApiPayload", "targetRestApiHeaders"))
_KEPT = ("size", "ingest", "digest")  # machinery that no attempt changes
_LONGEST_REASON = 2000
_MOST_ATTEMPTS = 10  # that a record keeps, beside their number
_LONGEST_NOTE = 300  # characters of a reason that is kept there
_MOST_INTERRUPTIONS = 3  # in a row, after which a record is held to kill its worker


@dataclass(frozen=True)
class Failure:
    """What is written on a record after a failed attempt; `next_attempt` is None where it is dead."""

    code: int | str
    reason: str
    error_stream: str
    next_attempt: datetime | None


@dataclass(frozen=True)
class Origin:
    """The request that brought a record under an idempotency key: digests of the key and of the body."""

    key: str
    digest: str

    @classmethod
    def of(cls, key: str, body: bytes) -> "Origin":
        """Return the origin of the records in `body`, sent under `key`."""
        return cls(hashlib.sha256(key.encode()).hexdigest(), hashlib.sha256(body).hexdigest())

    def members(self, place: int) -> dict[str, str]:
        """Return the machinery of the record at this place in the request."""
        return {"ingest": f"{self.key}-{place:04d}", "digest": self.digest}


def stored(members: Mapping[str, Any], size: int, origin: Mapping[str, str] | None = None) -> Document:
    """Return the document that keeps a new record: the caller's members, identity, state and machinery."""
    identity, created = new_id()
    date = timestamp(created)
    document = {"id": identity, "createdDate": date, "status": NOT_PROCESSED, **members}
    document[MACHINERY] = {"attempts": 0, "size": size, **(origin or {}), **_queued(document, date)}
    return document


def set_aside(message: Any, reason: str, error_stream: str, size: int, origin: Mapping[str, str]) -> Document:
    """Return the document that keeps a message which is no record: dead from the start, and never sent."""
    identity, created = new_id()
    document = {
        "id": identity,
        "createdDate": timestamp(created),
        "status": FAILED,
        "status_code": INVALID,
        "failure_reason": reason[:_LONGEST_REASON],
        "error_stream": error_stream,
        "dead": True,
        SET_ASIDE: message,
    }
    machinery = _failed_members(document, INVALID, created)
    document[MACHINERY] = {"attempts": 0, "size": size, **machinery, **origin}
    return document


def succeeded(document: Document, code: int, moment: datetime, seconds: float = 0.0) -> Document:
    """Return `document` as it stands after a delivery of so many seconds that the target accepted."""
    after = _attempted(document, moment, SUCCESS, code, seconds)
    after[MACHINERY] = _counted(document)
    return after


def failed(document: Document, failure: Failure, moment: datetime, seconds: float = 0.0) -> Document:
    """Return `document` as it stands after a failed attempt of so many seconds: due again later, or dead."""
    after = _attempted(document, moment, FAILED, failure.code, seconds, failure.reason)
    after["failure_reason"] = failure.reason[:_LONGEST_REASON]
    after["error_stream"] = failure.error_stream
    machinery = _counted(document) | _failed_members(document, failure.code, moment)
    if failure.next_attempt is None:
        after["dead"] = True
    else:
        after["nextAttemptDate"] = timestamp(failure.next_attempt)
        machinery |= _waiting(document, after["nextAttemptDate"])
    after[MACHINERY] = machinery
    return after


def interrupted(document: Document, error_stream: str, most_attempts: int, moment: datetime) -> Document:
    """Return `document` as it stands after an attempt whose process did not live to write the outcome.

    It is due again at once, in its old place: nobody knows whether the target got it. After three such
    attempts in a row, or where it has no attempts left, it is dead.
    """
    times = interruptions(document) + 1
    reason = f"the process ended during delivery, {times} time(s) in a row"
    after = _attempted(document, moment, FAILED, OTHER_FAILURES, None, reason)
    after["failure_reason"] = reason
    after["error_stream"] = error_stream
    machinery = (
        _counted(document) | _failed_members(document, OTHER_FAILURES, moment) | {"interrupted": times}
    )
    if times >= _MOST_INTERRUPTIONS or attempts(document) + 1 >= most_attempts:
        after["dead"] = True
    else:
        place = document[MACHINERY].get("due", f"{timestamp(moment)} {document['id']}")
        after["nextAttemptDate"] = place.split(" ")[0]
        machinery |= _waiting(document, after["nextAttemptDate"])
    after[MACHINERY] = machinery
    return after


def is_unfinished(document: Document) -> bool:
    """Tell whether a record waits for a delivery, its first or another."""
    return "due" in document[MACHINERY]


def due_since(document: Document) -> datetime:
    """Return since when an unfinished record is due, or when it will be."""
    return datetime.fromisoformat(str(document[MACHINERY]["due"]).split(" ")[0])


def filtered(document: Document, rule: str, moment: datetime) -> Document:
    """Return `document` as it stands where a rule keeps it from being sent: finished, and not sent."""
    gone = ("failure_reason", "error_stream", "nextAttemptDate", "dead", "status_code", MACHINERY)
    after = {name: value for name, value in document.items() if name not in gone}
    after |= {"status": FILTERED, "filteredBy": rule, "lastAttemptDate": timestamp(moment)}
    after[MACHINERY] = _counted(document) | {"attempts": attempts(document)}
    return after


def expired(document: Document, error_stream: str, moment: datetime) -> Document:
    """Return `document` as it stands where it was not delivered for too long: dead."""
    reason = "expired: it was not delivered within EXPIRE_AFTER"
    after = _attempted(document, moment, FAILED, OTHER_FAILURES, None, reason)
    after |= {"failure_reason": reason, "error_stream": error_stream, "dead": True}
    machinery = _counted(document) | _failed_members(document, OTHER_FAILURES, moment)
    after[MACHINERY] = machinery | {"attempts": attempts(document)}  # none was made now
    after["retry_attempts"] = max(0, attempts(document) - 1)
    return after


def interruptions(document: Document) -> int:
    """Return how often in a row a process ended during this record's delivery."""
    return int(document[MACHINERY].get("interrupted", 0))


def attempts(document: Document) -> int:
    """Return how often delivery of this record was tried."""
    return int(document[MACHINERY]["attempts"])


def key_digest(document: Document) -> str:
    """Return a digest of a record's key, under which its order is kept; NO_KEY without one."""
    key = document.get("streamKey")
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else NO_KEY


def partition(document: Document) -> int:
    """Return the partition of a record: all records of one key share one."""
    spread = document.get("streamKey") or document["id"]
    return int.from_bytes(hashlib.sha256(spread.encode()).digest()[:4], "big") % PARTITIONS


def target(document: Document) -> str:
    """Return the target's `host:port`, under which its deliveries are bounded."""
    known = document.get(MACHINERY, {}).get("target")
    return str(known) if known else parse_url(document["targetRestApi"]).origin


def shown(document: Document) -> Document:
    """Return what a caller may read of a record: its state, without token, payload and headers."""
    return {name: value for name, value in document.items() if name not in _HIDDEN_MEMBERS}


def _queued(document: Document, date: str) -> dict[str, Any]:
    where = {"partition": partition(document), "lane": key_digest(document), "target": target(document)}
    if where["lane"] != NO_KEY:
        where["keyed"] = where["lane"]
    if document.get("vaultSecretName"):
        where["secret"] = document["vaultSecretName"]
    return {"due": f"{date} {document['id']}", **where}


def _waiting(document: Document, date: str) -> dict[str, Any]:
    """Return the machinery of a failed record that will be tried again."""
    machinery = _queued(document, date) | {"replay": document["id"]}
    return machinery | {"blocks": machinery["lane"]} if "keyed" in machinery else machinery


def _failed_members(document: Document, code: int | str, moment: datetime) -> dict[str, str]:
    """Return what files a failed record, dead or not."""
    known = {"failed": document["id"], "code": str(code), "lately": timestamp(moment)}
    return known | ({"at": target(document)} if "targetRestApi" in document else {})


def _counted(document: Document) -> dict[str, Any]:
    kept = {name: document[MACHINERY][name] for name in _KEPT if name in document[MACHINERY]}
    return {"attempts": attempts(document) + 1, **kept}


def _attempted(
    document: Document,
    moment: datetime,
    status: str,
    code: int | str,
    seconds: float | None,
    reason: str = "",
) -> Document:
    """Return `document` after an attempt; its duration is not known (None) where its process ended."""
    gone = ("failure_reason", "error_stream", "nextAttemptDate", "dead", MACHINERY)
    after = {name: value for name, value in document.items() if name not in gone}
    after |= {"status": status, "status_code": code, "lastAttemptDate": timestamp(moment)}
    after["retry_attempts"] = attempts(document)
    attempt: dict[str, Any] = {"time": after["lastAttemptDate"], "code": code}
    if seconds is not None:
        attempt["durationMs"] = round(seconds * 1000)
    if reason:
        attempt["reason"] = reason[:_LONGEST_NOTE]
    after[ATTEMPTS] = [*document.get(ATTEMPTS, ()), attempt][-_MOST_ATTEMPTS:]
    return after
