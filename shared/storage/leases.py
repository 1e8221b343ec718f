"""Partition leases in SODA: which worker owns which partitions, so that no record is sent by two at once.

One document holds the table of owners; a worker changes it by replacing it with a matching version, so that
one wins and the others look again. Each worker has a document of its own beside it, which only it renews:
its heartbeat, and the records that it is about to send. A worker owns its partitions until it releases them
or its heartbeat stops for the length of a lease.

No clock is compared with another machine's to tell whether a worker is alive: every renewal changes the
worker's heartbeat, and whoever has found it unchanged for the whole length of a lease, by its own monotonic
clock, takes over. Only for a worker that nobody watched does time decide, the database's, and long after.
"""

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.drivers import clock
from shared.drivers.database import CollectionSpec, Database, Taken
from shared.model import json_codec
from shared.model.errors import DependencyDown
from shared.model.ids import timestamp
from shared.model.record import PARTITIONS

_TABLE = "partitions"
_ENTRY = ("name", "beat", "until", "seconds", "inFlight")  # members of a worker's document
_UNWATCHED = timedelta(minutes=15)  # after its end, a lease ends that nobody watched
_TRIES = 50  # at replacing the table while others replace it too
_MOST_CIRCUITS = 200
_NEWS_SECONDS = 1.0  # by which a rest must be longer than the one that others know, to be told to them

Attempts = Mapping[str, int]
"""Ids of records, and how many tries each had when it was about to be sent."""


@dataclass
class Lease:
    """What one worker owns, and until when (monotonic seconds) it may act on it."""

    worker: str
    partitions: frozenset[int]
    valid_until: float
    circuits: frozenset[str] = frozenset()
    rests: Mapping[str, float] = field(default_factory=dict)
    """Targets that rest, and for how many seconds from when the lease was taken."""
    heartbeat: int = 0
    in_flight: Attempts = field(default_factory=dict)
    unsettled: dict[str, int] = field(default_factory=dict)
    """What was sent, and whose outcome could not be written."""
    key: str = ""
    version: str = ""


@dataclass(frozen=True)
class LeaseSnapshot:
    """The table at one moment: who holds what, and with which heartbeats."""

    owners: Mapping[str, Collection[int]]
    heartbeats: Mapping[str, int]
    silent: Mapping[str, Attempts]
    """Workers that are dead and can't come back, and what they were about to send."""

    @property
    def free(self) -> frozenset[int]:
        """The partitions that no living worker owns."""
        held = (numbers for name, numbers in self.owners.items() if name not in self.silent)
        return frozenset(range(PARTITIONS)).difference(*held)

    @property
    def orphaned(self) -> Attempts:
        """What dead workers may have been sending."""
        return {identity: count for records in self.silent.values() for identity, count in records.items()}


