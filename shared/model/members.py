"""Members of a body or a query, read one by one; all faults are reported together, each at its pointer.

>>> reader = MemberReader({"force": True})
>>> reader.read("force", boolean), reader.read("dryRun", boolean)
(True, None)
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.model import json_codec
from shared.model.errors import MOST_NAMED, Fault, Invalid, NotJson
from shared.model.json_codec import pointer_token
from shared.model.parsing import count
from shared.model.targets import normalised_prefix

USUAL_ON_PAGE, MOST_ON_PAGE = 50, 100
OF_A_PAGE = ("limit", "after")
"""The members by which a list is read page after page."""


class MemberReader:
    """Reads members of a body, and collects every fault with its pointer."""

    def __init__(self, members: Mapping[str, Any], at: str = ""):
        """`at` is the pointer of the object whose members these are."""
        self._members = members
        self._at = at
        self.faults: list[Fault] = []

    def read(self, name: str, parse: Callable[[Any], Any]) -> Any:
        """Return a member as `parse` reads it; None if it is absent, null or wrong."""
        value = self._members.get(name)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.faults.append(Fault(f"{self._at}/{name}", str(error)))
            return None

    def complain(self, name: str, detail: str) -> None:
        """Add a fault of a member that can be read."""
        self.faults.append(Fault(f"{self._at}/{name}", detail))

    def refuse_unknown(self, known: tuple[str, ...]) -> None:
        """Add a fault for every unknown member: a mistyped filter would replay too much."""
        for name in sorted(self._members.keys() - set(known))[: MOST_NAMED + 1]:
            self.faults.append(
                Fault(f"{self._at}/{pointer_token(name)}", f"is unknown; the members are {', '.join(known)}")
            )

    def finish(self) -> None:
        """Raise Invalid if there is any fault."""
        if self.faults:
            raise Invalid.of(self.faults, "nothing was done")


def members_of(body: bytes, *, lenient: bool = False, needed: str = "") -> Mapping[str, Any]:
    """Return the members of a body; if `lenient`, none unless it is an object with the member `needed`."""
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


def whole_number(value: Any) -> int:
    """Read a whole number from 1, or its digits."""
    if isinstance(value, str):
        return count(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 1 or value != int(value):
        raise ValueError("must be a whole number from 1")
    return int(value)


def boolean(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - a caller's mistake, not a programmer's
    return value


def text(value: Any) -> str:
    """Read a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a string that is not empty")
    return value


def url_prefix(value: Any) -> str:
    """Read the beginning of a target's URL, to be compared with the URLs of records."""
    return normalised_prefix(text(value))


def offset(value: Any) -> str:
    """Read a `lastReadOffset`."""
    text = "-1" if value == -1 and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > 64 or not text.isascii():
        raise ValueError("must be a lastReadOffset that an earlier answer gave, or -1")
    return text


def page(reader: MemberReader) -> tuple[int, str | None]:
    """Read which part of a list is wanted: how many of it, and what the page before answered as `next`."""
    limit = reader.read("limit", whole_number) or USUAL_ON_PAGE
    if limit > MOST_ON_PAGE:
        reader.complain("limit", f"must be at most {MOST_ON_PAGE}")
    return limit, reader.read("after", offset)


def moment(value: Any) -> datetime:
    """Read a time with its zone (RFC 3339)."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is not None and time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a time with its zone, such as 2026-11-23T21:00:00Z (RFC 3339)")
