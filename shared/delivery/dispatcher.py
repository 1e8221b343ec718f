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
from shared.delivery.fetcher import PAGE, Fetcher, Page
from shared.delivery.in_flight import InFlight
from shared.delivery.key_order import KeyOrder
from shared.delivery.limits import Limits, Skipped
from shared.delivery.memory import ANEW_SECONDS, Bookmark, Memory
from shared.delivery.sequencing import in_order
from shared.delivery.summary import Summary
from shared.drivers import threads
from shared.model import record
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.storage.queries import DUE, LOWEST, Query
from shared.storage.records import Records, Stored

log = logging.getLogger(__name__)

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
        mark = None if self._is_walk else memory.bookmark_for(call.lease.partitions, time.monotonic())
        self._mark = mark
        self._fetcher = Fetcher(replace(query, partitions=mine), self._page, call.settings, mark)
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

    async def _read_and_start(self) -> bool:
        """Read page after page and start deliveries; True if the query's end was reached."""
        while self._budget > 0 and not self._must_stop():
            self._progress.clear()
            if await self._start_deferred():
                continue
            held = [] if self._is_walk else self._order.held()
            page = await self._fetcher.next(self._budget, held, self._limits.unavailable())
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
        except DependencyDown:
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
        others = [*self._fetcher.passed_over, *self._limits.unavailable()]
        elsewhere: dict[str, Any] | None = {"$in": others} if others else None
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
        return Bookmark(self._call.lease.partitions, until, held, main, own)

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
        return Summary(len(succeeded), len(failed), len(skipped) + held, last, end)

    def _with(self, *outcomes: Outcome) -> list[str]:
        return [identity for identity, outcome in self._ended if outcome in outcomes]

    async def _nothing_to_send(self, read_all: bool) -> bool:
        """Tell whether calling again at once would find nothing to send, here or in partitions of others."""
        query = self._call.request.query
        try:
            if self._is_walk:
                return read_all
            if self._memory.bookmark is not None:
                if self._unread_from is None:
                    return read_all
                query = replace(query, after=self._unread_from[:-1])
            page = await self._page(
                self._fetcher.passing(query, self._order.resting(), self._limits.unavailable()), PAGE
            )
            if any(self._may_be_sent(stored.document) for stored in page):
                return False
            return read_all or len(page) < PAGE
        except DependencyDown:
            if not self._ended:
                raise
            return False  # what was done is answered all the same

    def _may_be_sent(self, document: Document) -> bool:
        return not self._order.is_resting(document) and not self._limits.is_unavailable(
            record.target(document)
        )
