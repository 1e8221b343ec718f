"""The records in SODA: insert, find what a call may handle, write outcomes, count; with their indexes."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from shared.drivers.database import CollectionSpec, Database, Taken
from shared.drivers.documents import Content, SmallDocument, replaced
from shared.model import json_codec, record
from shared.model.errors import DependencyDown
from shared.model.history import HISTORY
from shared.model.ids import id_at, timestamp
from shared.model.record import (
    ATTEMPTS,
    CANCELLED,
    FILTERED,
    FINISHED,
    MACHINERY,
    PARTITIONS,
    SUCCESS,
    Document,
)
from shared.storage.counters import Counters
from shared.storage.queries import (
    INDEXED_LENGTHS,
    LOWEST,
    Query,
    any_of,
    ascending,
    between,
    due,
    indexes,
    member,
    text,
)

_FETCH = 64  # documents per round trip of a cursor, if the largest are small
_FETCH_BYTES = 24 * 1024 * 1024  # per round trip, of larger ones: bounds what is in memory beyond the page
USUAL_BYTES = 1024 * 1024
"""The most bytes that one record may have, unless BODY_LIMIT says otherwise."""
PAGE_BYTES = 8 * 1024 * 1024
"""How much of the records one page holds at the most, but for its last."""
_FEW = 8  # documents per round trip, of a key with large records
_LARGE_BYTES = 2 * 1024 * 1024  # of the records that hold back such a key
_MOST_LARGE = 4  # such keys
_MOST_KEYS = 256  # that one operation names; SODA takes 1,000 at most
_MOST_VALUES = 50  # of codes, streams or targets in a report
_OF_A_CHANGE = ("status", "lastAttemptDate", ATTEMPTS, HISTORY)  # by which it is told from every other


@dataclass(frozen=True)
class Stored:
    """A document as read from the database, with what a fenced write of it needs."""

    key: str
    version: str
    document: Document


Change = tuple[Stored, Document]
"""A record as it was read, and as it stands now."""


class _Changed(Exception):
    """A transaction must not go on: what it builds on was changed."""


class Records:
    """The collection of records."""

    def __init__(self, database: Database, name: str, largest: int = USUAL_BYTES):
        """`largest`: the most bytes that one record may have."""
        self._database = database
        self._array = fetch_size(largest)
        self._spec = CollectionSpec(name, indexes(name))
        self._counters = Counters(database, name)

    def now(self) -> datetime:
        """Return the database's time."""
        return self._database.now()

    def newest_waiting(self, keys: Collection[str], after: str) -> str | None:
        """Return the greatest id of a record that waits with one of these keys, if above `after`.

        Keys are named by their digests. Unless clocks differ there are no greater ids, so for several keys
        those are looked through, whatever their keys.
        """
        greater, of_keys = {"id": {"$gt": after}}, {member("keyed"): {"$in": sorted(keys)}}
        query: dict[str, Any] = {"$and": [greater, of_keys]}
        if len(keys) == 1:
            query = {"$and": [{member("keyed"): next(iter(keys))}, greater]}
        newest = {"$query": query, "$orderby": [text("id", 36) | {"order": "desc"}]}
        with self._database.collection(self._spec) as collection:
            found = collection.find().filter(newest).limit(1).getDocuments()
            return str(as_stored(found[0]).document["id"]) if found else None

    def insert(self, documents: Sequence[Document]) -> None:
        """Store new records: all, or none if it raises; Taken if a key of theirs has been used."""
        contents = [record.encoded(document) for document in documents]
        if len(contents) == 1:
            with self._database.collection(self._spec) as collection:
                collection.insertOne(contents[0])
            return
        # Those before a bad one may have been inserted: what is not committed is rolled back.
        with self._database.transaction(self._spec) as transaction:
            transaction.commit_with_next()
            transaction.collections[0].insertMany(contents)

    def get(self, identity: str) -> Document | None:
        """Return the record with this id."""
        with self._database.collection(self._spec) as collection:
            found = collection.find().filter({"id": identity}).getOne()
            return None if found is None else as_stored(found).document

    def received(self, key: str) -> list[Document]:
        """Return the records that one request has stored under an idempotency key, in their order."""
        with self._database.collection(self._spec) as collection:
            one_key = {"$and": between(member("ingest"), f"{key}-", f"{key}.")}  # . follows -
            documents = [as_stored(one).document for one in collection.find().filter(one_key).getDocuments()]
        return sorted(documents, key=lambda document: str(document[MACHINERY]["ingest"]))

    def already_received(self, places: Collection[str]) -> dict[str, Document]:
        """Return the records that stand at these places (a key's digest and a number), by place."""
        found: dict[str, Document] = {}
        with self._database.collection(self._spec) as collection:
            for some in any_of(member("ingest"), places):
                for document in collection.find().filter(some).getDocuments():
                    stored = as_stored(document).document
                    found[stored[MACHINERY]["ingest"]] = stored
        return found

    def page(self, selection: Query, limit: int) -> list[Stored]:
        """Return the next records of a selection, at most `limit` of them and a bounded number of bytes."""
        query = {"$query": selection.as_filter(), "$orderby": [ascending(selection.order)]}
        with self._database.collection(self._spec) as collection:
            found = collection.find().filter(query).limit(limit).fetchArraySize(min(limit, self._array))
            return list(_up_to_bytes(found.getCursor(), limit))

    def reaches(self, selection: Query, number: int) -> bool:
        """Tell whether a selection holds more than `number` records."""
        query = {"$query": selection.as_filter(), "$orderby": [ascending(selection.order)]}
        with self._database.collection(self._spec) as collection:
            return bool(collection.find().filter(query).skip(number).limit(1).getDocuments())

    def hosts_waiting(self, most: int) -> list[str]:
        """Return the targets (`host:port`) of unfinished records, `most` at the most: a query for each."""
        found: list[str] = []
        lowest = LOWEST
        with self._database.collection(self._spec) as collection:
            while len(found) < most:
                query = {"$query": {member("target"): {"$gt": lowest}}, "$orderby": [ascending("target")]}
                next_ = collection.find().filter(query).limit(1).getDocuments()
                if not next_:
                    break
                lowest = str(next_[0].getContent()[MACHINERY]["target"])
                found.append(lowest)
        return found

    def holding_back(self, keys: Collection[str]) -> tuple[list[Stored], dict[str, str]]:
        """Return the failed records that hold back others of these keys, and of which keys not all are read.

        Keys are named by their digests. What is read is bounded in bytes: of a key with more only the oldest
        are read, and the id of the last of these is returned, or an empty one if none is.
        """
        found: list[Stored] = []
        beyond = dict.fromkeys(keys, "")
        with self._database.collection(self._spec) as collection:
            for some in any_of(member("blocks"), keys):
                holding, all_read = _read(
                    collection.find().filter(some).fetchArraySize(self._array), PAGE_BYTES
                )
                if not all_read:
                    break
                found += holding
                for one in some["$or"]:
                    del beyond[one[member("blocks")]]
                if sum(record.size(stored.document) for stored in found) > PAGE_BYTES:
                    break
            for key in sorted(beyond)[:_MOST_LARGE]:
                oldest, all_read = _read(_by_age(collection, key, {member("blocks"): key}), _LARGE_BYTES)
                found += oldest
                if all_read:
                    del beyond[key]
                else:
                    beyond[key] = oldest[-1].document["id"]
        return found, beyond

    def first_waiting(
        self,
        keys: Collection[str],
        targets: Mapping[str, Any],
        before: str,
        is_begun: Callable[[str], bool],
    ) -> tuple[dict[str, str], set[str]]:
        """Return the id of the oldest waiting record of each key that is not begun, if older than `before`.

        `targets` is a condition on their targets. What is read is bounded in bytes; the keys of which nothing
        is known are returned too.
        """
        oldest: dict[str, str] = {}
        unread = set(keys)
        conditions: list[Mapping[str, Any]] = [{"id": {"$lt": before}}, {member("target"): targets}]
        with self._database.collection(self._spec) as collection:
            for some in any_of(member("keyed"), keys):
                query = {"$and": [some, *conditions]}
                found, all_read = _read(
                    collection.find().filter(query).fetchArraySize(self._array), PAGE_BYTES
                )
                if not all_read:
                    break
                for stored in found:
                    key, identity = str(stored.document[MACHINERY]["keyed"]), stored.document["id"]
                    if not is_begun(identity):
                        oldest[key] = min(identity, oldest.get(key, identity))
                unread -= {one[member("keyed")] for one in some["$or"]}
            for key in sorted(unread)[:_MOST_LARGE]:
                found, is_known = _read(_by_age(collection, key, *conditions), PAGE_BYTES, is_begun)
                if is_known:
                    unread.discard(key)
                if found and not is_begun(found[-1].document["id"]):
                    oldest[key] = found[-1].document["id"]
        return oldest, unread

    def waiting_of_key(self, key: str, after: str, limit: int) -> list[Stored]:
        """Return the next records of a key, named by its digest, that are unfinished, in their order."""
        with self._database.collection(self._spec) as collection:
            found = _by_age(collection, key, {"id": {"$gt": after}}).limit(limit)
            return list(_up_to_bytes(found.getCursor(), limit))

    def with_ids(self, identities: Collection[str]) -> list[Stored]:
        """Return the records with these ids, in their order."""
        found = []
        with self._database.collection(self._spec) as collection:
            for some in any_of("id", identities):
                found += [as_stored(document) for document in collection.find().filter(some).getDocuments()]
        return sorted(found, key=lambda stored: str(stored.document["id"]))

    def write(self, changes: Sequence[Change], place: int = 0) -> list[bool]:
        """Write records as they stand now; False for each that somebody else changed since it was read.

        All are written in one transaction; if one was changed, each in its own. One that is found to stand
        as it was to be written was written by an earlier try, whose answer was lost. They are counted in the
        counters of `place`, the worker's first partition.
        """
        if not changes:
            return []
        try:
            self._write_together(changes, place)
        except _Changed:
            return [self._write_alone(change, place) for change in changes]
        return [True] * len(changes)

    def _write_alone(self, change: Change, place: int) -> bool:
        try:
            self._write_together([change], place)
        except _Changed:
            _, after = change
            found = self.get(after["id"])
            return found is not None and all(found.get(name) == after.get(name) for name in _OF_A_CHANGE)
        return True

    def _write_together(self, changes: Sequence[Change], place: int) -> None:
        """Remove the documents as they were read, insert what they are now; _Changed if one has changed."""
        contents = [json_codec.dump(after) for _, after in changes]
        try:
            with self._database.transaction(self._spec, self._counters.spec) as transaction:
                collection, counters = transaction.collections
                _remove_all(collection, [before for before, _ in changes])
                self._counters.add(counters, place, [(before.document, after) for before, after in changes])
                transaction.commit_with_next()
                collection.insertMany(contents)
        except Exception as error:
            self._counters.forget(place)
            if isinstance(error, Taken):
                raise DependencyDown("Others counted at the same moment; repeat it later.") from None
            raise

    def finished(self, before: datetime, after: str, limit: int) -> list[Stored]:
        """Return records behind the id `after` that ended before a time and are not dead, in their order."""
        query = {"$query": _finished(before, after or LOWEST), "$orderby": [text("id", 36)]}
        with self._database.collection(self._spec) as collection:
            found = collection.find().filter(query).limit(limit).fetchArraySize(min(limit, self._array))
            return list(_up_to_bytes(found.getCursor(), limit))

    def count_finished(self, before: datetime) -> int:
        """Count what `finished` would return in all."""
        with self._database.collection(self._spec) as collection:
            return int(collection.find().filter(_finished(before, LOWEST)).count())

    def remove(self, batch: Sequence[Stored], lease: SmallDocument, content: Content) -> SmallDocument | None:
        """Delete records that have ended, and replace a lease's document, in one transaction.

        Returns the document as it is then; None, and nothing is changed, if it or a record is no longer as it
        was read.
        """
        statuses = Counter(str(one.document["status"]) for one in batch)
        finished = Counter({status: statuses[status] for status in FINISHED if statuses[status]})
        try:
            with self._database.transaction(self._spec, self._counters.spec) as transaction:
                collection, documents = transaction.collections
                written = replaced(documents, lease, content)
                if written is None:
                    return None
                _remove_all(collection, batch)
                self._counters.take_off(documents, PARTITIONS, finished)
        except Exception as error:
            self._counters.forget(PARTITIONS)
            if isinstance(error, _Changed):
                return None
            raise
        return written

    def names_secret(self, name: str, since: datetime) -> bool:
        """Tell whether an unfinished record needs this secret, or one was stored with it since a time."""
        recent = {"vaultSecretName": name, "id": {"$gt": id_at(since)}}
        with self._database.collection(self._spec) as collection:
            return any(
                collection.find().filter(condition).limit(1).getDocuments()
                for condition in ({member("secret"): name}, recent)
            )

    def count(self, selection: Query | None = None) -> int:
        """Count the records of a selection, or all."""
        with self._database.collection(self._spec) as collection:
            operation = collection.find()
            if selection is not None:
                operation = operation.filter(selection.as_filter())
            return int(operation.count())

    def backlog(self, now: datetime) -> tuple[int, int]:
        """Return how many records are due, and for how many seconds the oldest of them has been."""
        oldest = self.page(due(now), 1)
        if not oldest:
            return 0, 0
        waited = now - record.due_since(oldest[0].document)
        return self.count(due(now)), int(waited.total_seconds())

    def values(self, path: str) -> list[str]:
        """Return the values that occur at an indexed path, a bounded number: a query for each."""
        found_values: list[str] = []
        lowest = "!"  # sorts before every code and stream
        order = [text(path, INDEXED_LENGTHS[path])]
        with self._database.collection(self._spec) as collection:
            while len(found_values) < _MOST_VALUES:
                query = {"$query": {path: {"$gt": lowest}}, "$orderby": order}
                found = collection.find().filter(query).limit(1).getDocuments()
                if not found:
                    break
                lowest = str(_at(found[0].getContent(), path))
                found_values.append(lowest)
        return found_values

    def failures_by(self, path: str) -> dict[str, int]:
        """Count failed records by an indexed text member: two queries for each value that occurs."""
        values = self.values(path)
        with self._database.collection(self._spec) as collection:
            return {value: int(collection.find().filter({path: value}).count()) for value in values}


