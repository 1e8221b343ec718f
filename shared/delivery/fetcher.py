"""What a call reads next: pages of its query, in fair turns between targets.

A call reads everything that is due in one queue, oldest first. A target of which many records are waiting for
a place gets a queue of its own, which is read only as fast as that target takes them, and the main queue
passes over it: one slow target with a long backlog does not hold up the others. What waits for a place or is
sent is bounded in number and in bytes.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from shared.delivery.memory import Bookmark
from shared.model import record
from shared.model.record import Document
from shared.settings import Settings
from shared.storage.queries import DUE, Query
from shared.storage.records import Stored

PAGE = 256
_MOST_BYTES = 24 * 1024 * 1024  # that wait or are sent, before more is read
_MOST_PASSED_OVER = 200  # keys, and targets, that one query passes over


@dataclass(frozen=True)
class Page:
    """Records as they are read: `target` names the queue that they are of, if it is a target's own.

    What is stored while a queue is read may stand before what was read of it: behind its first page, earlier
    records of a key may be missing.
    """

    records: list[Stored]
    target: str | None = None
    is_first: bool = True


ReadPage = Callable[[Query, int], Awaitable[list[Stored]]]


@dataclass
class _Queue:
    query: Query
    ended: bool = False
    is_begun: bool = False


class Fetcher:
    """The queues of one call."""

    def __init__(self, query: Query, read: ReadPage, settings: Settings, mark: Bookmark | None = None):
        """`mark` tells where an earlier call's queues stopped, to go on there."""
        self._read = read
        self._most = settings.concurrency
        self._main = _Queue(query if mark is None else replace(query, after=mark.main), is_begun=bool(mark))
        self._own = {
            target: _Queue(replace(query, target=target, after=after), is_begun=True)
            for target, after in (mark.own.items() if mark else ())
        }
        self._divides = query.order == DUE
        self._enough = (
            settings.concurrency_per_target
        )  # records of one target that wait or are sent, before more are read
        self._waiting: Counter[str] = Counter()
        self._bytes = 0

    @property
    def ended(self) -> bool:
        """Tell whether all that may be read has been read."""
        return self._main.ended and all(queue.ended for queue in self._own.values())

    @property
    def passed_over(self) -> list[str]:
        """The targets that the main queue passes over because they have queues of their own."""
        return list(self._own)

    def positions(self, before: str | None) -> tuple[str, dict[str, str]]:
        """Return where the queues stopped, the main one and targets' own, or `before` if that is earlier."""

        def position(queue: _Queue) -> str:
            return queue.query.after if before is None else min(queue.query.after, before)

        return position(self._main), {target: position(queue) for target, queue in self._own.items()}

    @property
    def is_full(self) -> bool:
        """Tell whether what waits or is sent is so large that no more is to be read."""
        return self._bytes > _MOST_BYTES

    def begun(self, document: Document) -> None:
        """Count a record that now waits for a place or is sent."""
        self._waiting[record.target(document)] += 1
        self._bytes += record.size(document)

    def done(self, document: Document) -> None:
        """Count it no longer."""
        self._waiting[record.target(document)] -= 1
        self._bytes -= record.size(document)

    def passing(self, query: Query, without_keys: Sequence[str], without_targets: Sequence[str]) -> Query:
        """Return a query that passes over keys and targets, as many as one query can."""
        return replace(
            query,
            without_keys=without_keys[:_MOST_PASSED_OVER],
            without_targets=without_targets[:_MOST_PASSED_OVER],
        )

    async def next(self, wanted: int, without_keys: Sequence[str], without_targets: Sequence[str]) -> Page:
        """Return a page, an empty one if targets have enough, or nothing is left."""
        if self.is_full:
            return Page([])
        # At most half of what is wanted, so that the oldest records' target does not get all of a small call.
        limit = min(PAGE, wanted, max(self._enough, (wanted + 1) // 2))
        for target, queue in list(self._own.items()):
            if target in without_targets:
                queue.ended = True
            elif not queue.ended and self._waiting[target] <= 3 * self._enough:
                few = min(limit, 4 * self._enough) if self._waiting[target] else limit
                page = await self._page(queue, few, without_keys, ())
                self._own[target] = self._own.pop(target)  # the next turn is another's
                if page:
                    return Page(page, target, is_first=False)  # of what the main queue had begun
        others = self._waiting.total() - sum(self._waiting[target] for target in self._own)
        if self._main.ended or others > self._most:
            return Page([])
        is_first = not self._main.is_begun
        page = await self._page(self._main, limit, without_keys, (*self._own, *without_targets))
        self._divide(page)
        return Page(page, is_first=is_first)

    async def _page(
        self, queue: _Queue, limit: int, without_keys: Sequence[str], without_targets: Sequence[str]
    ) -> list[Stored]:
        page = await self._read(self.passing(queue.query, without_keys, without_targets), limit)
        queue.is_begun = True
        if page:
            queue.query = queue.query.behind(page[-1].document)
        else:
            queue.ended = True
        return page

    def _divide(self, page: list[Stored]) -> None:
        """Give a queue of its own to each target of which a page holds more than it takes at once."""
        if not self._divides:
            return
        of_target = Counter(str(stored.document["datasync"]["target"]) for stored in page)
        for target, number in of_target.items():
            crowded = self._waiting[target] + number > 2 * self._enough
            if crowded and len(self._own) < _MOST_PASSED_OVER:
                self._own[target] = _Queue(replace(self._main.query, target=target))
