"""One call at work: reads its records in pages, has them delivered in parallel and in order, and sums up.

Records of one key are sent one after the other, and none behind one that has not succeeded. Before a record
is sent its id stands in the worker's lease, so that whoever takes over knows what was in flight.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.delivery.executor import Blocking, Executor, Outcome
from shared.delivery.fetcher import Fetcher
from shared.delivery.key_order import KeyOrder
from shared.delivery.requests import DeliveryRequest
from shared.model import record
from shared.model.errors import DependencyDown
from shared.model.record import NO_KEY, Document
from shared.storage.leases import Lease, LeaseTable
from shared.storage.queries import DUE
from shared.storage.records import Records, Stored

_SUSPECT = 2  # interruptions after which a record is sent with nothing else in flight


@dataclass
class Summary:
    """What a call did: how many records ended how, the last one's id, and whether nothing is left.

    Those that a rule filtered count among those that succeeded.
    """

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    last: str = "-1"
    end: bool = False

    @property
    def handled(self) -> int:
        """How many records were sent."""
        return self.succeeded + self.failed

    def plus(self, other: "Summary") -> "Summary":
        """Return this and a later part of the same call as one."""
        return Summary(
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.skipped + other.skipped,
            max(self.last, other.last),
            other.end,
        )

    def answer(self) -> dict[str, Any]:
        """Return the answer of `/process` and `/process/retry`."""
        return {
            "lastReadOffset": self.last,
            "processedmessages": self.succeeded,
            "failedMessages": self.failed,
            "skippedMessages": self.skipped,
            "endOfStream": self.end,
        }


class Dispatcher:
    """The state of one call, as long as it holds one lease."""

    def __init__(
        self,
        records: Records,
        leases: LeaseTable,
        order: DeliveryRequest,
        lease: Lease,
        courier: Executor,
        blocking: Blocking,
        places: tuple[int, int],
    ):
        """`places`: requests in flight in all, and to one target."""
        self._records = records
        self._leases = leases
        self._order = order
        self._lease = lease
        self._courier = courier
        self._blocking = blocking
        self._in_order = order.selection.order == DUE
        mine = None if len(lease.partitions) == record.PARTITIONS else lease.partitions
        selection = replace(order.selection, partitions=mine)
        self._intake = Fetcher(selection, self._read, *places)
        self._lanes = KeyOrder()
        self._summary = Summary(last=order.selection.after)
        self._wanted = order.limit
        self._outstanding: dict[asyncio.Task[None], Document] = {}
        self._suspects: list[Stored] = []
        self._progress = asyncio.Event()
        self._left: list[str] = []
        self._handled: list[str] = []
        self._defect: BaseException | None = None

    async def run(self) -> Summary:
        """Deliver until the order is carried out, nothing is left or time runs out."""
        read_all = False
        try:
            read_all = await self._read_and_send()
        except DependencyDown as error:
            self._courier.trouble = error
        finally:
            await self._until_done()
        for stored in self._suspects:
            if await self._noted([stored]):
                self._start(stored)
            await self._until_done()
        if self._defect is not None:
            raise self._defect
        return await self._summed_up(read_all)

    async def _read(self, selection: Any, limit: int) -> list[Stored]:
        page: list[Stored] = await self._blocking(self._records.page, selection, limit)
        return page

    async def _read_and_send(self) -> bool:
        """Read page after page and start deliveries; True where the selection's end was reached."""
        while self._wanted > 0 and not self._courier.must_stop():
            self._progress.clear()
            held = self._lanes.held() if self._in_order else []
            page, target = await self._intake.next(self._wanted, held, self._courier.bounds.open_circuits())
            if page:
                await self._begin(await self._in_turn(page, target))
            elif self._intake.ended:
                return True
            else:
                await self._progress.wait()
        return False

    async def _begin(self, page: Sequence[Stored]) -> None:
        """Note a page as in flight, and start its deliveries; of records that may kill a worker, none yet."""
        begun = [stored for stored in page if record.interruptions(stored.document) < _SUSPECT]
        for stored in page:
            if record.interruptions(stored.document) >= _SUSPECT:
                self._lanes.hold(stored.document)
                self._suspects.append(stored)
        if not await self._noted(begun):
            return
        for stored in begun:
            self._start(stored)

    async def _noted(self, page: Sequence[Stored]) -> bool:
        """Write into the lease what is in flight; False where the lease is lost, and nothing may begin."""
        if not page:
            return True
        flying = [*self._outstanding.values(), *(stored.document for stored in page)]
        in_flight = {document["id"]: record.attempts(document) for document in flying}
        noted: bool = await self._blocking(self._leases.renew, self._lease, in_flight)
        return noted

    def _start(self, stored: Stored) -> None:
        document = stored.document
        if self._lanes.is_held(document):
            self._put_off(document)
            return
        self._wanted -= 1
        predecessor = self._lanes.tail(document)
        task = asyncio.create_task(self._deliver(stored, predecessor))
        self._lanes.follow(document, task)
        self._intake.begun(record.target(document))
        self._outstanding[task] = document
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._intake.done(record.target(self._outstanding.pop(task)))
        self._progress.set()
        self._defect = self._defect or task.exception()

    async def _until_done(self) -> None:
        while self._outstanding:
            await asyncio.wait(self._outstanding)

    async def _deliver(self, stored: Stored, predecessor: "asyncio.Task[None] | None") -> None:
        document = stored.document
        if predecessor is not None:
            await asyncio.wait([predecessor])
            if self._lanes.is_held(document):
                self._wanted += 1
                self._put_off(document)
                return
        outcome = await self._courier.deliver(stored)
        if outcome not in (Outcome.SUCCEEDED, Outcome.FILTERED, Outcome.DEAD):
            self._lanes.hold(document)
        match outcome:
            case Outcome.SUCCEEDED | Outcome.FILTERED:
                self._summary.succeeded += 1
                self._handled.append(document["id"])
            case Outcome.FAILED | Outcome.DEAD:
                self._summary.failed += 1
                self._handled.append(document["id"])
            case Outcome.PUT_OFF:
                self._wanted += 1
                self._put_off(document)
            case Outcome.LEFT:
                self._left.append(document["id"])

    def _put_off(self, document: Document) -> None:
        self._summary.skipped += 1
        if not self._in_order:
            self._handled.append(document["id"])  # a walk passes over it

    async def _in_turn(self, page: list[Stored], target: str | None) -> list[Stored]:
        """Return a page in the order of age, with what must be sent before some of it, and hold the rest.

        A failed record that is due is sent before the later ones of its key; one that is not due holds them
        back, and so does one that another stream has not read yet.
        """
        chosen = {
            stored.document["id"]: stored for stored in page if not self._lanes.has_seen(stored.document)
        }
        lanes = {record.key_digest(stored.document) for stored in chosen.values()} - {NO_KEY}
        if lanes:
            await self._hold_behind_other_streams(chosen, lanes, target)
            for stored in await self._blocking(self._records.holding_back, lanes):
                document = stored.document
                if document["id"] in chosen or self._lanes.has_seen(document):
                    continue
                if self._order.selection.covers(document):
                    chosen[document["id"]] = stored
                else:
                    self._lanes.hold(document)
        return [stored for _, stored in sorted(chosen.items())]

    async def _hold_behind_other_streams(
        self, chosen: Mapping[str, Stored], lanes: set[str], target: str | None
    ) -> None:
        """Hold records whose predecessors stand in a stream that is read at another pace, or not at all."""
        others = [*self._intake.passed_over, *self._courier.bounds.open_circuits()]
        if not (self._in_order and others):
            return
        elsewhere = {"$in": others} if target is None else {"$ne": target}
        newest = {record.key_digest(stored.document): identity for identity, stored in sorted(chosen.items())}
        before = max(newest.values())
        for document in await self._blocking(self._records.first_waiting, lanes, elsewhere, before):
            known = document["id"] in chosen or self._lanes.has_seen(document)
            if not known and document["id"] < newest[record.key_digest(document)]:
                self._lanes.hold(document)

    async def _summed_up(self, read_all: bool) -> Summary:
        summary, trouble = self._summary, self._courier.trouble
        if trouble is not None and not summary.handled:
            raise trouble
        summary.end = trouble is None and await self._is_all(read_all and not self._left)
        passed = [one for one in self._handled if not self._left or one < min(self._left)]
        if passed:
            summary.last = max(passed)
        return summary

    async def _is_all(self, read_all: bool) -> bool:
        """Tell whether nothing of the selection is left, here or in partitions of others."""
        selection = self._order.selection
        if not self._in_order:
            others = frozenset(range(record.PARTITIONS)) - self._lease.partitions
            if not (read_all and others):
                return read_all
            selection = replace(selection, partitions=others)
        try:
            return not await self._blocking(self._records.page, selection, 1)
        except DependencyDown:
            if not self._summary.handled:
                raise
            return False  # what was done is told all the same
