"""The use case of process-data: hold a lease, let a call deliver what its order asks for, share a backlog."""

import asyncio
import contextvars
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from shared.delivery.completer import Completer
from shared.delivery.dispatcher import Dispatcher, Summary
from shared.delivery.executor import AFTER_LAST_ANSWER, Executor
from shared.delivery.fan_out import FanOut
from shared.delivery.fetcher import PAGE
from shared.delivery.limits import Limits
from shared.delivery.requests import DeliveryRequest
from shared.model import record, transitions
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.monitoring.call_stats import Backlog, CallStats
from shared.monitoring.publisher import Publisher
from shared.outbound.oauth import AccessTokens
from shared.outbound.sender import Sender
from shared.outbound.signing import SigningKeys
from shared.settings import Settings
from shared.storage.leases import Attempts, Lease, LeaseSnapshot, LeaseTable
from shared.storage.queries import DUE
from shared.storage.records import Records
from shared.storage.tokens import TokenVault

log = logging.getLogger(__name__)

T = TypeVar("T")

_THREADS = 4  # one per connection of the database's pool
_TO_ANSWER_SECONDS = 0.5  # kept of a call's time, whatever else there is to tell
_TELL_SECONDS = 3.0  # a call waits for Monitoring and Notifications
_LEAST_SECONDS = 0.5  # for a request to them; with less left the news wait for another call
_LOOK_AGAIN_SECONDS = (0.2, 0.5)  # at the lease table, while others own what is due


