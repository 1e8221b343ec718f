"""A policy's rate, as one call uses it: the moments that it has reserved of what all workers share."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from shared.model.errors import DependencyDown
from shared.model.policy import Policy, Rate

log = logging.getLogger(__name__)

MOST_AHEAD_SECONDS = 30.0  # a record waits that long for its turn, and else for another call
_PORTION_SECONDS = 2.0  # of the rate, are reserved at once
_LEAST_PORTION = 4  # requests, if that would be fewer
_EARLY_SECONDS = 0.5  # before the last reserved one, more are reserved
_LATE = (0.9, 0.02)  # of the interval, and of the period: what is later than that is not sent any more
_AGAIN_SECONDS = 1.0  # after an outage

Reserve = Callable[[Policy, int, float], Awaitable[tuple[float, bool]]]
"""Reserves so many requests, the first in so many seconds at the most: see `storage/rates.py`.

Gives the moment of the first (monotonic seconds), and whether they are reserved."""


class SharedRate:
    """The moments (monotonic seconds) at which this call may send under one policy."""

    def __init__(self, policy: Policy, rate: Rate, reserve: Reserve):
        self.policy = policy
        self._rate = rate
        self._reserve = reserve
        self._moments: deque[float] = deque()
        self._closed_until = 0.0
        self._task: asyncio.Task[None] | None = None
        self._late = max(_LATE[0] * rate.interval, _LATE[1] * rate.seconds)

    @property
    def closed(self) -> float:
        """The seconds for which nothing can be reserved, since other workers use the rate up."""
        return max(0.0, self._closed_until - time.monotonic())

    @property
    def wait(self) -> float:
        """The seconds until the next request may be sent; infinity if none is reserved."""
        now = time.monotonic()
        while self._moments and self._moments[0] < now - self._late:
            self._moments.popleft()
        return max(0.0, self._moments[0] - now) if self._moments else float("inf")

    def sent(self) -> None:
        """Note that a request is sent."""
        if self._moments:
            self._moments.popleft()

    def want(self, number: int, then: Callable[[], None]) -> None:
        """See to it that there will be moments for so many requests, and call `then` once there are more."""
        now = time.monotonic()
        is_enough = len(self._moments) >= number or (
            bool(self._moments) and self._moments[-1] - now > _EARLY_SECONDS
        )
        if is_enough or self._task is not None or self.closed:
            return
        portion = max(_LEAST_PORTION, round(_PORTION_SECONDS / self._rate.interval))
        self._task = asyncio.create_task(self._more(min(portion, number - len(self._moments)), then))

    async def _more(self, number: int, then: Callable[[], None]) -> None:
        try:
            first, is_reserved = await self._reserve(self.policy, number, MOST_AHEAD_SECONDS)
            if is_reserved:
                self._moments.extend(first + place * self._rate.interval for place in range(number))
            else:
                self._closed_until = first - MOST_AHEAD_SECONDS / 2
        except DependencyDown:
            log.warning("no share of a target's rate could be reserved; trying again")
            await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            self._task = None
        then()


class Rates:
    """The rates of one call, by policy."""

    def __init__(self, reserve: Reserve):
        self._reserve = reserve
        self._known: dict[str, SharedRate] = {}

    def of(self, policy: Policy) -> SharedRate | None:
        """Return a policy's rate; None if it has none."""
        if policy.rate is None:
            return None
        known = self._known.get(policy.name)
        if known is None or known.policy.rate != policy.rate:
            known = self._known[policy.name] = SharedRate(policy, policy.rate, self._reserve)
        return known


async def _none(*_: object) -> tuple[float, bool]:
    return time.monotonic(), True


UNSHARED = Rates(_none)
"""For a call that knows of no policies."""
