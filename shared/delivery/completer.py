"""Completes attempts: outcomes are written in groups, a few at once, each answered when it is durable."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shared.model import record
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.storage.records import Change, Stored

GROUP_RECORDS = 128
GROUP_BYTES = 8 * 1024 * 1024
GROUP_SECONDS = 0.2  # how long an outcome waits for others
GROUP_SECONDS_KEYED = 0.025  # if a later record of its key may be waiting for it
MOST_GROUPS = 3  # that are written at once; the second and third only once they are full
_PAUSE_SECONDS = 0.5  # before a write is tried again

T = TypeVar("T")
Write = Callable[[Sequence[Change]], Awaitable[list[bool]]]


class Completer:
    """Collects outcomes from many deliveries and writes them in one transaction per group.

    While the database is unavailable a group is tried again until `give_up_at` says that it is too late:
    until then the worker owns its records, and nobody sends them again. If the database refuses a group for
    what stands in it, each of its outcomes is written alone, so that one document harms no other.
    """

    def __init__(self, write: Write, give_up_at: Callable[[], float]):
        self._write = write
        self._give_up_at = give_up_at
        self._waiting: list[tuple[Change, asyncio.Future[bool]]] = []
        self._writing: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()  # something arrived, or a group was written
        self._full = asyncio.Event()
        self._flying = 0
        self._bytes = 0  # of those that wait
        self._hurry: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._run())

    async def expect(self, request: Awaitable[T]) -> T:
        """Await a request: a group is not held open if no other outcome can come."""
        self._flying += 1
        try:
            return await request
        finally:
            self._flying -= 1

    async def put(self, before: Stored, after: Document) -> bool:
        """Write one outcome; return when it is durable: False if somebody else changed the record.

        Raises DependencyDown if the database was unavailable for too long, or the error with which it refused
        the document.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(((before, after), written))
        self._bytes += record.size(before.document)
        if self._hurry is None and record.key_digest(after) != record.NO_KEY:
            self._hurry = loop.call_later(GROUP_SECONDS_KEYED, self._full.set)
        self._changed.set()
        if self._is_full():
            self._full.set()
        return await written

    async def close(self) -> None:
        """Stop; whoever calls this has awaited every outcome."""
        self._task.cancel()
        await asyncio.gather(self._task, *self._writing, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not self._waiting or len(self._writing) >= self._most_groups():
                continue
            await self._gathered()
            self._begin_group()
            self._changed.set()  # more may be waiting than went into this group

    def _most_groups(self) -> int:
        return MOST_GROUPS if len(self._waiting) >= GROUP_RECORDS else 1

    def _begin_group(self) -> None:
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None
        number = self._next_group()
        group, self._waiting = self._waiting[:number], self._waiting[number:]
        self._bytes -= sum(record.size(before.document) for (before, _), _ in group)
        task = asyncio.create_task(self._complete(group))
        self._writing.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: "asyncio.Task[None]") -> None:
        self._writing.discard(task)
        self._changed.set()

    def _next_group(self) -> int:
        """Return how many of those that wait are written together: one at least."""
        left = GROUP_BYTES
        for number, ((before, _), _) in enumerate(self._waiting[:GROUP_RECORDS]):
            left -= record.size(before.document)
            if left < 0:
                return max(1, number)
        return min(GROUP_RECORDS, len(self._waiting))

    def _is_full(self) -> bool:
        """Tell whether a group is not to wait for more: it has enough, or no more can come."""
        is_enough = len(self._waiting) >= GROUP_RECORDS or self._bytes >= GROUP_BYTES
        return is_enough or not self._flying

    async def _gathered(self) -> None:
        if not self._is_full():
            self._full.clear()
            try:
                await asyncio.wait_for(self._full.wait(), GROUP_SECONDS)
            except TimeoutError:
                return

    async def _complete(self, group: list[tuple[Change, "asyncio.Future[bool]"]]) -> None:
        try:
            results = await self._persistently([change for change, _ in group])
        except DependencyDown as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001 - it goes to whoever awaits the outcome
            if len(group) == 1:
                _fail(group, error)
                return
            for one in group:
                await self._complete([one])
        else:
            for (_, written), result in zip(group, results, strict=True):
                written.set_result(result)

    async def _persistently(self, changes: list[Change]) -> list[bool]:
        while True:
            try:
                return await self._write(changes)
            except DependencyDown:
                if time.monotonic() + _PAUSE_SECONDS > self._give_up_at():
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)


def _fail(group: list[tuple[Change, "asyncio.Future[bool]"]], error: Exception) -> None:
    for _, written in group:
        written.set_exception(error)
