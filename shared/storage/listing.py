"""Lists of records for people, the newest first, page after page: failures, and whatever a search finds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import dropwhile, islice
from typing import Any

from shared.drivers.database import CollectionSpec, Database
from shared.model import record
from shared.model.ids import timestamp
from shared.model.record import Document
from shared.storage.failure_queries import FailureQuery
from shared.storage.queries import (
    FAILED,
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
from shared.storage.records import PAGE_BYTES, as_stored

SEARCHED = 10_000
"""How many failures one page looks at: a filter that finds none costs no more than that."""
_FETCH = 64  # documents per round trip
_BETWEEN = "_"  # in a cursor: between a time and an id


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

    def __init__(self, database: Database, name: str):
        self._database = database
        self._spec = CollectionSpec(name, indexes(name))

    def search(self, query: RecordQuery, limit: int, after: str | None = None) -> Page:
        """Return what a search finds behind the id `after`, at most `limit` of it and a number of bytes."""
        newest = [ascending(ID) | {"order": "desc"}]
        with self._database.collection(self._spec) as collection:
            found = {"$query": {"$and": query.conditions(after)}, "$orderby": newest}
            operation = (
                collection.find().filter(found).limit(limit + 1).fetchArraySize(min(limit + 1, _FETCH))
            )
            documents, is_cut = _some(_each(operation.getCursor()), limit)
        return Page(documents, documents[-1]["id"] if is_cut else None)

    def failures(self, query: FailureQuery, limit: int, after: str | None = None) -> Page:
        """Return failed records behind a page's `next`, at most `limit`; they may be fewer before the end.

        The latest attempt comes first; with times, or with what stands in an index, the record stored last.
        One page looks at SEARCHED failures at most, and goes on behind these.
        """
        order = query.order
        upto, _, tie = (after or "").partition(_BETWEEN)
        served = [*({path: value} for path, value in query.indexed.items()), *_range(query, upto)]
        with self._database.collection(self._spec) as collection:

            def found(conditions: Sequence[Mapping[str, Any]]) -> Any:
                newest = [ascending(name) | {"order": "desc"} for name in _orders(order)]
                return collection.find().filter({"$query": {"$and": conditions}, "$orderby": newest})

            last = _last_to_look_at(found(served)) if query.narrowing else None
            if last is not None:
                served.append({place(order): {"$gte": place_of(last, order)}})
            operation = found([*served, *query.narrowing]).fetchArraySize(min(limit + 1, _FETCH))
            behind = dropwhile(lambda one: _is_seen(one, order, upto, tie), _each(operation.getCursor()))
            documents, is_cut = _some(behind, limit)
        if is_cut:
            return Page(documents, _cursor(documents[-1], order))
        return Page(documents, None if last is None else _cursor(last, order))


def _range(query: FailureQuery, upto: str) -> list[dict[str, Any]]:
    """Return the range of what is ordered by: what has the last page's time may be on this one, too."""
    if query.order == LATELY:
        path = place(LATELY)
        return [{path: {"$gt": LOWEST}}, *([{path: {"$lte": upto}}] if upto else [])]
    high = query.before
    if upto:
        high = upto if high is None else min(high, upto)
    return between(place(query.order), query.after, high)


def _orders(order: str) -> tuple[str, ...]:
    return (LATELY, FAILED) if order == LATELY else (order,)


def _is_seen(document: Document, order: str, upto: str, tie: str) -> bool:
    return order == LATELY and place_of(document, LATELY) == upto and document["id"] >= tie


def _cursor(document: Document, order: str) -> str:
    identity = str(document["id"])
    return f"{place_of(document, LATELY)}{_BETWEEN}{identity}" if order == LATELY else identity


def _last_to_look_at(operation: Any) -> Document | None:
    found = operation.skip(SEARCHED - 1).limit(1).getDocuments()
    return as_stored(found[0]).document if found else None


def _each(cursor: Any) -> Iterator[Document]:
    try:
        for document in cursor:
            yield as_stored(document).document
    finally:
        cursor.close()


def _some(documents: Iterator[Document], limit: int) -> tuple[list[Document], bool]:
    """Return up to `limit` documents, and up to a number of bytes; and whether there are more of them."""
    some: list[Document] = []
    total = 0
    for document in islice(documents, limit + 1):
        if len(some) == limit or total > PAGE_BYTES:
            return some, True
        some.append(document)
        total += record.size(document)
    return some, False
