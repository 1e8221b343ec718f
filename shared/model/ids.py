"""Identifiers that sort by age (UUIDv7), and times as every document has them."""

import os
import threading
from datetime import UTC, datetime, timedelta

_STEPS = 4096  # of a millisecond, which the 12 bits behind it tell apart
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Ticks:
    """Steps since 1970 that never repeat within a process, so that ids sort as they were made."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self, moment: datetime) -> int:
        with self._lock:
            self._last = max(_steps(moment), self._last + 1)
            return self._last


_ticks = _Ticks()


def new_id(moment: datetime, after: str = "") -> str:
    """Return a UUIDv7 of a time, or the least later one that is greater than all others that were made.

    48 bits of milliseconds, 12 bits of their fraction, 62 random bits (RFC 9562, sections 5.7 and 6.2, method
    3: the fraction makes ids of one millisecond sort). It is also greater than the id `after`, if that is not
    empty, whatever the time in it.

    >>> identity = new_id(datetime(2026, 11, 23, tzinfo=UTC))
    >>> identity < new_id(datetime(2026, 11, 22, tzinfo=UTC), after=identity)
    True
    """
    steps = _ticks.next(moment)
    if after:
        steps = max(steps, _steps_of(after) + 1)
    milliseconds, rest = divmod(steps, _STEPS)
    bits = milliseconds << 80 | 0x7 << 76 | rest << 64
    bits |= 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _steps(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * _STEPS // 1000


def _steps_of(identity: str) -> int:
    digits = identity.replace("-", "")
    return int(digits[:12], 16) * _STEPS + int(digits[13:16], 16)


def timestamp(moment: datetime) -> str:
    """Return a time as every document has it: UTC, microseconds, `Z` (RFC 3339); sorts as text.

    >>> timestamp(datetime(2026, 11, 23, 21, tzinfo=UTC))
    '2026-11-23T21:00:00.000000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def id_at(moment: datetime) -> str:
    """Return the lowest id that a record stored at `moment` can have."""
    text = f"{int(moment.timestamp() * 1000):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"


def moment_behind(identity: str) -> datetime:
    """Return the first microsecond that is not before the time in an id."""
    return _EPOCH + timedelta(microseconds=-(-_steps_of(identity) * 1000 // _STEPS))


def stored_at(identity: str) -> datetime:
    """Return when the record with this id was stored, to the millisecond."""
    milliseconds = int(identity.replace("-", "")[:12], 16)
    return _EPOCH + timedelta(milliseconds=milliseconds)
