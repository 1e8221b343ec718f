"""One call at work: reads its records in pages, sends them in parallel, has each outcome written.

Records of one key are sent one after the other, and none behind one that has not succeeded. Nothing is sent
that could outlast the lease or the function's deadline.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from shared import record
from shared.bounds import Bounds, PutOff
from shared.collection import DUE, Records, Selection, Stored
from shared.errors import DependencyDown
from shared.lanes import Lanes
from shared.leases import Lease
from shared.orders import Order
from shared.outcomes import OutcomeWriter
from shared.record import NO_LANE, Document, Failure
from shared.sender import Answer, Sender
from shared.settings import OTHER_FAILURES, Settings
from shared.vault import TokenVault

log = logging.getLogger(__name__)

AFTER_LAST_ANSWER = 2.0  # seconds kept to write outcomes and to answer before the deadline
_PAGE = 256
_MOST_PASSED_OVER = 200  # lanes or targets named in a query; beyond, they are read and put off


class Blocking(Protocol):
    """Runs a blocking call on a thread."""

    def __call__(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Awaitable[Any]:
        """Return what the call returns."""


@dataclass
class Summary:
    """What a call did: how many records ended how, the last one's id, and whether nothing is left."""

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    last: str = "-1"
    end: bool = False

    @property
    def handled(self) -> int:
        """How many records were sent or put off."""
        return self.succeeded + self.failed + self.skipped

    def answer(self) -> dict[str, Any]:
        """Return the answer of `/process` and `/process/retry`."""
        return {
            "lastReadOffset": self.last,
            "processedmessages": self.succeeded,
            "failedMessages": self.failed,
            "skippedMessages": self.skipped,
            "endOfStream": self.end,
        }


class OutOfTime(Exception):
    """Lease or deadline leave no time for a record: another call takes it."""