@dataclass
class DeliveryService:
    """Delivers records; one instance serves a process's calls."""

    settings: Settings
    records: Records
    vault: TokenVault
    leases: LeaseTable
    fan_out: FanOut
    publisher: Publisher
    signing: SigningKeys
    tokens: AccessTokens = field(default_factory=AccessTokens)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS))
    evaluator: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    """Where rules are applied: what takes long there holds up neither the loop nor the database."""

    async def run(self, order: DeliveryRequest) -> Summary:
        """Carry out one call. Raises DependencyDown where database or Vault kept it from doing anything.

        A call that has delivered its partitions goes on with those that others have left meanwhile.
        """
        seen = CallStats()
        total = await self._run(order, seen)
        seen.skipped = total.skipped
        await self._tell(seen, order.deadline)
        return total

    async def _run(self, order: DeliveryRequest, seen: CallStats) -> Summary:
        total = Summary(last=order.selection.after)
        while True:
            try:
                part = await self._round(replace(order, limit=order.limit - total.handled), seen, total)
            except DependencyDown as error:
                if not total.handled:
                    raise
                log.warning("the call ends early, with what it has done: %s", error)
                return replace(total, end=False)
            if part is None:
                return total
            total = total.plus(part)
            if part.end or part.skipped or not part.handled or not self._may_go_on(order, total):
                return total

    async def _round(self, order: DeliveryRequest, seen: CallStats, total: Summary) -> Summary | None:
        """Lease and deliver once; None where there is nothing to lease."""
        lease, total.end = await self._leased(order, seen, rest=total.handled > 0)
        return None if lease is None else await self._deliver(order, lease, seen)

    async def count(self, order: DeliveryRequest) -> int:
        """Count what an order would handle, and change nothing."""
        return await self.blocking(self.records.count, order.selection)

    async def blocking(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Run a database or Vault call on one of a few threads."""
        return await _on(self.threads, call, *arguments, **options)

    async def evaluating(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Apply rules on a thread."""
        return await _on(self.evaluator, call, *arguments, **options)

    async def _tell(self, seen: CallStats, deadline: float) -> None:
        """Post metrics and notify operators, within a few seconds; what takes longer is not waited for."""
        seconds = min(_TELL_SECONDS, deadline - time.monotonic() - _TO_ANSWER_SECONDS)
        in_time = seconds > _LEAST_SECONDS
        told = [self.blocking(self.publisher.notify, seen, publishing=in_time)]
        if in_time:
            told.append(self.blocking(self._post_metrics, seen))
        try:
            await asyncio.wait_for(asyncio.gather(*told), max(seconds, _TO_ANSWER_SECONDS / 2))
        except (TimeoutError, DependencyDown):
            log.warning("operators were not told of this call in time")

    def _post_metrics(self, seen: CallStats) -> None:
        if not self.publisher.wants_metrics:
            return
        try:
            backlog = Backlog(*self.records.backlog(datetime.now(UTC)))
        except DependencyDown as error:
            log.warning("the metrics could not be posted: %s", error)
            return
        self.publisher.post_metrics(seen, backlog)

    def _may_go_on(self, order: DeliveryRequest, total: Summary) -> bool:
        """Tell whether a call may lease once more; a walk may not, since its offsets would go back."""
        needs = self.settings.longest_delivery + 2 * AFTER_LAST_ANSWER
        in_time = time.monotonic() + needs < order.deadline
        return in_time and order.selection.order == DUE and total.handled < order.limit

    async def _leased(
        self, order: DeliveryRequest, seen: CallStats, *, rest: bool
    ) -> tuple[Lease | None, bool]:
        """Lease partitions that hold something of the order; without a lease, tell whether nothing is left.

        Where others own all that is due, watch until one leaves or dies, or all prove alive.
        """
        first_beats: dict[str, int] = {}
        while True:
            if not await self.blocking(self.records.page, order.selection, 1):
                return None, True
            standing = await self.blocking(self.leases.look)
            lease = await self._taken(order, standing, seen, rest=rest)
            if lease is not None:
                return lease, False
            first_beats = {name: first_beats.get(name, beat) for name, beat in standing.beats.items()}
            alive = all(first_beats[name] != beat for name, beat in standing.beats.items())
            pause = random.uniform(*_LOOK_AGAIN_SECONDS)
            if (alive and standing.beats) or time.monotonic() + pause > order.deadline - AFTER_LAST_ANSWER:
                return None, False
            await asyncio.sleep(pause)

    async def _taken(
        self, order: DeliveryRequest, standing: LeaseSnapshot, seen: CallStats, *, rest: bool
    ) -> Lease | None:
        """Take what is free where something of the order is in it: a share, or the `rest` that nobody took.

        Others are started with the first share, and never again.
        """
        free = replace(order.selection, partitions=standing.free)
        if not standing.free:
            return None
        if len(standing.free) < record.PARTITIONS and not await self.blocking(self.records.page, free, 1):
            return None
        await self._settle(standing.left_in_flight, seen)
        alone = rest or self.settings.fan_out == 1 or not await self._is_backlog(order)
        most = record.PARTITIONS if alone else -(-record.PARTITIONS // self.settings.fan_out)
        lease = await self.blocking(self.leases.take, standing, most)
        if lease is not None and not alone and not order.fanned_out:
            await self.blocking(self.fan_out.start, self.settings.fan_out - 1, order.limit)
        return lease

    async def _is_backlog(self, order: DeliveryRequest) -> bool:
        if order.fanned_out:
            return True
        return await self.blocking(self.records.reaches, order.selection, PAGE)

    async def _settle(self, in_flight: Attempts, seen: CallStats) -> None:
        """Count an attempt on each record that a dead worker may have sent and wrote no outcome of.

        Whoever does this too finds the attempts changed, or the version, and counts nothing.
        """
        identities = list(in_flight)
        for start in range(0, len(identities), PAGE):
            found = await self.blocking(self.records.with_ids, identities[start : start + PAGE])
            outcomes = [
                (stored, self._interrupted(stored.document))
                for stored in found
                if record.is_unfinished(stored.document)
                and record.attempts(stored.document) == in_flight[stored.document["id"]]
            ]
            if outcomes:
                log.warning("%d records were in flight when their worker ended", len(outcomes))
                written = await self.blocking(self.records.write, outcomes)
                for (stored, after), done in zip(outcomes, written, strict=True):
                    if done:
                        seen.note(stored.document, after)

    def _interrupted(self, document: Document) -> Document:
        stream = self.settings.retry_policy().error_stream(UNEXPECTED_ERROR)
        return transitions.interrupted(document, stream, self.settings.retry_limit, datetime.now(UTC))

    async def _deliver(self, order: DeliveryRequest, lease: Lease, seen: CallStats) -> Summary:
        writer = Completer(
            lambda outcomes: self.blocking(self.records.write, outcomes, min(lease.partitions)),
            lambda: min(lease.valid_until, order.deadline - AFTER_LAST_ANSWER / 2),
        )
        bounds = Limits(self.settings, lease.circuits)
        try:
            keys = await self.blocking(self.signing.current)
            async with Sender(self.settings, keys) as sender, self._renewed(lease):
                courier = Executor(
                    *(self.settings, order, lease, self.vault, self.blocking, self.evaluating),
                    *(sender, self.tokens, writer, bounds, seen),
                )
                places = self.settings.concurrency, self.settings.concurrency_per_target
                dispatch = Dispatcher(self.records, self.leases, order, lease, courier, self.blocking, places)
                return await dispatch.run()
        finally:
            await writer.close()
            await self._release(lease, bounds)

    @asynccontextmanager
    async def _renewed(self, lease: Lease) -> AsyncIterator[None]:
        """Renew a lease now and then, as long as the block lasts."""
        renewal = asyncio.create_task(self._keep_renewed(lease))
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)

    async def _keep_renewed(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self.settings.renewal_interval)
            try:
                if not await self.blocking(self.leases.renew, lease):
                    log.warning("another worker took over this worker's partitions")
                    return
            except DependencyDown:
                log.warning("the lease could not be renewed; trying again")

    async def _release(self, lease: Lease, bounds: Limits) -> None:
        try:
            circuits = bounds.open_circuits(), list(bounds.connected)
            await self.blocking(self.leases.release, lease, *circuits)
        except DependencyDown:
            log.warning("the lease could not be released; it expires by itself")


async def _on(threads: ThreadPoolExecutor, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Run a call on a thread that knows which invocation it is for, as its log lines say."""
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, lambda: context.run(call, *arguments, **options))
