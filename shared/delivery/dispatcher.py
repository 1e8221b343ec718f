"""One call under one lease: reads its records in pages, starts their deliveries in order, sums up.

Records of one key are sent one after the other, and none behind one that has not succeeded.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from shared.delivery.call import Call
from shared.delivery.executor import Outcome, Prepared
from shared.delivery.fetcher import MOST_HOSTS, PAGE, Fetcher, Page, of_lane
from shared.delivery.in_flight import InFlight
from shared.delivery.key_order import KeyOrder
from shared.delivery.lease_guard import LeaseEnded
from shared.delivery.limits import Limits, Skipped
from shared.delivery.memory import ANEW_SECONDS, Bookmark, Memory
from shared.delivery.sequencing import in_order
from shared.delivery.summary import Summary
from shared.drivers import clock, threads
from shared.model import record
from shared.model.errors import DependencyDown
from shared.model.lanes import Lane, host_of
from shared.model.record import Document
from shared.storage.queries import DUE, LOWEST, Query
from shared.storage.records import Records, Stored

log = logging.getLogger(__name__)

_MOST_LOOKED_AT = 16  # lanes that are put off, to tell whether something of them is due
_SUSPECT = 2  # interruptions after which a record is sent with nothing else in flight


class Executes(Protocol):
    """What makes the attempts: `executor.py`."""

    async def prepare(self, stored: Stored) -> Prepared:
        """Get a record ready to be sent."""

    async def execute(self, prepared: Prepared) -> Outcome:
        """Send it, and write its outcome."""

    async def fail(self, stored: Stored, reason: str) -> Outcome:
        """Write that it could not be attempted."""


class Dispatcher:
    """The deliveries of one call under one lease."""

    def __init__(
        self,
        call: Call,
        records: Records,
        in_flight: InFlight,
        executor: Executes,
        limits: Limits,
        memory: Memory,
    ):
        self._call = call
        self._records = records
        self._in_flight = in_flight
        self._executor = executor
        self._limits = limits
        query = call.request.query
        self._is_walk = call.request.is_walk
        owns_all = len(call.lease.partitions) == record.PARTITIONS
        mine = None if owns_all or self._is_walk else call.lease.partitions
        self._memory = memory
        self._policies = call.policies
        partitions, version = call.lease.partitions, call.policies.current.version
        is_plain = not self._is_walk and not call.policies.is_any_paused
        mark = memory.bookmark_for(partitions, version, time.monotonic()) if is_plain else None
        self._mark = mark
        self._fetcher = Fetcher(
            replace(query, partitions=mine), self._fresh_page, call.settings, call.policies, mark
        )
        self._paused: dict[str, Lane] = {}  # of which something waits, or may
        self._by_host = False  # whether each host is read by itself
        self._order = KeyOrder()
        self._budget = call.request.limit  # records that may still be begun
        self._outstanding: dict[asyncio.Task[None], Document] = {}
        self._suspects: list[Stored] = []
        self._progress = asyncio.Event()
        self._ended: list[tuple[str, Outcome]] = []
        self._unread_from: str | None = None  # the first place in the queue that is to be read again
        self._outage: DependencyDown | None = None
        self._database_is_down = False

    async def run(self) -> Summary:
        """Deliver until the request is carried out, nothing is left or time runs out."""
        read_all = False
        try:
            read_all = await self._read_and_start()
        except DependencyDown as error:
            self._note_outage(error)
        finally:
            await self._until_done()
        for stored in self._suspects:
            if not self._must_stop():
                self._start(stored)
            await self._until_done()
        if not self._is_walk:
            self._memory.bookmark = self._bookmark()
        return await self._summary(read_all)

    # Reading

    async def _page(self, query: Query, limit: int) -> list[Stored]:
        return await threads.DATABASE.run(self._records.page, query, limit)

    async def _fresh_page(self, query: Query, limit: int) -> list[Stored]:
        """Read a page, and meanwhile the policies that are to hold for it."""
        version = self._policies.current.version
        refreshed = asyncio.create_task(self._policies.refresh())  # `gather` would keep the page in a cycle
        try:
            page = await self._page(query, limit)
        finally:
            await refreshed
        if self._policies.current.version != version:
            self._limits.adapt()
        return page

    async def _divide_by_host(self) -> None:
        """Read each host by itself if something is put off that may have a long backlog."""
        if self._is_walk or self._mark or not (self._policies.is_any_paused or self._limits.unavailable()):
            return
        hosts = await self._hosts()
        if hosts is not None:
            self._by_host = True
            self._fetcher.divide_by_host(hosts)

    async def _hosts(self) -> list[str] | None:
        """Return the hosts to which something may be sent; None if there are too many to read them singly."""
        found = await threads.DATABASE.run(self._records.hosts_waiting, MOST_HOSTS + 1)
        if len(found) > MOST_HOSTS:
            return None
        put_off, hosts = set(self._limits.unavailable()), []
        for host in found:
            paused = self._policies.paused_at(host)
            self._paused |= {lane.name: lane for lane in paused}
            put_off |= {lane.name for lane in paused}
            lanes = self._policies.current.lanes_at(host)
            are_put_off = [lane.name in put_off for lane in lanes]
            if not (all(are_put_off) or any(lane.is_whole and lane.name in put_off for lane in lanes)):
                hosts.append(host)
        return hosts

    def _put_off(self) -> list[str]:
        """Return the lanes of which nothing is to be read now."""
        now = clock.now()
        paused = [
            name for name, lane in self._paused.items() if self._policies.policy_of(name).is_paused(now)
        ]
        return [*self._limits.unavailable(), *paused]

    async def _read_and_start(self) -> bool:
        """Read page after page and start deliveries; True if the query's end was reached."""
        await self._divide_by_host()
        while self._budget > 0 and not self._must_stop():
            self._progress.clear()
            if await self._start_deferred():
                continue
            held = [] if self._is_walk else self._order.held()
            page = await self._fetcher.next(self._budget, held, self._put_off())
            mine = self._mine(page.records)
            if mine:
                self._start_page(await self._in_order(mine, page))
            if len(mine) < len(page.records):
                return False
            if page.records:
                continue
            if self._fetcher.ended and not self._order.deferred and not (self._mark and self._outstanding):
                return True
            await self._progress.wait()
        return False

    async def _start_deferred(self) -> bool:
        """Start the next records of a key that has too many to begin at once; tell whether there was one."""
        found = None if self._fetcher.is_full else self._order.next_deferred()
        if found is None:
            return False
        key, after = found
        limit = min(self._order.MOST_BEGUN // 2, self._budget)
        page = await threads.DATABASE.run(self._records.waiting_of_key, key, after, limit)
        for stored in page:
            if not self._call.request.query.covers(stored.document):
                self._order.hold(stored.document)  # not due: nor is anything behind it
                break
            if not self._order.has_seen(stored.document):
                self._start_page([stored])
        if page:  # there may be more
            self._order.defer(page[-1].document)
        return True

    def _mine(self, page: list[Stored]) -> list[Stored]:
        """Return a page up to the first record that another worker owns: there a walk stops for now."""
        for place, stored in enumerate(page if self._is_walk else ()):
            if record.partition(stored.document) not in self._call.lease.partitions:
                self._ended.append((stored.document["id"], Outcome.LEFT))
                return page[:place]
        return page

    def _must_stop(self) -> bool:
        return self._database_is_down or not self._call.may_begin()

    def _start_page(self, page: Sequence[Stored]) -> None:
        """Start a page's deliveries; those that may kill a worker wait until nothing else is in flight.

        A page may have more than may still be begun, since it has what must be sent before some of it.
        """
        for stored in page:
            if self._budget <= 0:
                self._pause_behind(stored)
                self._end(stored.document, Outcome.LEFT)
            elif record.interruptions(stored.document) < _SUSPECT:
                self._start(stored)
            else:
                self._budget -= 1
                self._pause_behind(stored)
                self._suspects.append(stored)

    def _pause_behind(self, stored: Stored) -> None:
        self._order.pause_behind(record.key_digest(stored.document), stored.document["id"])

    def _start(self, stored: Stored) -> None:
        document = stored.document
        if self._policies.is_paused(document):
            lane = self._policies.lane(document)
            self._paused[lane.name] = lane
            self._order.hold(document)
            self._end(document, Outcome.SKIPPED)
            return
        if self._order.is_held(document):
            self._order.skipped(document)
            self._end(document, Outcome.SKIPPED)
            return
        if not self._is_walk and self._order.is_deep(document):
            self._order.defer(document)
            return
        self._budget -= 1
        predecessor = self._order.tail(document)
        task = asyncio.create_task(self._deliver(stored, predecessor))
        self._order.follow(document, task)
        self._fetcher.begun(document)
        self._outstanding[task] = document
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        document = self._outstanding.pop(task)
        self._fetcher.done(document)
        self._order.ended(document)
        self._progress.set()

    async def _until_done(self) -> None:
        while self._outstanding:
            await asyncio.wait(self._outstanding)

    # One record

    async def _deliver(self, stored: Stored, predecessor: "asyncio.Task[None] | None") -> None:
        document = stored.document
        outcome = await self._outcome(stored, predecessor)
        self._in_flight.remove(document)
        is_over = outcome in (Outcome.SUCCEEDED, Outcome.FILTERED, Outcome.DEAD)
        if not is_over and not self._order.is_held(document):
            self._order.hold(document)
        if outcome is Outcome.SKIPPED:
            self._budget += 1
        if is_over and self._mark is not None and document["status"] == record.FAILED:
            self._order.release(document)
        self._end(document, outcome)

    def _end(self, document: Document, outcome: Outcome) -> None:
        self._ended.append((document["id"], outcome))
        is_left = outcome in (Outcome.LEFT, Outcome.SKIPPED) and not self._order.is_resting(document)
        if is_left and not self._is_walk:
            place = str(document[record.MACHINERY][DUE])
            self._unread_from = min(place, self._unread_from or place)

    async def _outcome(self, stored: Stored, predecessor: "asyncio.Task[None] | None") -> Outcome:
        try:
            return await self._attempt(stored, predecessor)
        except Skipped as skipped:
            self._outage = self._outage or skipped.cause
            return Outcome.SKIPPED
        except DependencyDown as error:
            self._note_outage(error)
            return Outcome.LEFT
        except LeaseEnded:
            return Outcome.LEFT
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one record harms itself only
            return await self._fail(stored, error)

    async def _attempt(self, stored: Stored, predecessor: "asyncio.Task[None] | None") -> Outcome:
        prepared = await self._executor.prepare(stored)
        if prepared.is_sent and not await self._in_flight.add(stored.document):
            return Outcome.LEFT
        if predecessor is not None:
            await asyncio.wait([predecessor])
            if self._order.is_held(stored.document):
                return Outcome.SKIPPED
        try:
            return await self._executor.execute(prepared)
        except (DependencyDown, LeaseEnded):
            self._in_flight.keep(stored.document)
            raise

    async def _fail(self, stored: Stored, error: Exception) -> Outcome:
        """Write on a record that it can't be attempted."""
        log.error("record %s can't be attempted: %s", stored.document["id"], type(error).__name__)
        try:
            return await self._executor.fail(stored, f"it can't be attempted: {type(error).__name__}")
        except DependencyDown as outage:
            self._note_outage(outage)
            return Outcome.LEFT

    def _note_outage(self, error: DependencyDown) -> None:
        self._outage = error
        self._database_is_down = True

    async def _in_order(self, mine: list[Stored], page: Page) -> list[Stored]:
        """Return what is ours of a page in the order in which it is to be sent."""
        others = {host_of(name) for name in (*self._fetcher.passed_over, *self._put_off())}
        elsewhere: dict[str, Any] | None = {"$in": sorted(others)} if others else None
        if self._is_walk or not page.is_first:
            elsewhere = {"$gt": LOWEST}  # whatever the target
        return await in_order(mine, self._call.request.query, self._order, self._records, elsewhere)

    # Summing up

    def _bookmark(self) -> Bookmark | None:
        """Return where the next call goes on: at the beginning, unless many records are held back."""
        held = len(self._with(Outcome.SKIPPED)) + (self._mark.held if self._mark else 0)
        is_unsure = self._outage is not None or self._order.deferred or self._suspects
        if held < self._memory.FEW or is_unsure:
            return None
        main, own = self._fetcher.positions(self._unread_from and self._unread_from[:-1])
        until = self._mark.until if self._mark else time.monotonic() + ANEW_SECONDS
        version = self._policies.current.version
        return Bookmark(self._call.lease.partitions, version, until, held, main, own)

    async def _summary(self, read_all: bool) -> Summary:
        succeeded = self._with(Outcome.SUCCEEDED, Outcome.FILTERED)
        failed = self._with(Outcome.FAILED, Outcome.DEAD)
        skipped, left = self._with(Outcome.SKIPPED), self._with(Outcome.LEFT)
        if self._outage is not None and not succeeded and not failed:
            raise self._outage
        end = self._outage is None and not left and await self._nothing_to_send(read_all)
        handled = succeeded + failed + (skipped if self._is_walk else [])  # a walk passes over what it skips
        passed = [identity for identity in handled if not left or identity < min(left)]
        last = max(passed, default=self._call.request.query.after if self._is_walk else "-1")
        held = self._mark.held if self._mark else 0
        if not skipped and not held and await self._is_something_put_off():
            held = 1  # at least: how many is not counted
        return Summary(len(succeeded), len(failed), len(skipped) + held, last, end)

    async def _is_something_put_off(self) -> bool:
        """Tell whether something that is due was passed over, since its target gets nothing now."""
        lanes = filter(None, map(self._policies.named, self._put_off()[:_MOST_LOOKED_AT]))
        try:
            for lane in lanes:
                if await self._page(of_lane(self._call.request.query, lane), 1):
                    return True
        except DependencyDown:
            if not self._ended:
                raise
        return False

    def _with(self, *outcomes: Outcome) -> list[str]:
        return [identity for identity, outcome in self._ended if outcome in outcomes]

    async def _nothing_to_send(self, read_all: bool) -> bool:
        """Tell whether calling again at once would find nothing to send, here or in partitions of others."""
        query = self._call.request.query
        if self._is_walk:
            return read_all
        if self._memory.bookmark is not None:
            if self._unread_from is None:
                return read_all
            query = replace(query, after=self._unread_from[:-1])
        try:
            hosts = await self._hosts() if self._by_host else None
            queries = [query] if hosts is None else [replace(query, target=host) for host in hosts]
            return all([await self._has_nothing_to_send(one, read_all) for one in queries])
        except DependencyDown:
            if not self._ended:
                raise
            return False  # what was done is answered all the same

    async def _has_nothing_to_send(self, query: Query, read_all: bool) -> bool:
        passing = self._fetcher.passing(query, self._order.resting(), self._put_off())
        page = await self._page(passing, PAGE)
        if any(self._may_be_sent(stored.document) for stored in page):
            return False
        return read_all or len(page) < PAGE

    def _may_be_sent(self, document: Document) -> bool:
        if self._order.is_resting(document) or self._policies.is_paused(document):
            return False
        return not self._limits.is_unavailable(self._policies.lane(document).name)
