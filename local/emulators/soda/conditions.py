"""The tree of conditions that a QBE stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .paths import Step

Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Test:
    """Some item at `steps`, seen through the item method if there is one, stands in relation `operator` to
    `value`."""

    steps: Steps
    method: str | None
    operator: str
    value: Any


@dataclass(frozen=True)
class Exists:
    """There is something at `steps`."""

    steps: Steps


@dataclass(frozen=True)
class Within:
    """One and the same item at `steps` fulfils `condition`, whose paths begin at that item."""

    steps: Steps
    condition: Condition


@dataclass(frozen=True)
class Not:
    """`condition` is not fulfilled."""

    condition: Condition


@dataclass(frozen=True)
class And:
    """All are fulfilled; none at all is fulfilled too."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Or:
    """At least one is fulfilled."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class KeyIn:
    """The document's key is one of these ($id)."""

    keys: tuple[str, ...]


Condition = Test | Exists | Within | Not | And | Or | KeyIn
