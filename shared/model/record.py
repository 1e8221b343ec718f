"""The record: what a new one is made of, where it belongs, and what of it callers may see.

A record is a JSON document. What its caller sent stands at the top level, beside its state (`status`,
`status_code`, …); what only the machinery needs stands under the member `datasync`:

| member of `datasync` | present | meaning |
|---|---|---|
| `attempts` | always | number of delivery attempts that the target may have seen |
| `unsent` | after such a failure | number of failures of which the target can't have seen anything |
| `size` | always | bytes of the record as JSON, as it was stored |
| `due` | unfinished | `<time> <id>`: not before this time; sorts by time, then by age |
| `partition`, `lane`, `target` | unfinished | the lease, the key's digest, and the host that it belongs to |
| `failed`, `code`, `at` | failed | its id, its code as text, its target: indexes of failures, dead ones too |
| `lately` | failed | the time of its last attempt: an index of the latest failures |
| `held` | dead, may have been received | its id: an index of what a person is to look at |
| `replay` | failed, not dead | its id: an index of failures that are still retried |
| `secret` | unfinished, with a token | its `vaultSecretName`: an index of tokens that are still needed |
| `blocks` | failed, not dead, with a key | its key's digest: an index of what holds back a key |
| `keyed` | unfinished, with a key | its key's digest: an index of a key's records that wait |
| `ingest`, `digest` | stored with an idempotency key | a digest and a number (unique); the body's digest |
| `proof` | stored with a token | the secret and its version that the token was proven with |
| `ended` | cancelled | the time of that |
| `interrupted` | interrupted | attempts in a row whose process ended before it wrote an outcome |

A finished record has none of the indexed members, so it costs their queries nothing; what people search by
(`reference`, `streamKey`, `status`, `caller`) is in indexes of all records. What an attempt makes of a
record stands in `transitions`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.model import history, json_codec
from shared.model.codes import INVALID
from shared.model.history import HISTORY
from shared.model.ids import moment_behind, new_id, timestamp
from shared.model.targets import parse_url

Document = dict[str, Any]

OPERATIONS = ("POST", "PUT", "PATCH", "DELETE")
NOT_PROCESSED = "not_processed"
SUCCESS = "success"
FAILED = "failed"
FILTERED = "filtered"  # its target's policy excludes it
CANCELLED = "cancelled"  # by its source or an operator
FINISHED = (SUCCESS, FILTERED, CANCELLED)

MACHINERY = "datasync"
ATTEMPTS = "attempts"  # the last ones, each with its time, code, duration in milliseconds and reason
ANSWER = "answer"  # of an attempt: the beginning of what the target said, without anything of a token
SET_ASIDE = "setAside"  # a message that is not a record, as it came
NO_KEY = "-"  # not empty: to Oracle an empty string is NULL, and NULL matches nothing
PARTITIONS = 64  # fixed, since stored records have their number; four times the highest sensible FAN_OUT

SYSTEM_MEMBERS = frozenset(
    (
        "_id",
        "id",
        "caller",
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
        HISTORY,
        SET_ASIDE,
        MACHINERY,
    )
)
"""The members that callers can't set."""
OVERWRITTEN_MEMBERS = frozenset(("createdDate", "status"))
"""Those that callers may send all the same, as bodies made for Oracle's sample do."""
MOST_REASON_CHARACTERS = 2000
_HIDDEN_MEMBERS = frozenset(("_id", MACHINERY, SET_ASIDE, "targetRestApiPayload", "targetRestApiHeaders"))
_NO_SIZE = b'"size":0'


@dataclass(frozen=True)
class Proof:
    """The version of the secret that a record's token was proven with: the secret's OCID and a number."""

    secret: str
    version: int


