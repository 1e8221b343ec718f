"""Cuts off requests once the lease has really ended: a request may outlast a lease that is renewed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.storage.leases import Lease

_LOOK_SECONDS = 1.0  # a lease that somebody has taken over ends before its time


class LeaseEnded(Exception):
    """The lease has ended during a request: whoever has the partition now writes what became of it."""


class LeaseGuard:
    """Guards the requests under one lease."""

    def __init__(self, lease: Lease):
        self._lease = lease
        self._requests: set[asyncio.Timeout] = set()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Guard the request that is made in the block. Raises LeaseEnded if it is cut off."""
        try:
            async with asyncio.timeout(None) as limit:
                self._requests.add(limit)
                if self._timer is None:
                    self._look()
                try:
                    yield
                finally:
                    self._requests.discard(limit)
        except TimeoutError:
            raise LeaseEnded from None

    def close(self) -> None:
        """Stop guarding."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Look whether the lease has been renewed since it was to end."""
        loop = asyncio.get_running_loop()
        left = self._lease.valid_until - time.monotonic()
        if left > 0:
            self._timer = loop.call_later(min(left, _LOOK_SECONDS), self._look)
            return
        self._timer = None
        for limit in self._requests:
            limit.reschedule(loop.time())
