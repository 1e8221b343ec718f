"""The use case of a daily call: steps that archive, expire and prune, one run at a time.

Every step can end at any moment, and the next run continues.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Protocol

from shared.model import record
from shared.model.errors import DependencyDown
from shared.model.record import PARTITIONS, Document
from shared.operations.lease import LeaseLost, MaintenanceLease
from shared.storage.leases import Lease, LeaseTable
from shared.storage.queries import Query
from shared.storage.records import Records, Stored

log = logging.getLogger(__name__)

BATCH = 500
_NEEDED_SECONDS = 20.0  # for a batch; with less time left, none is begun
_PARTITIONS_SECONDS = 10.0  # how long a run waits for partitions that deliveries hold
_LOOK_AGAIN_SECONDS = 0.2
_PAUSE_SECONDS = 0.6  # longer than a delivery waits at most before it looks at the leases again


@dataclass(frozen=True)
class Done:
    """What a run, or a part of it, did, or would do in a dry run: the members of the answer."""

    archived: int = 0
    archivedDead: int = 0  # noqa: N815 - a member of the answer
    expired: int = 0
    secretsDeleted: int = 0  # noqa: N815
    endOfWork: bool = True  # noqa: N815
    anotherRun: bool = False  # noqa: N815
    """Another run holds the lease, so this one does nothing more."""

    def __add__(self, other: "Done") -> "Done":
        return Done(
            self.archived + other.archived,
            self.archivedDead + other.archivedDead,
            self.expired + other.expired,
            self.secretsDeleted + other.secretsDeleted,
            self.endOfWork and other.endOfWork,
            self.anotherRun or other.anotherRun,
        )


@dataclass(frozen=True)
class Run:
    """One run as its steps see it: when it began, and until when (monotonic seconds) it may continue."""

    now: datetime
    deadline: float
    lease: MaintenanceLease
    sleep: Callable[[float], None] = time.sleep

    def goes_on(self) -> bool:
        """Keep the lease, and tell whether there is time for a batch; LeaseLost if it is another's."""
        self.lease.keep()
        return time.monotonic() < self.deadline - _NEEDED_SECONDS

    def pages(self, records: Records, query: Query) -> Iterator[list[Stored]]:
        """Yield pages of a query, as long as there is time; between two, deliveries get their partitions."""
        first = True
        while page := records.page(query, BATCH):
            if not first:
                self.sleep(_PAUSE_SECONDS)
            if not self.goes_on():
                return
            yield page
            query, first = query.behind(page[-1].document), False


class Step(Protocol):
    """One duty of maintenance."""

    def count(self, run: Run) -> Done:
        """Return what `run` would do, and change nothing."""

    def run(self, run: Run) -> Iterator[Done]:
        """Do it, and yield what was done, part by part."""


@dataclass(frozen=True)
class Maintenance:
    """Maintains one collection; one instance serves a call."""

    lease: MaintenanceLease
    steps: Sequence[Step]
    now: Callable[[], datetime]
    """The database's time."""
    sleep: Callable[[float], None] = field(default=time.sleep)

    def run(self, deadline: float, *, dry_run: bool = False) -> dict[str, Any]:
        """Do what is to be done until `deadline` (monotonic seconds), and return how much it was.

        Raises DependencyDown if a service could not be reached: the rest is left to the next run.
        """
        run = Run(self.now(), deadline, self.lease, self.sleep)
        if dry_run:
            return asdict(sum((step.count(run) for step in self.steps), Done()))
        if not self.lease.take(deadline - _NEEDED_SECONDS):
            log.info("another maintenance run holds the lease; this one does nothing")
            return asdict(Done(endOfWork=False, anotherRun=True))
        try:
            return asdict(self._carried_out(run))
        finally:
            self._release()

    def _carried_out(self, run: Run) -> Done:
        done = Done()
        try:
            for step in self.steps:
                for part in step.run(run):
                    done += part
        except LeaseLost:
            log.warning("another maintenance run has taken the lease; this one does nothing more")
            return done + Done(endOfWork=False, anotherRun=True)
        return done

    def _release(self) -> None:
        try:
            self.lease.release()
        except DependencyDown:
            log.warning("the lease of maintenance could not be released; it expires by itself")


@contextmanager
def leased_partitions(leases: LeaseTable) -> Iterator[Lease | None]:
    """Lease, for one batch, whatever partitions are free, after a short wait; None if none are."""
    lease, end = None, time.monotonic() + _PARTITIONS_SECONDS
    while lease is None:
        snapshot = leases.snapshot_and_fence()
        # What dead workers left in flight is for a delivery to settle first.
        if snapshot.free and not snapshot.orphaned:
            lease = leases.take(snapshot, PARTITIONS)
        if lease is None:
            if time.monotonic() > end:
                break
            time.sleep(_LOOK_AGAIN_SECONDS)
    try:
        yield lease
    finally:
        if lease is not None:
            leases.release(lease)


def is_leased(document: Document, lease: Lease | None) -> bool:
    """Tell whether a record is in a partition of this lease."""
    return lease is not None and record.partition(document) in lease.partitions
