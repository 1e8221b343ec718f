"""How maintenance and deliveries share partitions: one batch under a lease, then a turn for the others."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.model import record
from shared.model.record import PARTITIONS, Document
from shared.storage.leases import Lease, LeaseTable
from shared.storage.queries import Query
from shared.storage.records import Records, Stored

BATCH = 500
_NEEDED_SECONDS = 20.0  # for a batch; with less left none is begun
_LEASE_SECONDS = 10.0  # how long a run waits for partitions that others work on
_TURN_SECONDS = 0.6  # longer than a delivery waits at most before it looks at the leases again


@dataclass(frozen=True)
class Turns:
    """The time of one run, which ends at `deadline` (monotonic seconds)."""

    deadline: float
    sleep: Callable[[float], None] = time.sleep

    def in_time(self) -> bool:
        """Tell whether another batch may begin."""
        return time.monotonic() < self.deadline - _NEEDED_SECONDS

    def pages(self, records: Records, selection: Query) -> Iterator[list[Stored]]:
        """Yield pages of a selection, as long as there is time; between two, deliveries have a turn."""
        first = True
        while page := records.page(selection, BATCH):
            if not first:
                self.sleep(_TURN_SECONDS)
            if not self.in_time():
                return
            yield page
            selection, first = selection.behind(page[-1].document), False


class Leased:
    """A lease for one batch on whatever partitions are free, after a short wait; None where none are."""

    def __init__(self, leases: LeaseTable):
        self._leases = leases

    def __enter__(self) -> Lease | None:
        end = time.monotonic() + _LEASE_SECONDS
        while True:
            standing = self._leases.snapshot_and_fence()
            # What dead workers left in flight is for a delivery to settle first.
            ready = standing.free and not standing.orphaned
            self._lease = self._leases.take(standing, PARTITIONS) if ready else None
            if self._lease is not None or time.monotonic() > end:
                return self._lease
            time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        if self._lease is not None:
            self._leases.release(self._lease)


def is_mine(document: Document, lease: Lease | None) -> bool:
    """Tell whether a record is in a partition of this lease."""
    return lease is not None and record.partition(document) in lease.partitions
