"""Partition leases in SODA: which worker owns which partitions, so that no record is sent by two at once.

One document holds the table of workers; a worker changes it by replacing it with a matching version, so that
one wins and the others look again. A worker owns the partitions in its entry until it releases them or its
lease expires.

No clock is compared with another machine's to tell whether a worker is alive: every renewal changes the
worker's `beat`, and whoever has seen the same beat for the whole length of a lease, by its own monotonic
clock, takes over. Only where nobody could watch (all processes were new) does wall time decide, long after.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import jsontext
from shared.database import CollectionSpec, Database, Taken
from shared.errors import DependencyDown
from shared.record import PARTITIONS, timestamp

_TABLE = "partitions"
_CLOCK_DIFFERENCE = timedelta(minutes=15)  # more than two machines' wall clocks are apart
_TRIES = 50  # at replacing the table while others replace it too

Workers = dict[str, dict[str, Any]]


@dataclass
class Lease:
    """What one worker owns, and until when (monotonic seconds) it may act on it."""

    worker: str
    partitions: frozenset[int]
    valid_until: float
    beat: int = 0


@dataclass(frozen=True)
class Standing:
    """What a look at the table gave: a lease, or the beats of those who hold everything."""

    lease: Lease | None
    beats: dict[str, int] = field(default_factory=dict)


class LeaseTable:
    """The table of workers, as one process sees it; remembers since when each beat has been the same."""

    def __init__(
        self,
        database: Database,
        collection: str,
        seconds: float,
        workers: int,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        """`seconds` is how long a lease lasts; `workers`, how many may share the partitions at once."""
        name = f"{collection}_leases"
        unique = {"path": "name", "datatype": "varchar2", "maxLength": 30, "order": "asc"}
        index = {"name": f"{name}_name", "unique": True, "fields": [unique]}
        self._spec = CollectionSpec(name, (index,))
        self._database = database
        self._seconds = seconds
        self._share = -(-PARTITIONS // workers)
        self._monotonic = monotonic
        self._wall = wall
        self._seen: dict[str, tuple[int, float]] = {}

    def acquire(self) -> Standing:
        """Take a share of the partitions that nobody owns, for a new worker."""
        started = self._monotonic()
        worker = uuid.uuid4().hex
        lease: Lease | None = None

        def take(workers: Workers) -> bool:
            nonlocal lease
            for name in [name for name, entry in workers.items() if self._expired(name, entry)]:
                del workers[name]
            owned = {number for entry in workers.values() for number in entry["held"]}
            free = [number for number in range(PARTITIONS) if number not in owned]
            lease = None
            if free:
                lease = Lease(worker, frozenset(free[: self._share]), started + self._seconds)
                workers[worker] = self._entry(lease)
            return lease is not None

        workers = self._change(take)
        return Standing(lease, {name: int(entry["beat"]) for name, entry in workers.items()})

    def renew(self, lease: Lease) -> bool:
        """Extend a lease; False where somebody else has taken it over."""
        started = self._monotonic()
        lost = False

        def beat(workers: Workers) -> bool:
            nonlocal lost
            lost = lease.worker not in workers
            if not lost:
                workers[lease.worker] = self._entry(lease, lease.beat + 1)
            return not lost

        self._change(beat)
        if not lost:
            lease.beat += 1
            lease.valid_until = started + self._seconds
        return not lost

    def release(self, lease: Lease) -> None:
        """Give up a lease."""

        def leave(workers: Workers) -> bool:
            return workers.pop(lease.worker, None) is not None

        self._change(leave)

    def _entry(self, lease: Lease, beat: int = 0) -> dict[str, Any]:
        until = timestamp(self._wall() + timedelta(seconds=self._seconds))
        return {"beat": beat, "until": until, "held": sorted(lease.partitions)}

    def _expired(self, name: str, entry: dict[str, Any]) -> bool:
        beat, now = int(entry["beat"]), self._monotonic()
        seen, since = self._seen.get(name, (None, now))
        if seen != beat:
            self._seen[name] = (beat, since) = (beat, now)
        unwatched = timestamp(self._wall() - _CLOCK_DIFFERENCE) > entry["until"]
        return now - since >= self._seconds or unwatched

    def _change(self, change: Callable[[Workers], bool]) -> Workers:
        """Apply `change` to the newest table until its replacement wins; return the table as it then stands.

        `change` says whether it changed anything.
        """
        for attempt in range(_TRIES):
            with self._database.collection(self._spec) as collection:
                found = collection.find().filter({"name": _TABLE}).getOne()
                workers: Workers = {} if found is None else found.getContent()["workers"]
                if not change(workers) or self._written(collection, found, workers):
                    return workers
            time.sleep(min(0.001 * 2**attempt, 0.05))
        raise DependencyDown("The lease table is contended beyond reason. Repeat the request later.")

    def _written(self, collection: Any, found: Any, workers: Workers) -> bool:
        content = jsontext.dump({"name": _TABLE, "changed": uuid.uuid4().hex, "workers": workers})
        if found is not None:
            return bool(collection.find().key(found.key).version(found.version).replaceOne(content))
        try:
            collection.insertOne(content)
        except Taken:
            return False
        return True