class LeaseTable:
    """The table of workers, as one process sees it; remembers since when each heartbeat has been the same."""

    def __init__(
        self,
        database: Database,
        renewals: Database,
        collection: str,
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = clock.now,
    ):
        """`renewals` has a connection of its own, which nothing slow delays; a lease lasts `seconds`."""
        name = f"{collection}_leases"
        unique = {"path": "name", "datatype": "varchar2", "maxLength": 40, "order": "asc"}
        index = {"name": f"{name}_name", "unique": True, "fields": [unique]}
        self._spec = CollectionSpec(name, (index,))
        self._database = database
        self._renewals = renewals
        self._seconds = seconds
        self._monotonic = monotonic
        self._now = now
        self._watched: dict[str, tuple[int, float]] = {}

    def snapshot_and_fence(self) -> LeaseSnapshot:
        """Return who holds what, and fence dead workers: none of them can renew its lease any more."""
        table, workers, silent = _empty(), {}, {}
        with self._database.collection(self._spec) as collection:
            for found in collection.find().getDocuments():
                entry = found.getContent()
                name = entry["name"]
                if name == _TABLE:
                    table = entry
                    continue
                workers[name] = int(entry["beat"])
                if self._is_silent(name, entry) and self._is_fenced(collection, found, entry):
                    silent[name] = {identity: int(count) for identity, count in entry["inFlight"]}
        self._watched = {name: last for name, last in self._watched.items() if name in workers}
        silent |= {name: {} for name in table["owners"] if name not in workers}
        heartbeats = {name: workers[name] for name in table["owners"] if name not in silent}
        return LeaseSnapshot(table["owners"], heartbeats, silent)

    def overview(self, now: datetime) -> tuple[list[dict[str, Any]], list[str], dict[str, str]]:
        """Return the workers with what they hold, the targets whose circuits are open, and those that rest.

        Of these it also tells until when.
        """
        table, workers = _empty(), {}
        with self._database.collection(self._spec) as collection:
            for found in collection.find().getDocuments():
                entry = found.getContent()
                if entry["name"] == _TABLE:
                    table = entry
                else:
                    workers[entry["name"]] = entry
        leases = [
            {
                "worker": name[:8],
                "partitions": len(numbers),
                "inFlight": len(workers[name]["inFlight"]) if name in workers else 0,
                "until": workers[name]["until"] if name in workers else None,
                "expired": name not in workers or workers[name]["until"] < timestamp(now),
            }
            for name, numbers in sorted(table["owners"].items())
        ]
        rests = {name: str(table["rests"][name]) for name in _seconds_left(table, now)}
        return leases, list(table["circuits"]), rests

    def rests(self, now: datetime) -> dict[str, float]:
        """Return the targets that rest, and for how many seconds."""
        with self._database.collection(self._spec) as collection:
            found = collection.find().filter({"name": _TABLE}).getOne()
            return {} if found is None else _seconds_left(found.getContent(), now)

    def share_rests(self, rests: Mapping[str, float]) -> dict[str, float]:
        """Have other workers know which targets rest, and for how many seconds; return what others know."""
        known: dict[str, float] = {}

        def merge(table: dict[str, Any]) -> bool:
            known.clear()
            known.update(_seconds_left(table, self._now()))
            news = {name: left for name, left in rests.items() if left > known.get(name, 0.0) + _NEWS_SECONDS}
            if news:
                self._set_rests(table, known | news)
            return bool(news)

        self._change(merge)
        return known

    def _set_rests(self, table: dict[str, Any], rests: Mapping[str, float]) -> None:
        now = self._now()
        until = {target: timestamp(now + timedelta(seconds=left)) for target, left in rests.items()}
        table["rests"] = dict(sorted(until.items())[:_MOST_CIRCUITS])

    def take(self, snapshot: LeaseSnapshot, most: int) -> Lease | None:
        """Take at most `most` partitions that were free in `snapshot`; None if somebody was faster.

        Whatever dead workers left in flight must be settled before: from now on their partitions are ours.
        """
        lease = Lease(uuid.uuid4().hex, frozenset(), self._monotonic() + self._seconds)
        with self._database.collection(self._spec) as collection:
            inserted = collection.insertOneAndGet(json_codec.dump(self._entry(lease)))
            lease.key, lease.version = inserted.key, inserted.version

        def take_over(table: dict[str, Any]) -> bool:
            owners = table["owners"]
            for name in snapshot.silent:
                owners.pop(name, None)
            held = {int(number) for numbers in owners.values() for number in numbers}
            lease.partitions = frozenset(sorted(snapshot.free - held)[:most])
            lease.circuits = frozenset(table["circuits"])
            lease.rests = _seconds_left(table, self._now())
            if lease.partitions:
                owners[lease.worker] = sorted(lease.partitions)
            return bool(lease.partitions)

        self._change(take_over)
        self._remove(snapshot.silent if lease.partitions else [lease.worker])
        return lease if lease.partitions else None

    def renew(self, lease: Lease, in_flight: Attempts | None = None) -> bool:
        """Extend a lease, and write down what is about to be sent; False if somebody else has taken over.

        Of one lease one call at a time: the renewals' thread is one.
        """
        started = self._monotonic()
        lease.heartbeat += 1
        if in_flight is not None:
            lease.in_flight = in_flight
        with self._renewals.collection(self._spec) as collection:
            operation = collection.find().key(lease.key).version(lease.version)
            written = operation.replaceOneAndGet(json_codec.dump(self._entry(lease)))
        # If nothing matched the driver returns a document that is none: without key and version.
        version = None if written is None else written.version
        if version is None:
            lease.valid_until = 0.0
            return False
        lease.version = version
        lease.valid_until = started + self._seconds
        return True

    def release(
        self,
        lease: Lease,
        opened: Iterable[str] = (),
        closed: Iterable[str] = (),
        rests: Mapping[str, float] | None = None,
    ) -> None:
        """Give up a lease; record the targets whose circuits opened, those that answer again, and rests.

        If something is unsettled the worker is left behind as a dead one: whoever takes over its partitions
        counts an interrupted attempt on that first.
        """

        def leave(table: dict[str, Any]) -> bool:
            circuits = (set(table["circuits"]) - set(closed)) | set(opened)
            table["circuits"] = sorted(circuits)[:_MOST_CIRCUITS]
            known = _seconds_left(table, self._now())
            own = {name: max(left, known.get(name, 0.0)) for name, left in (rests or {}).items()}
            self._set_rests(table, known | own)
            left = None if lease.unsettled else table["owners"].pop(lease.worker, None)
            return left is not None or bool(opened or closed or rests)

        if lease.unsettled:
            self._resign(lease)
        self._change(leave)
        if not lease.unsettled:
            self._remove([lease.worker])

    def _resign(self, lease: Lease) -> None:
        """Fence the own document, with what is unsettled; if a renewal was faster, the lease expires."""
        lease.in_flight = lease.unsettled
        content = json_codec.dump(self._entry(lease) | {"fenced": True})
        with self._database.collection(self._spec) as collection:
            collection.find().key(lease.key).version(lease.version).replaceOne(content)

    def _entry(self, lease: Lease) -> dict[str, Any]:
        until = timestamp(self._now() + timedelta(seconds=self._seconds))
        in_flight = sorted(lease.in_flight.items())
        return {
            "name": lease.worker,
            "beat": lease.heartbeat,
            "until": until,
            "seconds": self._seconds,
            "inFlight": in_flight,
        }

    def _is_fenced(self, collection: Any, found: Any, entry: dict[str, Any]) -> bool:
        """Change a dead worker's document, so that its renewal can't match; False if it lives."""
        if entry.get("fenced"):
            return True
        content = json_codec.dump({name: entry[name] for name in _ENTRY if name in entry} | {"fenced": True})
        return bool(collection.find().key(found.key).version(found.version).replaceOne(content))

    def _is_silent(self, name: str, entry: Mapping[str, Any]) -> bool:
        heartbeat, now = int(entry["beat"]), self._monotonic()
        is_new = name not in self._watched
        last, since = self._watched.get(name, (heartbeat, now))
        self._watched[name] = last, since = heartbeat, since if last == heartbeat else now
        if entry.get("fenced"):
            return True
        if is_new:
            return timestamp(self._now() - _UNWATCHED) > str(entry["until"])
        return now - since >= float(entry.get("seconds", self._seconds))  # its own length: another setting's

    def _remove(self, workers: Iterable[str]) -> None:
        names = list(workers)
        if names:
            with self._database.collection(self._spec) as collection:
                for name in names:
                    collection.find().filter({"name": name}).remove()

    def _change(self, change: Callable[[dict[str, Any]], bool]) -> None:
        """Apply `change`, which says whether it changed anything, to the newest table until it is written."""
        for attempt in range(_TRIES):
            with suppress(Taken), self._database.collection(self._spec) as collection:
                found = collection.find().filter({"name": _TABLE}).getOne()
                table = _empty() if found is None else found.getContent()
                if not change(table) or _written(collection, found, table):
                    return
            time.sleep(min(0.001 * 2**attempt, 0.05))
        raise DependencyDown("Too many processes change the lease table at once. Repeat the request later.")


def _written(collection: Any, found: Any, table: Mapping[str, Any]) -> bool:
    content = json_codec.dump({"name": _TABLE, **{name: table.get(name, {}) for name in _empty()}})
    if found is None:
        collection.insertOne(content)  # if somebody else was first, the unique index refuses it
        return True
    return bool(collection.find().key(found.key).version(found.version).replaceOne(content))


def _empty() -> dict[str, Any]:
    return {"owners": {}, "circuits": [], "rests": {}}


def _seconds_left(table: Mapping[str, Any], now: datetime) -> dict[str, float]:
    """Return the targets that still rest, and for how long."""
    found: Mapping[str, str] = table.get("rests", {})  # a table of an earlier version has none
    left = {name: (datetime.fromisoformat(until) - now).total_seconds() for name, until in found.items()}
    return {name: seconds for name, seconds in left.items() if seconds > 0}
