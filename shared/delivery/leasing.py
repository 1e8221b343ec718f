"""A call's lease: acquired if its partitions hold something to deliver, kept by heartbeats, released."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from shared.delivery.call import WRAP_UP_SECONDS
from shared.delivery.fan_out import FanOut
from shared.delivery.fetcher import PAGE
from shared.delivery.limits import Limits
from shared.delivery.policy_watch import PolicyWatch
from shared.delivery.requests import DeliveryRequest
from shared.delivery.rescue import Change, rescue
from shared.drivers import threads
from shared.model import record
from shared.model.errors import DependencyDown
from shared.settings import Settings
from shared.storage.leases import Lease, LeaseSnapshot, LeaseTable
from shared.storage.records import Records, Stored

log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = (0.2, 0.5)  # at the lease table, while others own what is due


@dataclass(frozen=True)
class Acquired:
    """What an attempt at a lease gave.

    Without a lease, `nothing_left` tells whether nothing is left to deliver, as far as is known.
    """

    lease: Lease | None
    nothing_left: bool = False
    is_share: bool = False
    """Others are to be started for the rest of the partitions."""
    rescued: tuple[Change, ...] = ()


class Leasing:
    """Acquires, keeps and releases leases; one instance serves a process's calls."""

    def __init__(self, settings: Settings, records: Records, leases: LeaseTable, fan_out: FanOut):
        self._settings = settings
        self._records = records
        self._leases = leases
        self._fan_out = fan_out
        self._starting: asyncio.Task[None] | None = (
            None  # a task that nothing refers to may be garbage-collected
        )

    @property
    def table(self) -> LeaseTable:
        """The table of leases."""
        return self._leases

    async def acquire(self, request: DeliveryRequest, policies: PolicyWatch, *, again: bool) -> Acquired:
        """Lease free partitions that hold something of the request: a share, or `again` whatever nobody took.

        A walk leases all that are free, if its first record is in one of them. If others own what is wanted,
        watch until one leaves or dies, or all prove alive. The policies are read before anything is written.
        """
        first_heartbeats: dict[str, int] = {}
        while True:
            first = await threads.DATABASE.run(self._records.page, request.query, 1)
            if not first:
                return Acquired(None, nothing_left=True)
            snapshot = await threads.DATABASE.run(self._leases.snapshot_and_fence)
            acquired = Acquired(None)
            if await self._has_something(request, first[0], snapshot.free):
                acquired = await self._take(request, snapshot, policies, again=again)
            if acquired.lease is not None:
                return acquired
            now = snapshot.heartbeats
            first_heartbeats = {name: first_heartbeats.get(name, count) for name, count in now.items()}
            all_alive = all(first_heartbeats[name] != count for name, count in now.items())
            pause = random.uniform(*_LOOK_AGAIN_SECONDS)
            if (all_alive and now) or time.monotonic() + pause > request.deadline - WRAP_UP_SECONDS:
                return Acquired(None)
            await asyncio.sleep(pause)

    async def _take(
        self, request: DeliveryRequest, snapshot: LeaseSnapshot, policies: PolicyWatch, *, again: bool
    ) -> Acquired:
        await policies.refresh()
        rescued = await rescue(self._records, self._settings, snapshot.orphaned, policies)
        may_share = not (again or request.is_walk) and self._settings.fan_out > 1
        is_share = may_share and await self._is_backlog(request)
        most = -(-record.PARTITIONS // self._settings.fan_out) if is_share else record.PARTITIONS
        lease = await threads.DATABASE.run(self._leases.take, snapshot, most)
        return Acquired(lease, is_share=is_share and not request.fanned_out, rescued=tuple(rescued))

    async def _has_something(self, request: DeliveryRequest, first: Stored, free: frozenset[int]) -> bool:
        """Tell whether these partitions hold something of the request, or of a walk its first record."""
        if record.partition(first.document) in free:
            return True
        if request.is_walk or not free:
            return False
        query = replace(request.query, partitions=free)
        return bool(await threads.DATABASE.run(self._records.page, query, 1))

    async def _is_backlog(self, request: DeliveryRequest) -> bool:
        return request.fanned_out or await threads.DATABASE.run(self._records.reaches, request.query, PAGE)

    def start_others(self, request: DeliveryRequest) -> None:
        """Have other invocations started for the partitions that a share left; nobody waits for that."""
        starting = threads.FAN_OUT.run(self._fan_out.start, self._settings.fan_out - 1, request.limit)
        self._starting = asyncio.create_task(starting)

    @asynccontextmanager
    async def heartbeat(self, lease: Lease, limits: Limits, policies: PolicyWatch) -> AsyncIterator[None]:
        """Renew a lease, share which targets rest and read the policies, now and then in the block."""
        tasks = [
            asyncio.create_task(self._keep_renewed(lease)),
            asyncio.create_task(self._share(limits, policies)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _share(self, limits: Limits, policies: PolicyWatch) -> None:
        """Tell other workers which targets rest, and hear it from them: not by what renews the lease.

        Pages may be far between, so what waits for a slow target hears here of new policies.
        """
        while True:
            await asyncio.sleep(self._settings.renewal_interval)
            try:
                limits.hear_of(await threads.DATABASE.run(self._leases.share_rests, limits.rests()))
                await policies.refresh()
                limits.adapt()
            except DependencyDown:
                log.warning("rests and policies could not be shared; trying again")

    async def _keep_renewed(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self._settings.renewal_interval)
            try:
                if not await threads.RENEWALS.run(self._leases.renew, lease):
                    log.warning("another worker took over this worker's partitions")
                    return
            except DependencyDown:
                log.warning("the lease could not be renewed; trying again")

    async def release(self, lease: Lease, limits: Limits) -> None:
        """Give up a lease, with circuits and rests as they are; one that can't be released expires."""
        targets = limits.open_circuits(), list(limits.connected), limits.rests()
        try:
            await threads.DATABASE.run(self._leases.release, lease, *targets)
        except DependencyDown:
            log.warning("the lease could not be released; it expires by itself")
