"""What a call reads next: pages of its query, in fair turns between lanes.

A call reads everything that is due in one queue, oldest first. A lane of which many records are waiting for a
place gets a queue of its own, which is read only as fast as that lane takes them, and the main queue passes
over it: one slow target with a long backlog does not hold up the others. Where something is paused or rests
as a call begins, each host has a queue of its own from the beginning: however many records wait for the one,
nothing of them is read on the way to the others'. What waits for a place or is sent is bounded in number and
in bytes.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shared.delivery.memory import Bookmark
from shared.model import record
from shared.model.lanes import Lane
from shared.model.record import Document
from shared.settings import Settings
from shared.storage.queries import DUE, Query, inside, outside
from shared.storage.records import Stored

PAGE = 256
_MOST_BYTES = 24 * 1024 * 1024  # that wait or are sent, before more is read
_MOST_PASSED_OVER = 200  # keys, and targets, that one query passes over
MOST_HOSTS = 64  # that have queues of their own from the beginning; with more, one query passes over others


@dataclass(frozen=True)
class Page:
    """Records as they are read: `lane` names the queue that they are of, if it is a lane's or a host's own.

    What is stored while a queue is read may stand before what was read of it: behind its first page, earlier
    records of a key may be missing.
    """

    records: list[Stored]
    lane: str | None = None
    is_first: bool = True


ReadPage = Callable[[Query, int], Awaitable[list[Stored]]]


class Lanes(Protocol):
    """What tells lanes: `policy_watch.py`."""

    def lane(self, document: Document, /) -> Lane:
        """Return the lane of a record."""

    def named(self, name: str, /) -> Lane | None:
        """Return the lane with this name."""


@dataclass
class _Queue:
    query: Query
    lane: Lane | None = None
    ended: bool = False
    is_begun: bool = False


class Fetcher:
    """The queues of one call."""

    def __init__(
        self,
        query: Query,
        read: ReadPage,
        settings: Settings,
        lanes: Lanes,
        mark: Bookmark | None = None,
    ):
        """`mark` tells where an earlier call's queues stopped, to go on there."""
        self._read = read
        self._lanes = lanes
        self._most = settings.concurrency
        self._query = query
        self._main = _Queue(query if mark is None else replace(query, after=mark.main), is_begun=bool(mark))
        self._own: dict[str, _Queue] = {}
        for name, after in mark.own.items() if mark else ():
            if lane := lanes.named(name):
                self._own[name] = _Queue(replace(of_lane(query, lane), after=after), lane, is_begun=True)
        self._divides = query.order == DUE
        self._enough = (
            settings.concurrency_per_target
        )  # records of one lane that wait or are sent, before more are read
        self._begun: dict[str, Lane] = {}  # by the record's id
        self._ever_begun: set[str] = set()  # queues overlap where policies change during a call
        self._waiting: Counter[tuple[str, str]] = Counter()  # by the lane's name and its host
        self._bytes = 0

    def divide_by_host(self, hosts: Sequence[str]) -> None:
        """Read each of these hosts, and no other, in a queue of its own."""
        for host in hosts:
            lane = Lane(host, host)
            self._own[host] = _Queue(of_lane(self._query, lane), lane)
        self._main.ended = True

    @property
    def ended(self) -> bool:
        """Tell whether all that may be read has been read."""
        return self._main.ended and all(queue.ended for queue in self._own.values())

    @property
    def passed_over(self) -> list[str]:
        """The lanes and hosts that the main queue passes over because they have queues of their own."""
        return list(self._own)

    def positions(self, before: str | None) -> tuple[str, dict[str, str]]:
        """Return where the queues stopped, the main one and lanes' own, or `before` if that is earlier."""

        def position(queue: _Queue) -> str:
            return queue.query.after if before is None else min(queue.query.after, before)

        return position(self._main), {name: position(queue) for name, queue in self._own.items()}

    @property
    def is_full(self) -> bool:
        """Tell whether what waits or is sent is so large that no more is to be read."""
        return self._bytes > _MOST_BYTES

    def begun(self, document: Document) -> None:
        """Count a record that now waits for a place or is sent."""
        lane = self._begun[document["id"]] = self._lanes.lane(document)
        self._ever_begun.add(document["id"])
        self._waiting[lane.name, lane.origin] += 1
        self._bytes += record.size(document)

    def done(self, document: Document) -> None:
        """Count it no longer."""
        lane = self._begun.pop(document["id"])
        self._waiting[lane.name, lane.origin] -= 1
        self._bytes -= record.size(document)

    def passing(self, query: Query, without_keys: Sequence[str], without_lanes: Sequence[str]) -> Query:
        """Return a query that passes over keys and lanes, as many as one query can."""
        named = (self._lane_named(name) for name in without_lanes[:_MOST_PASSED_OVER])
        lanes = [lane for lane in named if lane and query.target in (None, lane.origin)]
        parts = [outside(lane) for lane in lanes if not lane.is_whole]
        return replace(
            query,
            without_keys=without_keys[:_MOST_PASSED_OVER],
            without_targets=[lane.origin for lane in lanes if lane.is_whole],
            conditions=[*query.conditions, *parts] if parts else query.conditions,
        )

    def _lane_named(self, name: str) -> Lane | None:
        """Return a lane as its queue has it, if it has one: policies may have changed since."""
        queue = self._own.get(name)
        return self._lanes.named(name) if queue is None else queue.lane

    async def next(self, wanted: int, without_keys: Sequence[str], without_lanes: Sequence[str]) -> Page:
        """Return a page, an empty one if lanes have enough, or nothing is left."""
        if self.is_full:
            return Page([])
        # At most half of what is wanted, so that the oldest records' target does not get all of a small call.
        limit = min(PAGE, wanted, max(self._enough, (wanted + 1) // 2))
        put_off = [lane for lane in map(self._lane_named, without_lanes[:_MOST_PASSED_OVER]) if lane]
        whole_hosts = {lane.origin for lane in put_off if lane.is_whole}
        for name, queue in list(self._own.items()):
            waiting = self._waiting_of(name)
            if name in without_lanes or (queue.lane and queue.lane.origin in whole_hosts):
                queue.ended = True
            elif not queue.ended and waiting <= 3 * self._enough:
                few = min(limit, 4 * self._enough) if waiting else limit
                page = await self._page(queue, few, without_keys, (*self._parts_of(name), *without_lanes))
                self._own[name] = self._own.pop(name)  # the next turn is another's
                self._divide(queue, page)
                if page:
                    return Page(page, name, is_first=False)  # of what the main queue had begun
        if self._main.ended or self._waiting_of_others() > self._most:
            return Page([])
        is_first = not self._main.is_begun
        page = await self._page(self._main, limit, without_keys, (*self._own, *without_lanes))
        self._divide(self._main, page)
        return Page(page, is_first=is_first)

    def _waiting_of(self, name: str) -> int:
        """Return how many records of a lane, or of a host with all its lanes, wait or are sent."""
        return sum(number for names, number in self._waiting.items() if name in names)

    def _waiting_of_others(self) -> int:
        return sum(
            number
            for (name, origin), number in self._waiting.items()
            if name not in self._own and origin not in self._own
        )

    def _parts_of(self, host: str) -> list[str]:
        """Return the lanes of a host's queue that have queues of their own."""
        return [name for name, queue in self._own.items() if queue.lane and name != host == queue.lane.origin]

    async def _page(
        self, queue: _Queue, limit: int, without_keys: Sequence[str], without_lanes: Sequence[str]
    ) -> list[Stored]:
        queue.is_begun = True
        while True:
            page = await self._read(self.passing(queue.query, without_keys, without_lanes), limit)
            if not page:
                queue.ended = True
                return []
            queue.query = queue.query.behind(page[-1].document)
            if fresh := [stored for stored in page if stored.document["id"] not in self._ever_begun]:
                return fresh

    def _divide(self, queue: _Queue, page: list[Stored]) -> None:
        """Give a queue of its own to each lane of which a page holds more than it takes at once."""
        if not self._divides:
            return
        found: dict[str, Lane] = {}
        number: Counter[str] = Counter()
        for stored in page:
            lane = self._lanes.lane(stored.document)
            found[lane.name] = lane
            number[lane.name] += 1
        for name, lane in found.items():
            crowded = self._waiting[name, lane.origin] + number[name] > 2 * self._enough
            if crowded and name not in self._own and len(self._own) < _MOST_PASSED_OVER:
                self._own[name] = _Queue(replace(of_lane(self._query, lane), after=queue.query.after), lane)


def of_lane(query: Query, lane: Lane) -> Query:
    """Return a query for the records of one lane."""
    conditions = inside(lane)
    return replace(
        query,
        target=lane.origin,
        conditions=[*query.conditions, *conditions] if conditions else query.conditions,
    )