@dataclass(frozen=True)
class IdempotencyKey:
    """What makes a request recognisable when it comes again: digests of its key and of its body."""

    digest: str
    body_digest: str

    @classmethod
    def of(cls, caller: str, key: str, body: bytes) -> "IdempotencyKey":
        """Return the key of the records in `body`, which `caller` sent with `key`."""
        return cls(_digest(caller, key), hashlib.sha256(body).hexdigest())

    def members(self, place: int) -> dict[str, str]:
        """Return the machinery of the record at this place in the request."""
        return {"ingest": f"{self.digest}-{place:04d}", "digest": self.body_digest}


def new(
    members: Mapping[str, Any],
    caller: str = "",
    idempotency: Mapping[str, str] | None = None,
    proof: Proof | None = None,
    moment: datetime | None = None,
) -> Document:
    """Return the document of a new record: its caller's members, identity, state and machinery.

    An anonymous caller has no name, and the record no member `caller`. `idempotency` is the machinery of its
    idempotency key, `moment` the time, if not this machine's. Its size is written when it is `encoded`.
    """
    created = moment or datetime.now(UTC)
    identity, date = new_id(created), timestamp(created)
    document = {"id": identity, "createdDate": date, "status": NOT_PROCESSED, **members}
    if caller:
        document["caller"] = caller
    machinery = {"attempts": 0, "size": 0, **(idempotency or {})}
    if proof:
        machinery["proof"] = {"secret": proof.secret, "version": proof.version}
    document[MACHINERY] = machinery | queued_members(document, date)
    return document


def identified_after(document: Document, identity: str) -> Document:
    """Return a new record's document with another id, which is greater than the one given.

    It is not due before the record with that id is, wherever and by whichever clock that was stored: a page
    that ends between the two must not hold the later one.
    """
    date = str(document["createdDate"])
    its_id = new_id(datetime.fromisoformat(date), after=identity)
    due = max(date, timestamp(moment_behind(identity)))
    return {**document, "id": its_id, MACHINERY: {**document[MACHINERY], "due": f"{due} {its_id}"}}


def set_aside(
    message: Any, reason: str, error_stream: str, idempotency: Mapping[str, str], moment: datetime
) -> Document:
    """Return the document of a message that is not a record: dead from the start, and never sent."""
    document = {
        "id": new_id(moment),
        "createdDate": timestamp(moment),
        "status": FAILED,
        "status_code": INVALID,
        "failure_reason": reason[:MOST_REASON_CHARACTERS],
        "error_stream": error_stream,
        "dead": True,
        SET_ASIDE: message,
    }
    machinery = failed_members(document, INVALID, moment)
    document[MACHINERY] = {"attempts": 0, "size": 0, **machinery, **idempotency}
    return document


def encoded(document: Document) -> bytes:
    """Return a document as JSON; a new one gets its `size`, which is known only once it is encoded.

    >>> encoded({"id": "7", MACHINERY: {"attempts": 0, "size": 0}})
    b'{"id":"7","datasync":{"attempts":0,"size":45}}'
    """
    content = json_codec.dump(document)
    if document[MACHINERY]["size"]:
        return content
    before, _, after = content.rpartition(_NO_SIZE)  # the last: machinery stands behind the caller's members
    return b'%s"size":%d%s' % (before, len(content), after)


def size(document: Document) -> int:
    """Return the bytes of a record as JSON, as it was stored, with the answers that it has got since."""
    answers = sum(len(one.get(ANSWER, "")) for one in document.get(ATTEMPTS, ()))
    return int(document[MACHINERY].get("size", 0)) + answers


def is_unfinished(document: Document) -> bool:
    """Tell whether a record waits for a delivery, its first or another."""
    return "due" in document[MACHINERY]


def is_finished(document: Document) -> bool:
    """Tell whether a record has ended for good; what is dead may still be replayed."""
    return document["status"] in FINISHED


def due_since(document: Document) -> datetime:
    """Return since when an unfinished record is due, or when it will be."""
    return datetime.fromisoformat(str(document[MACHINERY]["due"]).split(" ")[0])


def interruptions(document: Document) -> int:
    """Return how many times in a row a process ended during this record's delivery."""
    return int(document[MACHINERY].get("interrupted", 0))


