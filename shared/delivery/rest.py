"""How long a target rests once it has said that it is overloaded, as one call has seen it.

A target that answers 429, or 503 with Retry-After, rests for as long as it says, and without a word for a
second; what all workers have seen of it may make that longer: see `model/pace.py`.
"""

import time
from collections import deque
from collections.abc import Callable

_SECONDS = 1.0  # if the target says nothing
_MEASURED_SECONDS = 1.0


class Rest:
    """Until when nothing may be sent to a target, and how much it took lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._until = 0.0
        self._accepted: deque[float] = deque()
        self.has_accepted = False
        """Whether the target took a request since it was last overloaded."""

    @property
    def seconds(self) -> float:
        """The seconds for which the target still rests."""
        return max(0.0, self._until - self._clock()) if self._until else 0.0

    @property
    def taken(self) -> int:
        """How many requests it took within the last second."""
        self._forget(self._clock())
        return len(self._accepted)

    def extend(self, seconds: float) -> None:
        """Let the target rest for so many seconds from now, if it does not rest for longer."""
        self._until = max(self._until, self._clock() + seconds)

    def accepted(self) -> None:
        """Note that the target took a request, whatever it answered of the record."""
        now = self._clock()
        self.has_accepted = True
        self._accepted.append(now)
        self._forget(now)

    def overloaded(self, retry_after: float | None, most: float) -> bool:
        """Let the target rest, at most so many seconds; tell whether this says anything new.

        What was in flight when it began to rest is refused too, and tells nothing new. If it may not rest at
        all (a backoff of 0 s), nothing changes.
        """
        now = self._clock()
        if not most:
            return False
        if now < self._until:
            self.extend(min(retry_after or 0.0, most))
            return False
        self.has_accepted = False
        self.extend(min(retry_after or _SECONDS, most))
        return True

    def _forget(self, now: float) -> None:
        while self._accepted and self._accepted[0] < now - _MEASURED_SECONDS:
            self._accepted.popleft()
