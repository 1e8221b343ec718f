"""What a call to `/process` or `/process/retry` asks for: its body, checked, as an DeliveryRequest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.model import json_codec
from shared.model.codes import INVALID, error_mapping, status_codes
from shared.model.errors import MOST_NAMED, Fault, Invalid, NotJson, json_pointer_token
from shared.model.ids import timestamp
from shared.model.parsing import count
from shared.model.retry import RetryPolicy
from shared.settings import Settings
from shared.storage.queries import FAILED, REPLAY, FailureQuery, Query, due

RETRY_MEMBERS = (
    *("noOfMessagesToProcess", "readAfterOffset", "retryCodes", "retryLimit", "errormapping"),
    *("streamOCIDToRetry", "from", "to", "targetRestApi", "streamKey", "force", "dryRun"),
)
MAINTENANCE = "maintenance"
PREPARE = "prepare"
REPORT_MEMBERS = ("retryCodes", "streamOCIDToRetry", "from", "to", "targetRestApi", "streamKey")


@dataclass(frozen=True)
class DeliveryRequest:
    """What one call shall do: which records, how many, under which rules, until when (monotonic seconds)."""

    selection: Query
    limit: int
    policy: RetryPolicy
    deadline: float
    dry_run: bool = False
    fanned_out: bool = False


@dataclass(frozen=True)
class Task:
    """What a direct invocation asks for, other than deliveries: MAINTENANCE or PREPARE."""

    name: str
    dry_run: bool
    admin_password_secret: str
    """OCID of the secret with the password of the database's ADMIN, to PREPARE."""


def process_request(
    body: bytes, settings: Settings, deadline: float, *, direct: bool = False
) -> DeliveryRequest:
    """Read the body of `/process`: none, `{}`, or a bound on the number of records.

    Invoked directly, the body may be anything, such as the message of an alarm that serves as a clock;
    `fannedOut` says that another invocation started this one.
    """
    reader = _Reader(_members(body, lenient=direct))
    limit = reader.limit(settings)
    fanned_out = direct and reader.read("fannedOut", _boolean) is True
    reader.finish()
    return DeliveryRequest(
        due(datetime.now(UTC)), limit, settings.retry_policy(), deadline, fanned_out=fanned_out
    )


def task(body: bytes) -> Task | None:
    """Read which task a direct invocation asks for; None where it asks for none, and delivers."""
    members = _members(body, lenient=True, needed="task")
    if "task" not in members:
        return None
    reader = _Reader(members)
    name = reader.read("task", _task)
    dry_run = reader.read("dryRun", _boolean) or False
    secret = reader.read("adminPasswordSecret", _text) or ""
    if name == PREPARE and not secret:
        reader.complain("adminPasswordSecret", "is missing: the OCID of the secret of ADMIN's password")
    if name == PREPARE and dry_run:
        reader.complain("dryRun", "is for maintenance only")
    reader.finish()
    return Task(name, dry_run, secret)


def retry_request(body: bytes, settings: Settings, deadline: float) -> DeliveryRequest:
    """Read the body of `/process/retry`: which failed records to replay, and under which rules."""
    reader = _Reader(_members(body))
    reader.refuse_unknown(RETRY_MEMBERS)
    limit = reader.limit(settings)
    selection = _retry_selection(reader, settings)
    streams = reader.read("errormapping", error_mapping)
    dry_run = reader.read("dryRun", _boolean) or False
    reader.finish()
    return DeliveryRequest(selection, limit, settings.retry_policy(streams), deadline, dry_run)


def _retry_selection(reader: "_Reader", settings: Settings) -> Query:
    """Select failed records by id. Dead ones are among them only where the caller names codes, or forces."""
    codes = reader.read("retryCodes", status_codes)
    limit = reader.read("retryLimit", _count) or settings.retry_limit
    force = reader.read("force", _boolean) or False
    conditions: list[dict[str, Any]] = []
    if not force:
        conditions.append({"datasync.code": {"$in": sorted(codes or settings.retry_codes)}})
        conditions.append({"datasync.attempts": {"$lt": limit}})
        is_due = {"datasync.due": {"$lt": timestamp(datetime.now(UTC))}}
        conditions.append({"$or": [is_due, {"dead": True}]} if codes else is_due)
    else:
        conditions.append({"datasync.code": {"$ne": INVALID}})  # what is no record can't be sent
    conditions += _filters(reader)
    after = reader.read("readAfterOffset", _offset) or "-1"
    return Query(
        FAILED if codes or force else REPLAY, after, conditions={"$and": conditions} if conditions else {}
    )