def attempts(document: Document) -> int:
    """Return how many times delivery of this record was attempted."""
    return int(document[MACHINERY]["attempts"])


def tries(document: Document) -> int:
    """Return the number of attempts and of those failures before them of which nothing was sent."""
    return attempts(document) + int(document[MACHINERY].get("unsent", 0))


def key_digest(document: Document) -> str:
    """Return the digest of a caller's key, by which records wait for earlier ones; NO_KEY without a key.

    >>> key_digest({"streamKey": "key1"}), key_digest({"streamKey": "key1", "caller": "mobile"})
    ('8174099687a26621', '692670ee5d9daacc')
    """
    key = document.get("streamKey")
    return _digest(caller(document), key)[:16] if key else NO_KEY


def name_digest(key: str) -> str:
    """Return the digest of a key whoever its caller is, by which failures of a key are found."""
    return _digest("", key)[:16]


def partition(document: Document) -> int:
    """Return the partition of a record: all records of a caller's key share one."""
    key = document.get("streamKey")
    digest = _digest(caller(document), key) if key else _digest("", document["id"])
    return int(digest[:8], 16) % PARTITIONS


def caller(document: Document) -> str:
    """Return the name of who stored a record; empty if it was anonymous."""
    return str(document.get("caller", ""))


def bound_to(document: Document, its_proof: Proof) -> Document:
    """Return `document` as one that was proven with this version of its secret."""
    kept = {"secret": its_proof.secret, "version": its_proof.version}
    return {**document, MACHINERY: {**document[MACHINERY], "proof": kept}}


def proof(document: Document) -> Proof | None:
    """Return what a record's token was proven with; None if it has none, or was stored before proofs were."""
    kept = document[MACHINERY].get("proof")
    return Proof(str(kept["secret"]), int(kept["version"])) if kept else None


def target(document: Document) -> str:
    """Return the target's `host:port`, by which its deliveries are limited."""
    known = document.get(MACHINERY, {}).get("target")
    return str(known) if known else parse_url(document["targetRestApi"]).origin


def public_view(document: Document) -> Document:
    """Return what callers may see of a record: its state, without token, payload and headers."""
    shown = {name: value for name, value in document.items() if name not in _HIDDEN_MEMBERS}
    return shown | {HISTORY: history.shown(shown[HISTORY], _HIDDEN_MEMBERS)} if HISTORY in shown else shown


def without_answers(document: Document) -> Document:
    """Return a record without what targets said of it: many of them would make a long answer of our own."""
    attempts = [{name: one[name] for name in one if name != ANSWER} for one in document.get(ATTEMPTS, ())]
    return document | {ATTEMPTS: attempts} if attempts else document


def _digest(caller: str, name: str) -> str:
    """Return the SHA-256 of a key or id that is the caller's own: another caller's has another digest.

    An anonymous caller's has the digest that it had before callers had names. Neither part can have a NUL:
    JSON is read without, and no header has one.
    """
    return hashlib.sha256((f"{caller}\0{name}" if caller else name).encode()).hexdigest()


def queued_members(document: Document, date: str) -> dict[str, Any]:
    """Return the machinery of a record that is due at a time."""
    members = {
        "partition": partition(document),
        "lane": key_digest(document),
        "target": target(document),
    }
    if members["lane"] != NO_KEY:
        members["keyed"] = members["lane"]
    if document.get("vaultSecretName"):
        members["secret"] = document["vaultSecretName"]
    return {"due": f"{date} {document['id']}", **members}


def failed_members(document: Document, code: int | str, moment: datetime) -> dict[str, str]:
    """Return the machinery that puts a failed record, dead or not, into the indexes of failures."""
    known = {"failed": document["id"], "code": str(code), "lately": timestamp(moment)}
    if document.get("streamKey"):
        known["key"] = name_digest(document["streamKey"])
    return known | ({"at": target(document)} if "targetRestApi" in document else {})