class Dispatch:
    """The state of one call."""

    def __init__(
        self,
        settings: Settings,
        records: Records,
        vault: TokenVault,
        order: Order,
        lease: Lease,
        blocking: Blocking,
    ):
        self._settings = settings
        self._records = records
        self._order = order
        self._lease = lease
        self._blocking = blocking
        self._tokens = _Tokens(vault, blocking)
        self._bounds = Bounds(settings)
        self._lanes = Lanes()
        self._summary = Summary(last=order.selection.after)
        left = order.deadline - time.monotonic()
        self._stop_at = order.deadline - min(settings.longest_delivery + AFTER_LAST_ANSWER, left / 2)
        self._wanted = order.limit
        self._outstanding: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._left: list[str] = []
        self._handled: list[str] = []
        self._trouble: DependencyDown | None = None
        self._defect: BaseException | None = None

    async def run(self) -> Summary:
        """Deliver until the order is carried out, nothing is left or time runs out."""
        self._writer = OutcomeWriter(
            lambda outcomes: self._blocking(self._records.write, outcomes),
            lambda: min(self._lease.valid_until, self._order.deadline - AFTER_LAST_ANSWER / 2),
        )
        async with Sender(self._settings) as self._sender:
            try:
                read_all = await self._read_and_send()
            finally:
                await asyncio.gather(*self._outstanding, return_exceptions=True)
                await self._writer.close()
        if self._defect is not None:
            raise self._defect
        return await self._summed_up(read_all)

    async def _summed_up(self, read_all: bool) -> Summary:
        summary = self._summary
        trouble = self._trouble or self._tokens.trouble
        if trouble is not None and not (summary.succeeded or summary.failed):
            raise trouble
        elsewhere = await self._is_left_to_others()
        put_off = summary.skipped and self._order.selection.order == DUE
        summary.end = read_all and not (self._left or put_off or trouble or elsewhere)
        passed = [one for one in self._handled if not self._left or one < min(self._left)]
        if passed and not elsewhere:
            summary.last = max(passed)
        return summary

    async def _read_and_send(self) -> bool:
        """Read page after page and start deliveries; True where the selection's end was reached."""
        selection = self._order.selection
        while self._wanted > 0 and not self._must_stop():
            page = await self._page(selection)
            if not page:
                return True
            selection = selection.behind(page[-1].document)
            for stored in await self._with_blockers(page):
                self._start(stored)
            await self._until_room()
        return not self._must_stop() and not await self._page(selection)

    def _must_stop(self) -> bool:
        lasts = time.monotonic() + self._settings.longest_delivery < self._lease.valid_until
        return self._trouble is not None or time.monotonic() > self._stop_at or not lasts

    async def _page(self, selection: Selection) -> list[Stored]:
        everything = len(self._lease.partitions) == record.PARTITIONS
        page: list[Stored] = await self._blocking(
            self._records.page,
            selection,
            max(1, min(_PAGE, self._wanted)),
            partitions=None if everything else self._lease.partitions,
            without_lanes=self._lanes.held()[:_MOST_PASSED_OVER] if selection.order == DUE else [],
            without_targets=self._bounds.open_circuits()[:_MOST_PASSED_OVER],
        )
        return page

    async def _is_left_to_others(self) -> bool:
        others = frozenset(range(record.PARTITIONS)) - self._lease.partitions
        if not others:
            return False
        return bool(await self._blocking(self._records.page, self._order.selection, 1, partitions=others))

    async def _with_blockers(self, page: list[Stored]) -> list[Stored]:
        """Return a page in the order of age, with the failed records that hold back others of it.

        A failed record that is due is sent first; one that is not holds back the later ones of its key.
        """
        lanes = {record.lane(stored.document) for stored in page} - {NO_LANE}
        blockers: Sequence[Stored] = await self._blocking(self._records.holding_back, lanes) if lanes else ()
        chosen = {
            stored.document["id"]: stored for stored in page if not self._lanes.has_seen(stored.document)
        }
        for stored in blockers:
            if stored.document["id"] in chosen or self._lanes.has_seen(stored.document):
                continue
            if self._order.selection.covers(stored.document):
                chosen[stored.document["id"]] = stored
            else:
                self._lanes.hold(stored.document)
        return [stored for _, stored in sorted(chosen.items())]

    def _start(self, stored: Stored) -> None:
        if self._lanes.is_held(stored.document):
            self._put_off(stored.document)
            return
        self._wanted -= 1
        predecessor = self._lanes.tail(stored.document)
        task = asyncio.create_task(self._deliver(stored, predecessor))
        self._lanes.follow(stored.document, task)
        self._outstanding.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._outstanding.discard(task)
        self._room.set()
        self._defect = self._defect or task.exception()

    async def _until_room(self) -> None:
        """Wait until so few deliveries are on their way that the next page is wanted."""
        while len(self._outstanding) > self._settings.concurrency:
            self._room.clear()
            await self._room.wait()

    async def _deliver(self, stored: Stored, predecessor: "asyncio.Task[None] | None") -> None:
        document = stored.document
        if predecessor is not None:
            await asyncio.wait([predecessor])
        try:
            answer = await self._attempt(document)
            await self._settle(stored, answer)
        except PutOff:
            self._wanted += 1
            self._lanes.hold(document)
            self._put_off(document)
        except OutOfTime:
            self._lanes.hold(document)
            self._left.append(document["id"])
        except DependencyDown as error:
            self._trouble = error
            self._lanes.hold(document)
            self._left.append(document["id"])

    async def _attempt(self, document: Document) -> Answer:
        if self._lanes.is_held(document):
            raise PutOff
        name = document.get("vaultSecretName")
        token = None if name is None else await self._tokens.get(name)
        if name is not None and token is None:
            return Answer(OTHER_FAILURES, f"the vault has no readable secret for vaultSecretName {name!r}")
        target = record.target(document)
        async with self._bounds.place(target):
            seconds = min(
                self._settings.longest_delivery,
                self._order.deadline - AFTER_LAST_ANSWER - time.monotonic(),
                self._lease.valid_until - time.monotonic(),
            )
            if self._must_stop() or seconds <= 0:
                raise OutOfTime
            answer = await self._sender.send(document, token, seconds)
            self._bounds.note(target, answer)
            return answer

    async def _settle(self, stored: Stored, answer: Answer) -> None:
        document, moment = stored.document, datetime.now(UTC)
        if answer.accepted:
            after = record.succeeded(document, int(answer.code), moment)
        else:
            after = record.failed(document, self._failure(document, answer, moment), moment)
            if not after.get("dead"):
                self._lanes.hold(document)
        if not await self._writer.put(stored, after):
            log.warning(
                "record %s was changed by another worker; its outcome here is dropped", document["id"]
            )
            return
        self._handled.append(document["id"])
        if answer.accepted:
            self._summary.succeeded += 1
        else:
            self._summary.failed += 1

    def _failure(self, document: Document, answer: Answer, moment: datetime) -> Failure:
        policy = self._order.policy
        attempts = record.attempts(document) + 1
        following = policy.next_attempt(answer.code, attempts, moment, answer.retry_after)
        return Failure(answer.code, answer.reason, policy.error_stream(answer.code), following)

    def _put_off(self, document: Document) -> None:
        self._summary.skipped += 1
        if self._order.selection.order != DUE:
            self._handled.append(document["id"])


class _Tokens:
    """One look-up per secret and call, whatever number of records names it."""

    def __init__(self, vault: TokenVault, blocking: Blocking):
        self._vault = vault
        self._blocking = blocking
        self._lookups: dict[str, asyncio.Future[str | None]] = {}
        self.trouble: DependencyDown | None = None

    async def get(self, name: str) -> str | None:
        """Return the token, or None where the vault has none; PutOff where the vault can't say."""
        if self.trouble is not None:
            raise PutOff
        if name not in self._lookups:
            self._lookups[name] = asyncio.ensure_future(self._blocking(self._vault.token, name))
        try:
            return await self._lookups[name]
        except DependencyDown as error:
            self.trouble = error
            raise PutOff from None
