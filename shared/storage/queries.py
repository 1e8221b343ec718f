"""The queries over the records, and the indexes that serve them.

Of each filter, the part that makes it selective is of a kind that Oracle's own tests assert to be served by
an index (oracle/soda-for-java, test_OracleCollectionAdmin): equalities, ranges as `$and` of comparisons, and
`$or` of equalities on one path. What Oracle may answer by reading the whole collection (`$in`,
`$startsWith`, negations) only narrows what an index has narrowed already.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.model.ids import id_at, timestamp
from shared.model.lanes import Lane
from shared.model.policy import Area
from shared.model.record import MACHINERY, Document

ID = "id"
DUE = "due"
FAILED = "failed"
REPLAY = "replay"
LATELY = "lately"
HELD = "held"

_LENGTHS = {
    ID: 36,
    DUE: 64,  # a time and an id: 27 + 1 + 36 characters
    FAILED: 36,
    REPLAY: 36,
    HELD: 36,
    "blocks": 16,
    "keyed": 16,
    "lane": 16,
    "target": 270,  # a DNS name of 253 characters, or an address, and a port
    "code": 20,
    "at": 270,
    "key": 16,
    LATELY: 27,
    "secret": 200,
    "ingest": 72,  # a digest, a hyphen, a place
}


_TEXT_BYTES = 1024  # of 256 characters in UTF-8

INDEXED_LENGTHS = {
    ID: 36,
    "error_stream": 256,
    **{f"{MACHINERY}.{name}": length for name, length in _LENGTHS.items() if name != ID},
}
"""By path, the greatest number of bytes that an index takes."""


def member(name: str) -> str:
    """Return the path of a member of the machinery."""
    return f"{MACHINERY}.{name}"


def place(name: str) -> str:
    """Return the path of what a query is ordered by: the id, or a member of the machinery."""
    return ID if name == ID else member(name)


def ascending(name: str) -> dict[str, Any]:
    """Return the order of the id, or of an indexed member of the machinery."""
    return text(place(name), _LENGTHS[name])


def place_of(document: Document, name: str) -> str:
    """Return what a document has there."""
    return str(document[ID] if name == ID else document[MACHINERY][name])


def indexes(name: str) -> tuple[dict[str, Any], ...]:
    """Return the index specifications. An index whose fields a record lacks has no entry for it."""
    return (
        _index(f"{name}_id", text("id", 36), unique=True),
        _index(
            f"{name}_due",
            _machine_text(DUE),
        ),
        _index(f"{name}_queue", _machine_text("target"), _machine_text(DUE)),
        _index(f"{name}_ingest", _machine_text("ingest"), unique=True),
        _index(f"{name}_replay", _machine_text(REPLAY)),
        _index(f"{name}_held", _machine_text(HELD)),
        _index(f"{name}_failed", _machine_text(FAILED)),
        _index(f"{name}_blocks", _machine_text("blocks")),
        _index(f"{name}_keyed", _machine_text("keyed"), text("id", 36)),
        _index(f"{name}_stream", text("error_stream", 256), _machine_text(FAILED)),
        _index(f"{name}_code", _machine_text("code"), _machine_text(FAILED)),
        _index(f"{name}_at", _machine_text("at"), _machine_text(FAILED)),
        _index(f"{name}_key", _machine_text("key"), _machine_text(FAILED)),
        _index(f"{name}_lately", _machine_text(LATELY)),
        _index(f"{name}_needing", _machine_text("secret")),
        _index(f"{name}_naming", text("vaultSecretName", 200), text("id", 36)),
        _index(f"{name}_status", text("status", 20), text("id", 36)),
        _index(f"{name}_own", text("caller", _TEXT_BYTES), text("status", 20), text("id", 36)),
        _index(f"{name}_reference", text("reference", _TEXT_BYTES), text("id", 36)),
        _index(f"{name}_named", text("streamKey", _TEXT_BYTES), text("id", 36)),
    )


def _index(name: str, *fields_: dict[str, Any], unique: bool = False) -> dict[str, Any]:
    return {"name": name, "unique": unique, "fields": list(fields_)}


def _machine_text(name: str) -> dict[str, Any]:
    return text(member(name), _LENGTHS[name])


def text(path: str, length: int) -> dict[str, Any]:
    """Return an indexed text at a path, or the order of such texts."""
    return {"path": path, "datatype": "varchar2", "maxLength": length, "order": "asc"}


def between(path: str, lowest: str, highest: str | None) -> list[dict[str, Any]]:
    """Return the conditions of a range, bounds excluded: each comparison by itself, as indexes serve them."""
    low = {path: {"$gt": lowest}}
    return [low] if highest is None else [low, {path: {"$lt": highest}}]


def any_of(path: str, values: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield filters that find together what has one of these values at an indexed path, a few values each."""
    ordered = sorted(values)
    for start in range(0, len(ordered), _MOST_EQUALITIES):
        yield {"$or": [{path: value} for value in ordered[start : start + _MOST_EQUALITIES]]}


def inside(lane: Lane) -> list[dict[str, Any]]:
    """Return the conditions that choose a lane's records among those of its host; no index serves them."""
    own = [] if lane.area is None else _of_area(lane.area)
    return [*own, *(_not_of_area(area) for area in lane.others)]


