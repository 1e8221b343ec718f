"""Lists of records for people, the newest first, page after page: failures, and whatever a search finds."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.drivers.database import CollectionSpec, Database
from shared.model import record
from shared.model.ids import timestamp
from shared.model.record import Document
from shared.storage.failure_queries import FailureQuery
from shared.storage.queries import (
    ID,
    LATELY,
    LOWEST,
    ascending,
    between,
    id_above,
    id_below,
    indexes,
    place,
    place_of,
)
from shared.storage.records import PAGE_BYTES, USUAL_BYTES, as_stored, fetch_size

SEARCHED = 10_000
"""How many failures one page looks at: a filter that finds none costs no more than that."""


@dataclass(frozen=True)
class Page:
    """Some records of a list, and what to ask for to go on behind them; None at its end."""

    records: list[Document]
    next: str | None


@dataclass(frozen=True)
class RecordQuery:
    """Which records a search finds: by a member that an index has before the id, whatever became of them."""

    member: str
    value: str
    caller: str | None = None
    """Whose records; everybody's if None, and those of nobody with a name if empty."""
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, after: str | None) -> list[dict[str, Any]]:
        """Return the conditions for what comes behind the id `after`: an index serves them."""
        low, high = id_below(self.since), id_above(self.until)
        if after is not None:
            high = after if high is None else min(high, after)
        own: list[dict[str, Any]] = []
        if self.caller:  # of few records, what is theirs is not left to an index
            own = [{"caller": self.caller if self.member == "status" else {"$in": [self.caller]}}]
        return [*own, {self.member: self.value}, *between(ID, low, high), *self._narrowing()]

    def _narrowing(self) -> Iterator[dict[str, Any]]:
        if self.caller == "":
            yield {"caller": {"$exists": False}}
        if self.since is not None:
            yield {"createdDate": {"$gte": timestamp(self.since)}}
        if self.until is not None:
            yield {"createdDate": {"$lt": timestamp(self.until)}}


class Listing:
    """The lists over one collection of records; one instance serves a process."""

    def __init__(self, database: Database, name: str, largest: int = USUAL_BYTES):
        """`largest`: the most bytes that one record may have."""
        self._database = database
        self._array = fetch_size(largest)
        self._spec = CollectionSpec(name, indexes(name))

    def search(self, query: RecordQuery, limit: int, after: str | None = None) -> Page:
        """Return what a search finds behind the id `after`, at most `limit` of it and a number of bytes."""
        newest = [ascending(ID) | {"order": "desc"}]
        with self._database.collection(self._spec) as collection:
            found = {"$query": {"$and": query.conditions(after)}, "$orderby": newest}
            operation = (
                collection.find().filter(found).limit(limit + 1).fetchArraySize(min(limit + 1, self._array))
            )
            documents, is_cut = _some(_each(operation.getCursor()), limit, ID)
        return Page(documents, documents[-1]["id"] if is_cut else None)

    def failures(self, query: FailureQuery, limit: int, after: str | None = None) -> Page:
        """Return failed records behind a page's `next`, about `limit`; they may be fewer before the end.

        The latest attempt comes first; with times, or with what stands in an index, the record stored last.
        One page looks at SEARCHED failures at most, and goes on behind these. No page ends between two of the
        same time, since the next begins behind that time.
        """
        order = query.order
        equal: list[dict[str, Any]] = [{path: value} for path, value in query.indexed.items()]
        served = [*equal, *_range(query, after)]
        newest = [ascending(order) | {"order": "desc"}]
        with self._database.collection(self._spec) as collection:

            def found(conditions: Sequence[Mapping[str, Any]]) -> Any:
                return collection.find().filter({"$query": {"$and": conditions}, "$orderby": newest})

            last = _last_to_look_at(found(served), order) if query.narrowing else None
            if last is not None:
                served.append({place(order): {"$gte": last}})
            operation = found([*served, *query.narrowing]).fetchArraySize(min(limit + 1, self._array))
            documents, is_cut = _some(_each(operation.getCursor()), limit, order)
        return Page(documents, place_of(documents[-1], order) if is_cut else last)


def _range(query: FailureQuery, after: str | None) -> list[dict[str, Any]]:
    """Return the range of what is ordered by that is left behind a page."""
    low, high = (LOWEST, None) if query.order == LATELY else (query.after, query.before)
    if after is not None:
        high = after if high is None else min(high, after)
    return between(place(query.order), low, high)


def _last_to_look_at(operation: Any, order: str) -> str | None:
    found = operation.skip(SEARCHED - 1).limit(1).getDocuments()
    return place_of(as_stored(found[0]).document, order) if found else None


def _each(cursor: Any) -> Generator[Document, None, None]:
    try:
        for document in cursor:
            yield as_stored(document).document
    finally:
        cursor.close()


def _some(documents: Generator[Document, None, None], limit: int, order: str) -> tuple[list[Document], bool]:
    """Return up to `limit` documents, and up to a number of bytes; and whether there are more of them."""
    some: list[Document] = []
    total = 0
    with closing(documents):
        for document in documents:
            is_full = len(some) >= limit or total > PAGE_BYTES
            if is_full and place_of(document, order) != place_of(some[-1], order):
                return some, True
            some.append(document)
            total += record.size(document)
    return some, False
