"""What a request would replay: how many records, by code and by target, from the replay's own filter."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from shared.storage.queries import FAILED, Query, member

_FEW = 1000  # up to here they are counted among themselves, else by the indexes of codes and targets
_CODE, _TARGET = member("code"), member("at")


class CountsFailures(Protocol):
    """What counts failed records."""

    def count(self, query: Query, /) -> int:
        """Count the records of a query."""

    def values(self, path: str, /) -> list[str]:
        """Return the values that occur at an indexed path."""


@dataclass(frozen=True)
class Preview:
    """Numbers of records that match; by code and target only if that was asked for."""

    matching: int
    by_code: dict[str, int] | None = None
    by_target: dict[str, int] | None = None

    def answer(self) -> dict[str, Any]:
        """Return the answer to a dry run."""
        answer: dict[str, Any] = {"matchingMessages": self.matching}
        if self.by_code is not None:
            answer |= {"byCode": self.by_code, "byTarget": self.by_target}
        return answer


def preview(records: CountsFailures, query: Query, *, breakdown: bool) -> Preview:
    """Count what a query finds, and if wanted, by code and by target."""
    matching = records.count(query)
    if not breakdown:
        return Preview(matching)
    return Preview(matching, *(_by(records, query, matching, path) for path in (_CODE, _TARGET)))


def _by(records: CountsFailures, query: Query, matching: int, path: str) -> dict[str, int]:
    if not matching:
        return {}
    narrowed = _among_few if matching <= _FEW else _among_many
    counts = {value: records.count(narrowed(query, path, value)) for value in records.values(path)}
    return {value: number for value, number in counts.items() if number}


def _among_few(query: Query, path: str, value: str) -> Query:
    return replace(query, conditions=[*query.conditions, {path: {"$in": [value]}}])


def _among_many(query: Query, path: str, value: str) -> Query:
    """Return a query that the index of this value serves, and that the rest narrows."""
    others = [{name: {"$in": [said]}} for name, said in query.indexed.items() if name != path]
    if query.indexed.get(path, value) != value:
        others.append({path: {"$in": [query.indexed[path]]}})
    return replace(query, order=FAILED, indexed={path: value}, conditions=[*query.conditions, *others])
