"""A record's history: what people did to it, when, and who.

>>> from datetime import UTC
>>> noted({"id": "7"}, Act("cancelled", "anna"), datetime(2026, 11, 27, tzinfo=UTC))["history"]
[{'time': '2026-11-27T00:00:00.000000Z', 'act': 'cancelled', 'by': 'anna'}]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from shared.model import json_codec
from shared.model.ids import timestamp

HISTORY = "history"
WAS = "was"
MOST_ENTRIES = 20
_MOST_BYTES = 4 * 1024 * 1024  # of former values: the oldest go first

Document = dict[str, Any]


@dataclass(frozen=True)
class Act:
    """What somebody did to a record; `by` is empty if they are anonymous."""

    name: Literal["cancelled", "edited", "replayed"]
    by: str = ""
    changed: Sequence[str] = ()
    """The members that were edited."""
    was: Mapping[str, Any] = field(default_factory=dict)
    """Their former values, of those that were there."""


def noted(document: Mapping[str, Any], act: Act, moment: datetime) -> Document:
    """Return a record's document with one more entry; of more than MOST_ENTRIES the oldest are dropped."""
    entry: dict[str, Any] = {"time": timestamp(moment), "act": act.name}
    if act.by:
        entry["by"] = act.by
    if act.changed:
        entry |= {"changed": list(act.changed), WAS: dict(act.was)}
    entries = [*document.get(HISTORY, ()), entry][-MOST_ENTRIES:]
    return {**document, HISTORY: _bounded(entries)}


def shown(entries: list[dict[str, Any]], hidden: frozenset[str]) -> list[dict[str, Any]]:
    """Return entries without the former values of what is hidden."""
    return [_without(entry, hidden) for entry in entries]


def _without(entry: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    if WAS not in entry:
        return entry
    return entry | {WAS: {name: value for name, value in entry[WAS].items() if name not in hidden}}


def _bounded(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries of which the oldest have lost their former values if all of these would be too long."""
    left = _MOST_BYTES
    bounded = []
    for entry in reversed(entries):
        left -= len(json_codec.dump(entry[WAS])) if WAS in entry else 0
        bounded.append(entry if left >= 0 else {name: entry[name] for name in entry if name != WAS})
    return bounded[::-1]
