"""What a call reads next: pages of its selection, in fair turns between targets.

A call reads everything that is due in one stream, oldest first. A target of which many records are waiting
for a place gets a stream of its own, which is read only as fast as that target takes them, and the main
stream passes over it: one slow target with a long backlog does not hold up the others.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from shared.storage.queries import DUE, Query
from shared.storage.records import Stored

PAGE = 256
_MOST_STREAMS = 200  # targets that one query passes over

ReadPage = Callable[[Query, int], Awaitable[list[Stored]]]


@dataclass
class _Stream:
    selection: Query
    ended: bool = False


class Fetcher:
    """The streams of one call."""

    def __init__(self, selection: Query, read: ReadPage, most: int, per_target: int):
        """`most` requests may be in flight, `per_target` to one target."""
        self._read = read
        self._most = most
        self._main = _Stream(selection)
        self._own: dict[str, _Stream] = {}
        self._divides = selection.order == DUE
        self._enough = per_target  # records of one target that wait or are sent, before more are read
        self._waiting: Counter[str] = Counter()

    @property
    def ended(self) -> bool:
        """Tell whether all that may be read has been read."""
        return self._main.ended and all(stream.ended for stream in self._own.values())

    @property
    def passed_over(self) -> list[str]:
        """The targets that the main stream passes over because they have streams of their own."""
        return list(self._own)

    def begun(self, target: str) -> None:
        """Count a record that now waits for a place or is sent."""
        self._waiting[target] += 1

    def done(self, target: str) -> None:
        """Count it no longer."""
        self._waiting[target] -= 1

    async def next(
        self, wanted: int, without_lanes: Sequence[str], without_targets: Sequence[str]
    ) -> tuple[list[Stored], str | None]:
        """Return a page, and whose stream it is of; none where targets have enough, or nothing is left."""
        # At most half of what is wanted, so that the oldest records' target does not get all of a small call.
        limit = min(PAGE, wanted, max(self._enough, (wanted + 1) // 2))
        for target, stream in list(self._own.items()):
            if target in without_targets:
                stream.ended = True
            elif not stream.ended and self._waiting[target] <= self._enough:
                page = await self._page(stream, min(limit, 4 * self._enough), without_lanes, ())
                self._own[target] = self._own.pop(target)  # the next turn is another's
                if page:
                    return page, target
        others = self._waiting.total() - sum(self._waiting[target] for target in self._own)
        if self._main.ended or others > self._most:
            return [], None
        page = await self._page(self._main, limit, without_lanes, (*self._own, *without_targets))
        self._divide(page)
        return page, None

    async def _page(
        self, stream: _Stream, limit: int, without_lanes: Sequence[str], without_targets: Sequence[str]
    ) -> list[Stored]:
        passing = replace(
            stream.selection,
            without_lanes=without_lanes[:_MOST_STREAMS],
            without_targets=without_targets[:_MOST_STREAMS],
        )
        page = await self._read(passing, limit)
        if page:
            stream.selection = stream.selection.behind(page[-1].document)
        else:
            stream.ended = True
        return page

    def _divide(self, page: list[Stored]) -> None:
        """Give a stream of its own to each target of which a page holds more than it takes at once."""
        if not self._divides:
            return
        of_target = Counter(str(stored.document["datasync"]["target"]) for stored in page)
        for target, number in of_target.items():
            crowded = self._waiting[target] + number > 2 * self._enough
            if crowded and len(self._own) < _MOST_STREAMS:
                self._own[target] = _Stream(replace(self._main.selection, target=target))
