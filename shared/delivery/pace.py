"""The pace at which one target gets requests, once it has said that it is overloaded.

A target that answers 429, or 503 with Retry-After, rests for as long as it says; without a word, and each
time that nothing was accepted since, for longer than before. Then it gets nearly as many requests a second as
it accepted in the second before (multiplicative decrease), and gradually more with each that it accepts
(additive increase).
"""

import random
import time
from collections import deque
from collections.abc import Callable

_FIRST_REST_SECONDS = 1.0  # if the target says nothing; it doubles
_DECREASE = 0.95  # of what was accepted within a second
_WORSE = 0.5  # of the pace, if nothing was accepted
_FIRST = 10.0  # requests a second, at least, after the first time: others may have had the whole second
_INCREASE = 0.001  # of the pace, in a second
_FASTER = 1.0  # by so much more, with each second in which nothing was refused
_LEAST = 0.05  # requests a second
_MOST = 2000.0  # beyond that it is none
_MEASURED_SECONDS = 1.0


class Pace:
    """When the next request may be sent."""

    def __init__(self, per_second: float | None = None, clock: Callable[[], float] = time.monotonic):
        """`per_second` is what an earlier call has learnt, if the target was ever overloaded."""
        self.per_second = per_second
        self._clock = clock
        self._rests_until = 0.0
        self._next_at = 0.0
        self._since = self._grown_at = clock()
        self._overloads = 0
        self._accepted: deque[float] = deque()

    @property
    def resting(self) -> float:
        """The seconds for which the target still rests."""
        return max(0.0, self._rests_until - self._clock()) if self._rests_until else 0.0

    @property
    def wait(self) -> float:
        """The seconds until the next request may be sent."""
        if self.per_second is None and not self._rests_until:
            return 0.0
        return max(0.0, max(self._rests_until, self._next_at) - self._clock())

    def rest_for(self, seconds: float) -> None:
        """Let the target rest."""
        self._rests_until = max(self._rests_until, self._clock() + seconds)

    def sent(self) -> None:
        """Note that a request is sent."""
        if self.per_second is not None:
            self._next_at = max(self._next_at, self._clock()) + 1 / self.per_second

    def accepted(self) -> None:
        """Note that the target took a request, whatever it answered of the record."""
        now = self._clock()
        self._overloads = 0
        self._accepted.append(now)
        self._forget(now)
        if self.per_second is not None:
            calm = max(0.0, now - max(self._rests_until, self._since))  # seconds without a refusal
            growth = _INCREASE * (1 + _FASTER * calm) * max(0.0, now - self._grown_at)
            self.per_second *= 1 + min(growth, 0.1)
            self._grown_at = now
            if self.per_second > _MOST:
                self.per_second = None

    def overloaded(self, retry_after: float | None, most: float) -> None:
        """Let the target rest, at most so many seconds, and slow down.

        What was in flight when it began to rest is refused too, and tells nothing new. If it may not rest at
        all (a backoff of 0 s), nothing changes.
        """
        now = self._clock()
        if not most:
            return
        if now < self._rests_until:
            self.rest_for(min(retry_after or 0.0, most))
            return
        self._overloads += 1
        own = _FIRST_REST_SECONDS * 2.0 ** min(self._overloads - 1, 40)
        self.rest_for(min(max(retry_after or own, own * random.uniform(0.9, 1.0)), most))
        self._forget(now)
        taken = len(self._accepted) * _DECREASE / _MEASURED_SECONDS
        least = _FIRST if self.per_second is None else _LEAST
        self.per_second = max(least, taken or _WORSE * (self.per_second or 0.0))
        self._grown_at = self._rests_until

    def _forget(self, now: float) -> None:
        while self._accepted and self._accepted[0] < now - _MEASURED_SECONDS:
            self._accepted.popleft()
