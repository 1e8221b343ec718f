"""SODA paths: `a.b`, `a[0]`, `a[*].b`, `a[1 to 3]`, back-quoted names; and what they select in a document.

Paths are lax as in SQL/JSON: a name steps into each element of an array, and an array step takes anything
else for an array of one (Oracle, "SODA Paths (Reference)").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import bad_filter


@dataclass(frozen=True)
class Elements:
    """An array step: the ranges of positions it selects, both ends included; none means all."""

    ranges: tuple[tuple[int, int], ...]


Step = str | Elements
ANY = Elements(())

_TOKEN = re.compile(
    r"\s*(?:`(?P<quoted>(?:[^`]|``)*)`|(?P<name>[^.`\[\]]+)|\[(?P<elements>[^\]]*)\])\s*(?P<dot>\.?)"
)
_RANGE = re.compile(r"\s*(\d+)(?:\s+to\s+(\d+))?\s*")


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path; ORA-40676 where it is none. The name `*` selects every member."""
    steps: list[Step] = []
    position, after_dot = 0, True
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None or (match["elements"] is None) != after_dot:
            break
        if match["elements"] is not None:
            steps.append(_elements(match["elements"], path))
        else:
            steps.append(
                match["quoted"].replace("``", "`") if match["quoted"] is not None else match["name"].strip()
            )
        position, after_dot = match.end(), bool(match["dot"])
        if not after_dot and position < len(path) and path[position] == "[":
            continue
    if position < len(path) or after_dot or not steps:
        raise bad_filter(
            f"{path!r} is not a valid path: write names with dots between them, and quote odd ones by `"
        )
    return tuple(steps)


def is_plain(steps: tuple[Step, ...]) -> bool:
    """Whether a path is made of names only."""
    return all(isinstance(step, str) and step != "*" for step in steps)


def select(value: Any, steps: Iterable[Step]) -> Iterator[Any]:
    """The values at a path, in document order."""
    found: Iterable[Any] = (value,)
    for step in steps:
        found = _members(found, step) if isinstance(step, str) else _positions(found, step)
    return iter(found)


def _elements(text: str, path: str) -> Elements:
    if text.strip() == "*":
        return ANY
    ranges = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise bad_filter(
                f"{path!r} has an array step that is neither [*], [2], [1 to 3] nor a list of these"
            )
        ranges.append((int(match[1]), int(match[2] or match[1])))
    return Elements(tuple(ranges))


def _members(values: Iterable[Any], name: str) -> Iterator[Any]:
    for value in values:
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                if name == "*":
                    yield from item.values()
                elif name in item:
                    yield item[name]


def _positions(values: Iterable[Any], step: Elements) -> Iterator[Any]:
    for value in values:
        items = value if isinstance(value, list) else [value]
        if not step.ranges:
            yield from items
        for first, last in step.ranges:
            yield from items[min(first, last) : max(first, last) + 1]
