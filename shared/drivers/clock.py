"""The time that holds for all machines: the database's, measured when a connection is made and now and then.

Between two measurements this machine's monotonic clock goes on; its wall clock counts only until the first.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

_MEASURE_SECONDS = 300.0  # between two measurements
_QUERY = "select sys_extract_utc(systimestamp) from dual"


class DatabaseClock:
    """The database's time, as this process knows it."""

    def __init__(self) -> None:
        self._measured: tuple[datetime, float] | None = None
        self._lock = threading.Lock()

    @property
    def is_stale(self) -> bool:
        """Whether it is time to measure, for the first time or again."""
        with self._lock:
            return self._measured is None or time.monotonic() > self._measured[1] + _MEASURE_SECONDS

    def measure(self, connection: Any) -> None:
        """Ask the database for its time: one round trip, in whose middle that is taken to have been."""
        started = time.monotonic()
        (moment,) = connection.cursor().execute(_QUERY).fetchone()
        middle = (started + time.monotonic()) / 2
        with self._lock:
            self._measured = moment.replace(tzinfo=UTC), middle

    def now(self) -> datetime:
        """Return the time."""
        with self._lock:
            if self._measured is None:
                return datetime.now(UTC)
            moment, measured_at = self._measured
        return moment + timedelta(seconds=time.monotonic() - measured_at)


CLOCK = DatabaseClock()
"""The process's clock: it has one database."""


def now() -> datetime:
    """Return the database's time."""
    return CLOCK.now()
