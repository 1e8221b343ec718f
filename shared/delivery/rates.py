"""Rates as one call uses them: the moments that it has reserved of what all workers share.

A rate is a policy's, or the pace that a target has taught by being overloaded.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from shared.drivers import threads
from shared.model.errors import DependencyDown
from shared.model.pace import Refusal
from shared.model.policy import Policy
from shared.storage.rates import RateBook, Reserved

log = logging.getLogger(__name__)

MOST_AHEAD_SECONDS = 30.0  # a record waits that long for its turn, and else for another call
_LEAST_PORTION = 4  # requests are reserved at once, if the portion's seconds are fewer
_LATE = 0.9  # of the interval, and ...
_LATE_PORTION = 0.02  # of what a portion lasts: what is later than that is not sent any more
_AGAIN_SECONDS = 1.0  # after an outage

Reserve = Callable[[int], Awaitable[Reserved | None]]


class SharedRate:
    """The moments (monotonic seconds) at which this call may send."""

    def __init__(self, reserve: Reserve, portion: float, policy: Policy | None = None):
        """`reserve` reserves so many requests; `portion` is for how many seconds, at once."""
        self.policy = policy
        self.is_over = False
        """Whether nothing is limited any more."""
        self.rests_until = 0.0
        self._reserve = reserve
        self._portion = portion
        self._interval = portion
        self._moments: deque[float] = deque()
        self._closed_until = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def closed(self) -> float:
        """The seconds for which nothing can be reserved, since other workers use the rate up."""
        return max(0.0, self._closed_until - time.monotonic())

    @property
    def wait(self) -> float:
        """The seconds until the next request may be sent; infinity if none is reserved."""
        if self.is_over:
            return 0.0
        now = time.monotonic()
        late = max(_LATE * self._interval, _LATE_PORTION * self._portion)
        while self._moments and self._moments[0] < now - late:
            self._moments.popleft()
        return max(0.0, self._moments[0] - now) if self._moments else math.inf

    def sent(self) -> None:
        """Note that a request is sent."""
        if self._moments:
            self._moments.popleft()

    def forget(self) -> None:
        """Drop what is reserved: the target rests."""
        self._moments.clear()

    def want(self, number: int, then: Callable[[], None]) -> None:
        """See to it that there will be moments for so many requests, and call `then` once there are more."""
        soon = time.monotonic() + self._portion / 4
        is_enough = len(self._moments) >= number or (bool(self._moments) and self._moments[-1] > soon)
        if is_enough or self._task is not None or self.closed or self.is_over:
            return
        portion = max(_LEAST_PORTION, round(self._portion / self._interval))
        self._task = asyncio.create_task(self._more(min(portion, number - len(self._moments)), then))

    async def _more(self, number: int, then: Callable[[], None]) -> None:
        try:
            reserved = await self._reserve(number)
            if reserved is None:
                self.is_over = True
            else:
                self._take(reserved)
        except DependencyDown:
            log.warning("no share of a target's rate could be reserved; trying again")
            await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            self._task = None
        then()

    def _take(self, reserved: Reserved) -> None:
        self._interval = reserved.interval
        self.rests_until = time.monotonic() + reserved.rests
        self._moments.extend(reserved.first + place * reserved.interval for place in range(reserved.number))
        if not reserved.number:
            self._closed_until = reserved.first - MOST_AHEAD_SECONDS / 2


class Rates:
    """The rates of one call, by policy and by target."""

    _POLICY_SECONDS = 2.0
    _PACE_SECONDS = 0.5  # short, since others may hear of an overload meanwhile

    def __init__(self, book: RateBook | None = None):
        """`book` is what all workers share; without it nothing has a rate."""
        self._book = book
        self._of_policies: dict[str, SharedRate] = {}
        self._noting: set[asyncio.Task[None]] = set()

    def of(self, policy: Policy) -> SharedRate | None:
        """Return a policy's rate; None if it has none."""
        if policy.rate is None or self._book is None:
            return None
        known = self._of_policies.get(policy.name)
        if known is None or known.policy is None or known.policy.rate != policy.rate:
            reserve = partial(threads.DATABASE.run, self._book.reserve, policy, MOST_AHEAD_SECONDS)
            known = self._of_policies[policy.name] = SharedRate(reserve, self._POLICY_SECONDS, policy)
        return known

    def paced(self, target: str) -> SharedRate | None:
        """Return the pace of a target that was overloaded."""
        if self._book is None:
            return None
        reserve = partial(threads.DATABASE.run, self._book.reserve_paced, target, MOST_AHEAD_SECONDS)
        return SharedRate(reserve, self._PACE_SECONDS)

    def slow_down(self, target: str, refusal: Refusal, hear: Callable[[Mapping[str, float]], None]) -> None:
        """Tell all workers that a target is overloaded; `hear` is told for how many seconds it rests."""
        if self._book is not None:
            task = asyncio.create_task(self._noted(self._book, target, refusal, hear))
            self._noting.add(task)
            task.add_done_callback(self._noting.discard)

    async def _noted(
        self, book: RateBook, target: str, refusal: Refusal, hear: Callable[[Mapping[str, float]], None]
    ) -> None:
        try:
            hear({target: await threads.DATABASE.run(book.slow_down, target, refusal)})
        except DependencyDown:
            log.warning("other workers are not told that %s is overloaded", target)

    async def noted(self) -> None:
        """Wait until everything that was told is noted."""
        if self._noting:
            await asyncio.wait(self._noting)
