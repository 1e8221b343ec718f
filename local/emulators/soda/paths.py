"""SODA paths: names with dots between them, and what they select in a document.

Paths are lax as in SQL/JSON: a name steps into each element of an array (Oracle, "SODA Paths (Reference)").
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .errors import bad_filter, missing

Steps = tuple[str, ...]
_SPECIAL = frozenset("[]*`")


@lru_cache(maxsize=1024)
def split(path: str) -> Steps:
    """The names of a path; ORA-40676 if it is not valid."""
    if _SPECIAL & set(path):
        raise missing(f"the path {path!r}: array steps, wildcards, quoted names")
    steps = tuple(path.split("."))
    if not all(steps):
        raise bad_filter(f"{path!r} is not a valid path: write names with dots between them")
    if steps[0] == "_id":
        raise missing("the path _id")
    return steps


def select(value: Any, steps: Steps) -> list[Any]:
    """The values at a path, in document order."""
    found = [value]
    for name in steps:
        found = [item[name] for item in unnested(found) if isinstance(item, dict) and name in item]
    return found


def unnested(values: list[Any]) -> Iterator[Any]:
    """Values, with the elements of an array in its place."""
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value
