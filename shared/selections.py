"""Which records a call handles, or a report shows: queries by example over the indexed members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.indexes import DUE, FAILED, LATELY, member
from shared.record import MACHINERY, Document, id_at, timestamp

LOWEST = "-1"  # sorts before every time and id
_MILLISECOND = timedelta(milliseconds=1)
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC) for year in (1971, 9000))


@dataclass(frozen=True)
class Selection:
    """Which records a call may handle, in the order of one indexed member of the machinery.

    `after` and `before` bound that member, exclusively; `partitions` are the ones to look in, where not all.
    Lanes and targets to pass over are skipped in the index, whatever number of records stands in them.
    `conditions` are QBE on other members.
    """

    order: str
    after: str = LOWEST
    before: str | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    partitions: frozenset[int] | None = None
    target: str | None = None
    without_lanes: Sequence[str] = ()
    without_targets: Sequence[str] = ()

    def behind(self, document: Document) -> "Selection":
        """Return what is left of this selection behind `document`."""
        return replace(self, after=str(document[MACHINERY][self.order]))

    def covers(self, document: Document) -> bool:
        """Tell whether a failed record that holds back others is due in this selection."""
        place = document[MACHINERY].get(self.order)
        return self.order == DUE and place is not None and self.before is not None and place < self.before

    def conditions_at(self) -> dict[str, Any]:
        """Return the whole as a QBE filter."""
        bounds = {"$gt": self.after}
        if self.before is not None:
            bounds["$lt"] = self.before
        found = {**self.conditions, member(self.order): bounds}
        if self.partitions is not None:
            found[member("partition")] = {"$in": sorted(self.partitions)}
        if self.without_lanes:
            found[member("lane")] = {"$nin": list(self.without_lanes)}
        if self.target is not None:
            found[member("target")] = self.target
        elif self.without_targets:
            found[member("target")] = {"$nin": list(self.without_targets)}
        return found


@dataclass(frozen=True)
class Search:
    """Which failures a report shows: QBE conditions, and the times between which they were stored."""

    conditions: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None

    @property
    def order(self) -> str:
        """The indexed member of the machinery by which failures are looked at."""
        return LATELY if self.since is None and self.until is None else FAILED

    @property
    def bounds(self) -> dict[str, str]:
        """Bounds of that member: ids tell the millisecond in which their records were stored."""
        bounds = {"$gt": LOWEST if self.since is None else id_at(_within(self.since) - _MILLISECOND)}
        return bounds if self.until is None else {**bounds, "$lt": id_at(_within(self.until) + _MILLISECOND)}


def _within(moment: datetime) -> datetime:
    """Return a time, or the nearest at which a record may have been stored."""
    return max(_FIRST, min(moment, _LAST))


def due(moment: datetime) -> Selection:
    """Select what is due at `moment`, what has waited longest first."""
    return Selection(DUE, before=timestamp(moment))
