"""The use case of process-data: deliver what a call's request asks for, and publish how it went."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.delivery.call import WRAP_UP_SECONDS, Call
from shared.delivery.completer import Completer
from shared.delivery.dispatcher import Dispatcher
from shared.delivery.executor import Executor
from shared.delivery.in_flight import InFlight
from shared.delivery.leasing import Leasing
from shared.delivery.limits import Limits
from shared.delivery.memory import Memory
from shared.delivery.policy_watch import PolicyWatch
from shared.delivery.preview import Preview, preview
from shared.delivery.rates import Rates
from shared.delivery.requests import DeliveryRequest
from shared.delivery.summary import Summary
from shared.drivers import clock, threads
from shared.model.errors import DependencyDown, Misconfigured
from shared.model.record import Document
from shared.monitoring.call_stats import Backlog, CallStats
from shared.monitoring.publisher import Publisher
from shared.outbound.session import Outbound
from shared.settings import Settings
from shared.storage.policies import PolicyStore
from shared.storage.rates import RateBook
from shared.storage.records import Records, Stored
from shared.storage.tokens import TokenVault

log = logging.getLogger(__name__)

_TO_ANSWER_SECONDS = 0.5  # kept of a call's time, whatever else there is to do
_PUBLISH_SECONDS = 3.0  # a call waits for Monitoring and Notifications
_LEAST_SECONDS = 0.5  # for a request to them; with less left they wait for another call


@dataclass(frozen=True)
class DeliveryService:
    """Delivers records; one instance serves a process's calls."""

    settings: Settings
    records: Records
    tokens: TokenVault
    leasing: Leasing
    outbound: Outbound
    publisher: Publisher
    policies: PolicyStore
    rates: RateBook
    memory: Memory = field(default_factory=Memory)

    async def run(self, request: DeliveryRequest) -> Summary:
        """Carry out one call. Raises DependencyDown if database or Vault kept it from doing anything.

        A call that has delivered its partitions goes on with those that others have left meanwhile. Raises
        Misconfigured if it is too short for any delivery.
        """
        self._check_time(request.deadline - request.begun_at)
        stats = CallStats()
        summary = await self._deliver_in_rounds(await self._timed(request), stats)
        stats.record_skipped(summary.skipped)
        await self._publish(stats, request.deadline)
        return summary

    def _check_time(self, seconds: float) -> None:
        needed = self.settings.longest_delivery + WRAP_UP_SECONDS
        if seconds < needed:
            raise Misconfigured(
                f"A delivery may take {needed:g} s by TARGET_CONNECT_TIMEOUT and TARGET_READ_TIMEOUT, and"
                f" this call has {seconds:.0f} s: raise the function's time-out, or lower these."
            )

    async def preview(self, request: DeliveryRequest) -> Preview:
        """Count what a request would handle, and change nothing."""
        query, breakdown = (await self._timed(request)).query, request.breakdown
        return await threads.DATABASE.run(preview, self.records, query, breakdown=breakdown)

    async def _timed(self, request: DeliveryRequest) -> DeliveryRequest:
        """Return a request for what is due at the database's time."""
        now = await threads.DATABASE.run(self.records.now)
        return replace(request, query=request.query.at(now))

    async def _deliver_in_rounds(self, request: DeliveryRequest, stats: CallStats) -> Summary:
        total = Summary(last=request.query.after)
        while True:
            rest = replace(request, limit=request.limit - total.handled)
            try:
                part = await self._deliver_once(rest, stats, again=total.handled > 0)
            except DependencyDown as error:
                if not total.handled:
                    raise
                log.warning("the call ends early, with what it has done: %s", error)
                return replace(total, end=False)
            total = total.plus(part)
            if part.end or part.skipped or not part.handled or not self._may_go_on(request, total):
                return total

    def _may_go_on(self, request: DeliveryRequest, total: Summary) -> bool:
        """Tell whether a call may lease once more; a walk may not, since its offsets would go back."""
        needs = self.settings.longest_delivery + 2 * WRAP_UP_SECONDS
        in_time = time.monotonic() + needs < request.deadline
        return in_time and not request.is_walk and total.handled < request.limit

    async def _deliver_once(self, request: DeliveryRequest, stats: CallStats, *, again: bool) -> Summary:
        """Lease, deliver what the lease covers, release."""
        policies = PolicyWatch(self.policies.policies)
        acquired = await self.leasing.acquire(request, policies, again=again)
        for before, after in acquired.rescued:
            stats.record(before, after)
        if acquired.lease is None:
            return Summary(end=acquired.nothing_left)
        lease = acquired.lease
        call = Call.begun(self.settings, request, lease, stats, policies)
        rates = Rates(self.rates)
        limits = Limits(
            *(self.settings, lease.circuits, lease.rests, self.memory, call.stop_at),
            policy_of=policies.policy_of,
            rates=rates,
        )
        try:
            async with self.leasing.heartbeat(lease, limits, policies):
                if acquired.is_share:
                    self.leasing.start_others(request)
                return await self._deliver(call, limits)
        finally:
            await rates.noted()
            await self.leasing.release(lease, limits)

    async def _deliver(self, call: Call, limits: Limits) -> Summary:
        async def write(changes: Sequence[tuple[Stored, Document]]) -> list[bool]:
            return await threads.DATABASE.run(self.records.write, changes, min(call.lease.partitions))

        completer = Completer(write, lambda: call.write_until)
        try:
            async with self.outbound.session() as session:
                executor = Executor(call, self.records, self.tokens, session, completer, limits)
                in_flight = InFlight(self.leasing.table, call.lease)
                try:
                    return await Dispatcher(
                        call, self.records, in_flight, executor, limits, self.memory
                    ).run()
                finally:
                    executor.close()
        finally:
            await completer.close()

    async def _publish(self, stats: CallStats, deadline: float) -> None:
        """Post metrics and notify operators, within a few seconds; what takes longer is not waited for."""
        seconds = min(_PUBLISH_SECONDS, deadline - time.monotonic() - _TO_ANSWER_SECONDS)
        in_time = seconds > _LEAST_SECONDS and not self.publisher.rests
        published = [threads.PUBLISHING.run(self.publisher.notify, stats, publishing=in_time)]
        if in_time:
            published.append(self._post_metrics(stats))
        everything = asyncio.gather(*published, return_exceptions=True)
        try:
            results = await asyncio.wait_for(everything, max(seconds, _TO_ANSWER_SECONDS / 2))
        except TimeoutError as late:
            self.publisher.rest()
            results = [late]
        for failure in filter(None, results):  # what operators are shown ends no call that has delivered
            log.warning("metrics or a notification were not published: %s", type(failure).__name__)

    async def _post_metrics(self, stats: CallStats) -> None:
        if self.publisher.wants_metrics:
            due = await threads.DATABASE.run(self.records.backlog, clock.now())
            rests = await threads.DATABASE.run(self.leasing.table.rests, clock.now())
            backlog = Backlog(*due, rests)
            await threads.PUBLISHING.run(self.publisher.post_metrics, stats, backlog)
