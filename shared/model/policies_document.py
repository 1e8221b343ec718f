"""The policies document: read, with every fault at its pointer.

>>> entry = {"name": "erp", "targetRestApi": "https://erp.example.com/", "retryLimit": 3}
>>> read({"targets": [entry]})[0].retry_limit
3
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from shared.model import members, parsing
from shared.model.codes import status_codes
from shared.model.errors import Fault, Invalid
from shared.model.expressions import Expression
from shared.model.members import MemberReader
from shared.model.policy import FOREVER, Area, Policy, Rate
from shared.model.record import OPERATIONS

T = TypeVar("T")

READ_ONLY = ("version", "changedBy", "changedDate", "time", "live")
"""Members that an answer has beside the document; sent back, they say nothing."""
MEMBERS = (
    *("name", "targetRestApi", "targetRestApiOperation", "paused", "rate", "concurrency"),
    *("connectTimeout", "readTimeout", "retryCodes", "retryLimit", "retryBackoff"),
    *("unknownOutcome", "success", "answers", "filter", "payload", "headers"),
)
LONGEST_TIMEOUT = 240.0  # seconds, of the 300 that a function has at the most
_MOST_ENTRIES = 500
_MOST_NAME = 60  # characters
_LONGEST_PREFIX = 2048
_MOST_CONCURRENCY = 256  # a container has 350 open files
_RATE_PERIODS = (1.0, 24 * 3600.0)  # seconds


def read(document: Any) -> list[Policy]:
    """Return the policies of a document. Raises Invalid with every fault."""
    if not isinstance(document, Mapping):
        raise Invalid.of([Fault("", "must be an object with the member targets")], "nothing was changed")
    reader = MemberReader({name: one for name, one in document.items() if name not in READ_ONLY})
    reader.refuse_unknown(("targets",))
    entries = document.get("targets")
    if not isinstance(entries, Sequence) or isinstance(entries, str) or len(entries) > _MOST_ENTRIES:
        reader.complain("targets", f"must be a list of at most {_MOST_ENTRIES} policies")
        entries = []
    policies = []
    for place, entry in enumerate(entries):
        policy, faults = _policy(entry, f"/targets/{place}")
        policies.append(policy)
        reader.faults += faults
    reader.faults += _repeated(policies)
    if reader.faults:
        raise Invalid.of(reader.faults, "nothing was changed")
    return policies


def _policy(entry: Any, at: str) -> tuple[Policy, list[Fault]]:
    if not isinstance(entry, Mapping):
        return Policy(), [Fault(at, "must be an object")]
    reader = MemberReader(entry, at)
    reader.refuse_unknown(MEMBERS)
    for name in ("name", "targetRestApi"):
        if entry.get(name) is None:
            reader.complain(name, "is missing")
    area = Area(
        reader.read("targetRestApi", _prefix) or "",
        reader.read("targetRestApiOperation", _one_of(OPERATIONS)),
    )
    policy = Policy(
        name=reader.read("name", _name) or "",
        area=area,
        paused_until=reader.read("paused", _paused),
        rate=_rate(entry.get("rate"), reader, f"{at}/rate"),
        concurrency=reader.read("concurrency", _up_to(_MOST_CONCURRENCY)),
        connect_timeout=reader.read("connectTimeout", _timeout),
        read_timeout=reader.read("readTimeout", _timeout),
        retry_codes=reader.read("retryCodes", status_codes),
        retry_limit=reader.read("retryLimit", members.whole_number),
        retry_backoff=reader.read("retryBackoff", _text(parsing.duration_range)),
        holds_unknown=reader.read("unknownOutcome", _one_of(("retry", "hold"))) == "hold",
        success=reader.read("success", Expression.parse),
        answers=reader.read("answers", _one_of(("failures", "all", "none"))) or "failures",
        filter=reader.read("filter", Expression.parse),
        payload=reader.read("payload", Expression.parse),
        headers=reader.read("headers", Expression.parse),
    )
    if (policy.connect_timeout or 0) + (policy.read_timeout or 0) > LONGEST_TIMEOUT + 30:
        reader.complain("connectTimeout", "must be at most 30s beside so long a readTimeout")
    return policy, reader.faults


def _rate(value: Any, entry: MemberReader, at: str) -> Rate | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        entry.complain("rate", 'must be an object such as {"requests": 30, "per": "1m"}')
        return None
    reader = MemberReader(value, at)
    reader.refuse_unknown(("requests", "per"))
    for name in ("requests", "per"):
        if value.get(name) is None:
            reader.complain(name, "is missing")
    requests, seconds = reader.read("requests", members.whole_number), reader.read("per", _period)
    entry.faults += reader.faults
    return Rate(requests, seconds) if requests and seconds else None


def _repeated(policies: Sequence[Policy]) -> list[Fault]:
    """Return a fault for each policy whose name, or whose area, an earlier one has."""
    faults, names, areas = [], set(), set()
    for place, policy in enumerate(policies):
        if policy.name and policy.name in names:
            faults.append(Fault(f"/targets/{place}/name", "is the name of an earlier policy, too"))
        if policy.area.prefix and policy.area in areas:
            faults.append(
                Fault(
                    f"/targets/{place}/targetRestApi", "is that of an earlier policy, for the same operation"
                )
            )
        names.add(policy.name)
        areas.add(policy.area)
    return faults


def _name(value: Any) -> str:
    name = members.text(value)
    if len(name) > _MOST_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(f"must be at most {_MOST_NAME} characters that can be seen")
    return name


def _prefix(value: Any) -> str:
    prefix = members.url_prefix(value)
    if (
        not prefix.startswith(("https://", "http://"))
        or not prefix.isascii()
        or len(prefix) > _LONGEST_PREFIX
    ):
        raise ValueError("must be the beginning of URLs, such as https://erp.example.com/")
    return prefix


def _paused(value: Any) -> datetime | None:
    if isinstance(value, bool):
        return FOREVER if value else None
    if isinstance(value, str):
        return members.moment(value)
    raise ValueError("must be true, false, or the time until which (RFC 3339)")


def _timeout(value: Any) -> float:
    seconds = _text(parsing.duration)(value)
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise ValueError(f"must be over 0s and at most {LONGEST_TIMEOUT / 60:g}m")
    return seconds


def _period(value: Any) -> float:
    seconds = _text(parsing.duration)(value)
    if not _RATE_PERIODS[0] <= seconds <= _RATE_PERIODS[1]:
        raise ValueError("must be a duration from 1s to 24h")
    return seconds


def _text(parse: Callable[[str], T]) -> Callable[[Any], T]:
    """Return a function that reads a text as a setting is read."""
    return lambda value: parse(members.text(value))


def _up_to(most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = members.whole_number(value)
        if number > most:
            raise ValueError(f"must be at most {most}")
        return number

    return read


def _one_of(choices: Sequence[str]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if value not in choices or not isinstance(value, str):
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return read