def _finished(before: datetime, after: str) -> dict[str, Any]:
    time = {"$lt": timestamp(before)}
    ended = {
        "$or": [
            {"status": {"$in": [SUCCESS, FILTERED]}, "lastAttemptDate": time},
            {"status": {"$in": [CANCELLED]}, member("ended"): time},
        ]
    }
    return {"$and": [*between("id", after, id_at(before)), ended]}


def _remove_all(collection: Any, stored: Sequence[Stored]) -> None:
    """Remove documents by their keys, within a transaction; _Changed if one is not as it was read.

    A key names one state of a record, since none is replaced in its place.
    """
    removed = 0
    for start in range(0, len(stored), _MOST_KEYS):
        keys = [one.key for one in stored[start : start + _MOST_KEYS]]
        removed += int(collection.find().keys(keys).remove())
    if removed != len(stored):
        raise _Changed


def _at(content: Document, path: str) -> Any:
    for name in path.split("."):
        content = content[name]
    return content


def _by_age(collection: Any, key: str, *conditions: Mapping[str, Any]) -> Any:
    """Return the operation that reads a key's waiting records by age, a few at a time."""
    query = {"$and": [{member("keyed"): key}, *conditions]}
    ordered = {"$query": query, "$orderby": [text("id", 36)]}
    return collection.find().filter(ordered).fetchArraySize(_FEW)