def outside(lane: Lane) -> dict[str, Any]:
    """Return the condition that passes over the records of a lane which has not all of its host's."""
    own = [] if lane.area is None else [_not_of_area(lane.area)]
    others = [{"$and": _of_area(area)} for area in lane.others]
    return {"$or": [{member("target"): {"$ne": lane.origin}}, *own, *others]}


def _of_area(area: Area) -> list[dict[str, Any]]:
    operation = [{_OPERATION: area.operation}] if area.operation else []
    return [{_URL: {"$gte": area.prefix}}, {_URL: {"$lt": area.prefix + _HIGHEST}}, *operation]


def _not_of_area(area: Area) -> dict[str, Any]:
    operation = [{_OPERATION: {"$ne": area.operation}}] if area.operation else []
    return {"$or": [{_URL: {"$lt": area.prefix}}, {_URL: {"$gte": area.prefix + _HIGHEST}}, *operation]}


_URL, _OPERATION = "targetRestApi", "targetRestApiOperation"
_HIGHEST = "\x7f"  # sorts behind every character of a URL
_MOST_EQUALITIES = 64  # in one `$or`
LOWEST = "-1"  # sorts before every time and id


class _Now(str):
    """What no caller can send: a text of a type of its own."""

    __slots__ = ()


NOW = _Now("now")
"""Stands in a query for the time, which the database says."""
_MILLISECOND = timedelta(milliseconds=1)
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC) for year in (1971, 9000))


@dataclass(frozen=True)
class Query:
    """Which records a call may handle, in the order of their ids or of one indexed member of the machinery.

    `after` and `before` bound that member, exclusively; `partitions` are the ones to look in, if not all.
    Keys are named by their digests.
    `conditions` are QBE on other members: all of them hold.
    """

    order: str
    after: str = LOWEST
    before: str | None = None
    conditions: Sequence[Mapping[str, Any]] = ()
    indexed: Mapping[str, str] = field(default_factory=dict)
    """Members before `order` in an index, and what they equal."""
    partitions: frozenset[int] | None = None
    target: str | None = None
    ids: frozenset[str] | None = None
    """Failed records that are named; all if None."""
    without_keys: Sequence[str] = ()
    without_targets: Sequence[str] = ()

    def at(self, moment: datetime) -> "Query":
        """Return this query with a time in the place of NOW."""
        time = timestamp(moment)
        before = time if isinstance(self.before, _Now) else self.before
        return replace(self, before=before, conditions=[_at(one, time) for one in self.conditions])

    def behind(self, document: Document) -> "Query":
        """Return what is left of this query behind `document`."""
        return replace(self, after=place_of(document, self.order))

    def covers(self, document: Document) -> bool:
        """Tell whether a failed record that holds back others is due in this query."""
        place = document[MACHINERY].get(self.order)
        return self.order == DUE and place is not None and self.before is not None and place < self.before

    def as_filter(self) -> dict[str, Any]:
        """Return the whole as a QBE filter: a range, or a target and a range, that an index serves first."""
        narrowed: dict[str, Any] = {}
        if self.partitions is not None:
            narrowed[member("partition")] = {"$in": sorted(self.partitions)}
        if self.without_keys:
            narrowed[member("lane")] = {"$nin": list(self.without_keys)}
        if self.target is None and self.without_targets:
            narrowed[member("target")] = {"$nin": list(self.without_targets)}
        served: list[dict[str, Any]] = [{path: value} for path, value in self.indexed.items()]
        served += [] if self.target is None else [{member("target"): self.target}]
        if self.ids is None:
            served += between(place(self.order), self.after, self.before)
        else:
            served.append(self._named(self.ids))
        return {"$and": [*served, *([narrowed] if narrowed else []), *self.conditions]}

    def _named(self, ids: frozenset[str]) -> dict[str, Any]:
        """Return the equalities that find the named records which are within the range."""
        within = [one for one in sorted(ids) if self.after < one < (self.before or _HIGHEST)]
        return {"$or": [{place(self.order): one} for one in within or [LOWEST]]}


def waiting_of(lane: Lane) -> Query:
    """Select a lane's records that wait, due or not."""
    return Query(DUE, target=lane.origin, conditions=inside(lane))


def of_host(lane: Lane) -> Query:
    """Select a lane's failed records, dead ones too."""
    return Query(FAILED, indexed={member("at"): lane.origin}, conditions=inside(lane))


def id_below(moment: datetime | None) -> str:
    """Return an id below all that were stored since a time."""
    return LOWEST if moment is None else id_at(_within(moment) - _MILLISECOND)


def id_above(moment: datetime | None) -> str | None:
    """Return an id above all that were stored until a time."""
    return None if moment is None else id_at(_within(moment) + _MILLISECOND)


def _within(moment: datetime) -> datetime:
    """Return a time, or the nearest at which a record may have been stored."""
    return max(_FIRST, min(moment, _LAST))


def due(moment: datetime) -> Query:
    """Select what is due at `moment`, what has waited longest first."""
    return Query(DUE, before=timestamp(moment))


def _at(condition: Any, time: str) -> Any:
    if isinstance(condition, Mapping):
        return {name: _at(part, time) for name, part in condition.items()}
    if isinstance(condition, list):
        return [_at(part, time) for part in condition]
    return time if isinstance(condition, _Now) else condition