def report_query(query: Mapping[str, str]) -> FailureQuery:
    """Read which failures the report shall show: members of `/process/retry`, in a query."""
    reader = _Reader(query)
    reader.refuse_unknown(REPORT_MEMBERS)
    codes = reader.read("retryCodes", status_codes)
    conditions = [{"datasync.code": {"$in": sorted(codes)}}] if codes else []
    conditions += _filters(reader)
    since, until = (reader.read(name, _time) for name in ("from", "to"))
    reader.finish()
    return FailureQuery({"$and": conditions} if conditions else {}, since, until)


def _filters(reader: "_Reader") -> list[dict[str, Any]]:
    """Read which records, whatever became of them."""
    conditions: list[dict[str, Any]] = []
    for name, path, operator in (
        ("streamOCIDToRetry", "error_stream", "$eq"),
        ("streamKey", "streamKey", "$eq"),
        ("targetRestApi", "targetRestApi", "$startsWith"),
    ):
        text = reader.read(name, _text)
        if text is not None:
            conditions.append({path: {operator: text}})
    for name, operator in (("from", "$gte"), ("to", "$lt")):
        moment = reader.read(name, _moment)
        if moment is not None:
            conditions.append({"createdDate": {operator: moment}})
    return conditions


class _Reader:
    """Reads members of a body, and notes every fault with its pointer."""

    def __init__(self, members: Mapping[str, Any]):
        self._members = members
        self._faults: list[Fault] = []

    def read(self, name: str, parse: Callable[[Any], Any]) -> Any:
        """Return a member as `parse` reads it; None where it is absent or null, or wrong."""
        value = self._members.get(name)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self._faults.append(Fault(f"/{name}", str(error)))
            return None

    def limit(self, settings: Settings) -> int:
        """Return how many records the call may handle."""
        wanted: int | None = self.read("noOfMessagesToProcess", _count)
        if wanted is None:
            return settings.messages_per_call
        most = settings.messages_per_call_max
        if wanted > most:
            self._faults.append(Fault("/noOfMessagesToProcess", f"must be at most {most}"))
        return wanted

    def complain(self, name: str, detail: str) -> None:
        """Note what is wrong with a member that can be read."""
        self._faults.append(Fault(f"/{name}", detail))

    def refuse_unknown(self, known: tuple[str, ...]) -> None:
        """Note every member that means nothing: a mistyped filter would replay too much."""
        for name in sorted(self._members.keys() - set(known))[: MOST_NAMED + 1]:
            self._faults.append(
                Fault(f"/{json_pointer_token(name)}", f"is unknown; the members are {', '.join(known)}")
            )

    def finish(self) -> None:
        """Raise Invalid where anything was wrong."""
        if self._faults:
            raise Invalid.of(self._faults, "nothing was done")


def _members(
    body: bytes, *, lenient: bool = False, needed: str = "noOfMessagesToProcess"
) -> Mapping[str, Any]:
    """Return the members of a body; leniently, none where it is no object that has the one `needed`."""
    try:
        value = json_codec.parse(body) if body.strip() else {}
    except (NotJson, Invalid):
        if not lenient:
            raise
        value = {}
    if not isinstance(value, dict):
        if not lenient:
            raise Invalid.of([Fault("", "must be an object")], "nothing was done")
        value = {}
    if lenient and needed not in value:
        return {}
    return value


def _count(value: Any) -> int:
    if isinstance(value, str):
        return count(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 1 or value != int(value):
        raise ValueError("must be a whole number from 1")
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - a caller's fault, not a programmer's
    return value


def _task(value: Any) -> str:
    if value not in (MAINTENANCE, PREPARE):
        raise ValueError(f"must be {MAINTENANCE} or {PREPARE}")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a string that is not empty")
    return value


def _offset(value: Any) -> str:
    text = "-1" if value == -1 and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > 64 or not text.isascii():
        raise ValueError("must be a lastReadOffset that an earlier answer gave, or -1")
    return text


def _moment(value: Any) -> str:
    return timestamp(_time(value))


def _time(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a time with its zone, such as 2026-11-23T21:00:00Z (RFC 3339)")