def _read(operation: Any, most: int, until: Callable[[str], bool] | None = None) -> tuple[list[Stored], bool]:
    """Read up to a number of bytes, or to the first whose id is not among those that `until` knows.

    Returns whether these are all that are to be read.
    """
    cursor = operation.getCursor()
    found, total = [], 0
    try:
        for document in cursor:
            found.append(as_stored(document))
            if until and not until(found[-1].document["id"]):
                return found, True
            total += record.size(found[-1].document)
            if total > most:
                return found, False
    finally:
        cursor.close()
    return found, True


def _up_to_bytes(cursor: Any, most: int) -> Iterator[Stored]:
    """Read up to a number of bytes, or of records: asking for one more would cost a round trip."""
    total = 0
    try:
        for document in islice(cursor, most):
            stored = as_stored(document)
            yield stored
            total += record.size(stored.document)
            if total > PAGE_BYTES:
                break
    finally:
        cursor.close()


def fetch_size(largest: int) -> int:
    """Return how many documents a cursor fetches per round trip, if one may have `largest` bytes.

    >>> fetch_size(1024 * 1024), fetch_size(6 * 1024 * 1024)
    (64, 4)
    """
    return _FETCH if largest <= USUAL_BYTES else max(1, min(_FETCH, _FETCH_BYTES // largest))


def as_stored(document: Any) -> Stored:
    """Return a document as it was read."""
    content = document.getContent()
    content.pop("_id", None)  # native collections put the key into the content
    return Stored(document.key, document.version, content)
