"""What a failure means for a record: another try or none, when, and the error stream it is filed under."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from shared.model.codes import UNEXPECTED_ERROR

RECOVERABLE = "recoverable"
UNRECOVERABLE = "unrecoverable"


@dataclass(frozen=True)
class RetryPolicy:
    """The operator's rules for failures; one call may bring an error mapping of its own."""

    codes: frozenset[str]
    limit: int
    backoff: tuple[float, float]
    streams: Mapping[str, str]

    def error_stream(self, code: int | str) -> str:
        """Return the stream under which a failure with this code is filed."""
        default = RECOVERABLE if str(code) in self.codes else UNRECOVERABLE
        return self.streams.get(str(code), self.streams.get(UNEXPECTED_ERROR, default))

    def next_attempt(
        self,
        code: int | str,
        attempts: int,
        tries: int,
        moment: datetime,
        retry_after: float | None = None,
    ) -> datetime | None:
        """Return when to try again after so many attempts, the last failing with `code`; None: never.

        `tries` counts what was not sent too: the limit is on attempts, the backoff grows with tries.
        `retry_after` is the delay in seconds that the target asked for.
        """
        if str(code) not in self.codes or attempts >= self.limit:
            return None
        low, high = self.backoff
        delay = backoff(tries, low, high)
        if retry_after is not None:
            delay = max(delay, min(retry_after, high))
        return moment + timedelta(seconds=delay)


def backoff(attempts: int, low: float, high: float) -> float:
    """Return seconds to wait after the given number of attempts: exponential, with full jitter, from `low`.

    Full jitter: uniformly between the least and the exponential bound, so that records that failed together
    don't come back together. [AWS Architecture Blog, "Exponential Backoff And Jitter"]
    """
    bound = min(high, low * 2.0 ** min(attempts, 60))
    return random.uniform(low, max(low, bound))


def retry_after_seconds(header: str | None, moment: datetime) -> float | None:
    """Read a Retry-After header, seconds or a date (RFC 9110, section 10.2.3); None if it says nothing.

    >>> retry_after_seconds("120", datetime.now(UTC))
    120.0
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - moment).total_seconds())
