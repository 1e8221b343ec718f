"""The use case of process-data: hold a lease, let one call deliver what its order asks for."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shared.collection import Records
from shared.dispatch import AFTER_LAST_ANSWER, Dispatch, Summary
from shared.errors import DependencyDown
from shared.leases import Lease, LeaseTable
from shared.orders import Order
from shared.settings import Settings
from shared.vault import TokenVault

log = logging.getLogger(__name__)

T = TypeVar("T")

_THREADS = 4  # one per connection of the database's pool
_LOOK_AGAIN_SECONDS = (0.2, 0.5)  # at the lease table, while others own everything


@dataclass
class Delivery:
    """Delivers records; one instance serves a process's calls."""

    settings: Settings
    records: Records
    vault: TokenVault
    leases: LeaseTable
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS))

    async def run(self, order: Order) -> Summary:
        """Carry out one call. Raises DependencyDown where database or Vault kept it from doing anything."""
        lease = await self._leased(order.deadline)
        if lease is None:
            return Summary(last=order.selection.after)
        renewal = asyncio.create_task(self._keep_renewed(lease))
        try:
            dispatch = Dispatch(self.settings, self.records, self.vault, order, lease, self.blocking)
            summary = await dispatch.run()
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            await self._release(lease)
        if not (summary.end or summary.handled):
            # What is left is others' to deliver: whoever calls until the end shall not call in a rush.
            await asyncio.sleep(random.uniform(*_LOOK_AGAIN_SECONDS))
        return summary

    async def count(self, order: Order) -> int:
        """Count what an order would handle, and change nothing."""
        return await self.blocking(self.records.count, order.selection)

    async def blocking(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Run a database or Vault call on one of a few threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, lambda: call(*arguments, **options))

    async def _leased(self, deadline: float) -> Lease | None:
        """Lease partitions; where others own all of them, watch until one leaves, dies or all prove alive."""
        first_beats: dict[str, int] = {}
        while True:
            standing = await self.blocking(self.leases.acquire)
            if standing.lease is not None:
                return standing.lease
            first_beats = {name: first_beats.get(name, beat) for name, beat in standing.beats.items()}
            alive = all(first_beats[name] != beat for name, beat in standing.beats.items())
            pause = random.uniform(*_LOOK_AGAIN_SECONDS)
            if alive or time.monotonic() + pause > deadline - AFTER_LAST_ANSWER:
                return None
            await asyncio.sleep(pause)

    async def _keep_renewed(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self.settings.renewal_interval)
            try:
                if not await self.blocking(self.leases.renew, lease):
                    lease.valid_until = 0.0
                    log.warning("another worker took over this worker's partitions")
                    return
            except DependencyDown:
                log.warning("the lease could not be renewed; trying again")

    async def _release(self, lease: Lease) -> None:
        try:
            await self.blocking(self.leases.release, lease)
        except DependencyDown:
            log.warning("the lease could not be released; it expires by itself")
