"""Whether a document fulfils a condition: the reference for what every operator means."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .json_types import to_number, to_string
from .paths import select, unnested
from .qbe import And, Condition, Not, Test, Within

Matcher = Callable[[Any], bool]


def compile_condition(condition: Condition) -> Matcher:
    """A function that says whether a document's content fulfils `condition`."""
    if isinstance(condition, Test):
        return _test(condition)
    if isinstance(condition, Not):
        part = compile_condition(condition.condition)
        return lambda item: not part(item)
    parts = [compile_condition(part) for part in condition.conditions]
    if isinstance(condition, Within):
        steps = condition.steps
        return lambda item: any(all(part(found) for part in parts) for found in unnested(select(item, steps)))
    if isinstance(condition, And):
        return lambda item: all(part(item) for part in parts)
    return lambda item: any(part(item) for part in parts)


def _test(test: Test) -> Matcher:
    compare, steps = _comparison(test.operator, test.value), test.steps
    return lambda item: any(compare(found) for found in unnested(select(item, steps)))


def _comparison(operator: str, value: Any) -> Matcher:
    """A function that says whether an item stands in relation `operator` to `value`."""
    if operator == "in":
        parts = [_comparison("eq", one) for one in value]
        return lambda item: any(part(item) for part in parts)
    if operator == "exists":
        return lambda _: True
    if value is None:
        return lambda item: item is None
    if isinstance(value, bool):
        return lambda item: item is value
    convert, relation = _as_type_of(value), _RELATIONS[operator]

    def compare(item: Any) -> bool:
        converted = convert(item)
        return converted is not None and relation(converted, value)

    return compare


def _as_type_of(value: str | Decimal) -> Callable[[Any], Any]:
    """How an item is read in order to be compared with `value`."""
    if isinstance(value, Decimal):
        return to_number
    if value in ("true", "false"):  # a string, and never the boolean
        return lambda item: None if isinstance(item, bool) else to_string(item)
    return to_string


_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda item, value: bool(item == value),
    "gt": lambda item, value: bool(item > value),
    "gte": lambda item, value: bool(item >= value),
    "lt": lambda item, value: bool(item < value),
    "lte": lambda item, value: bool(item <= value),
    "startsWith": lambda item, value: bool(item.startswith(value)),
}
