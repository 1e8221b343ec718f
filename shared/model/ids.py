"""Identifiers that sort by age (UUIDv7), and times as every document has them."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta


class _Clock:
    """Nanoseconds since 1970 that never repeat within a process, so that ids sort as they were made."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def tick(self) -> int:
        with self._lock:
            self._last = max(time.time_ns(), self._last + 256)  # 256 ns: one step of the 12 bits in `new_id`
            return self._last


_clock = _Clock()


def new_id() -> tuple[str, datetime]:
    """Return a UUIDv7 and the time in it: 48 bits of milliseconds, 12 bits of their fraction, 62 random bits.

    RFC 9562, sections 5.7 and 6.2 (method 3: the fraction makes ids of one millisecond sort).
    """
    nanoseconds = _clock.tick()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    bits = milliseconds << 80 | 0x7 << 76 | (rest * 4096 // 1_000_000) << 64
    bits |= 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    text = f"{bits:032x}"
    identity = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return identity, datetime.fromtimestamp(0, UTC) + timedelta(microseconds=nanoseconds // 1000)


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


def stored_at(identity: str) -> datetime:
    """Return when the record with this id was stored, to the millisecond."""
    milliseconds = int(identity.replace("-", "")[:12], 16)
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
