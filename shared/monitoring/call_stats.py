"""Statistics of one call: how its deliveries ended, how long they took, which failures are new."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.model import codes, record
from shared.model.record import Document

_MOST_TARGETS = 15  # shown separately; with two metrics each, and rests, they fit into one post of 50 streams
_MOST_RESTS = 8
OTHERS = "others"
_EXPIRED = "expired"


@dataclass(frozen=True)
class Backlog:
    """How many records are due, for how many seconds the oldest of them has been, and which targets rest."""

    due: int = 0
    oldest_seconds: int = 0
    rests: Mapping[str, float] = field(default_factory=dict)
    """For how many seconds targets still rest, which were overloaded."""

    def longest_rests(self) -> dict[str, float]:
        """Return the targets that rest longest."""
        return dict(sorted(self.rests.items(), key=lambda one: -one[1])[:_MOST_RESTS])


@dataclass
class CallStats:
    """Counts of one call, over all its leases."""

    delivered: Counter[str] = field(default_factory=Counter)
    """By target, as are those that failed."""
    failed: Counter[str] = field(default_factory=Counter)
    dead: int = 0
    filtered: int = 0
    skipped: int = 0
    seconds: list[float] = field(default_factory=list)
    new: Counter[str] = field(default_factory=Counter)
    """First failures of records, and deaths, by their reason in words."""
    newly_failed: int = 0

    def record(self, before: Document, after: Document, seconds: float | None = None) -> None:
        """Count an outcome that was written; its duration is not always known."""
        if after["status"] == record.FILTERED:
            self.filtered += 1
            return
        target = record.target(before)
        if seconds is not None:
            self.seconds.append(seconds)
        if after["status"] == record.SUCCESS:
            self.delivered[target] += 1
            return
        self.failed[target] += 1
        is_dead, is_first = bool(after.get("dead")), record.attempts(before) == 0
        self.dead += is_dead
        self.newly_failed += is_first
        if is_dead or is_first:
            self.new[f"{after['status_code']} at {target}"] += 1

    def record_expiry(self, before: Document, after: Document) -> None:
        """Count a record that died without an attempt."""
        self.dead += 1
        self.newly_failed += record.attempts(before) == 0
        self.new[f"{after['status_code']} at {record.target(before)}, {_EXPIRED}"] += 1

    def record_set_aside(self, number: int) -> None:
        """Count messages of a Stream that are not records, and therefore dead from the start."""
        self.dead += number
        self.newly_failed += number
        if number:
            self.new[f"{codes.INVALID} messages of a Stream"] += number

    def record_skipped(self, number: int) -> None:
        """Count records that were due and not sent."""
        self.skipped += number

    def by_target(self) -> dict[str, tuple[int, int]]:
        """Return deliveries and failures of the busiest targets, and the sum of all others."""
        total = self.delivered + self.failed
        busiest = [name for name, _ in total.most_common(_MOST_TARGETS)]
        found = {name: (self.delivered[name], self.failed[name]) for name in busiest}
        if len(total) > len(busiest):
            delivered = self.delivered.total() - sum(one for one, _ in found.values())
            found[OTHERS] = delivered, self.failed.total() - sum(one for _, one in found.values())
        return found


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of values that are sorted; zero of none.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    if not sorted_values:
        return 0.0
    rank = -(-len(sorted_values) * share // 1)
    return sorted_values[max(0, int(rank) - 1)]
