"""Whether a document fulfils a condition: the reference for what every operator and item method means."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Any

import oracledb

from . import paths, scalars
from .conditions import And, Condition, Exists, Not, Or, Test, Within
from .errors import bad_filter

Matcher = Callable[[Any], bool]


def compile_condition(condition: Condition) -> Matcher:
    """A function that says whether a document's content fulfils `condition`."""
    return _COMPILE[type(condition)](condition)


def _and(condition: And) -> Matcher:
    parts = [compile_condition(part) for part in condition.conditions]
    return lambda item: all(part(item) for part in parts)


def _or(condition: Or) -> Matcher:
    parts = [compile_condition(part) for part in condition.conditions]
    return lambda item: any(part(item) for part in parts)


def _not(condition: Not) -> Matcher:
    part = compile_condition(condition.condition)
    return lambda item: not part(item)


def _exists(condition: Exists) -> Matcher:
    return lambda item: any(True for _ in paths.select(item, condition.steps))


def _within(condition: Within) -> Matcher:
    part = compile_condition(condition.condition)
    return lambda item: any(part(found) for found in _unnest(paths.select(item, condition.steps)))


def _test(condition: Test) -> Matcher:
    compare = comparison(condition.operator, condition.value)
    steps, method = condition.steps, METHODS.get(condition.method or "")
    if condition.method in WHOLE and method is not None:
        return lambda item: any(compare(method(found)) for found in paths.select(item, steps))
    if method is None:
        return lambda item: any(compare(found) for found in _unnest(paths.select(item, steps)))
    convert = _CONVERT_VALUE.get(condition.method or "")
    if convert is not None:
        compare = comparison(condition.operator, _converted(condition, convert))
    return lambda item: any(compare(method(found)) for found in _unnest(paths.select(item, steps)))


_COMPILE: dict[type, Callable[[Any], Matcher]] = {
    And: _and,
    Or: _or,
    Not: _not,
    Exists: _exists,
    Within: _within,
    Test: _test,
}


def _unnest(values: Iterator[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _converted(test: Test, convert: Callable[[Any], Any]) -> Any:
    """The comparand as the type that the item method gives, so that dates are compared as dates."""
    given = test.value if isinstance(test.value, tuple) else (test.value,)
    values = tuple(convert(value) for value in given)
    if None in values:
        raise bad_filter(f"${test.method} cannot be compared with {given[values.index(None)]!r}")
    return values if isinstance(test.value, tuple) else values[0]


# ---- comparisons ----


def comparison(operator: str, value: Any) -> Callable[[Any], bool]:
    """A function that says whether an item stands in relation `operator` to `value`."""
    if operator == "in":
        parts = [comparison("eq", one) for one in value]
        return lambda item: any(part(item) for part in parts)
    convert = _as_type_of(value)
    test = _RELATIONS[operator](value)

    def compare(item: Any) -> bool:
        converted = convert(item)
        return converted is not None and test(converted)

    return compare


def _as_type_of(value: Any) -> Callable[[Any], Any]:
    """How an item is read in order to be compared with `value`: null and booleans only with their like."""
    if value is None:
        return lambda item: True if item is None else None
    if isinstance(value, bool):
        return lambda item: item if isinstance(item, bool) else None
    if isinstance(value, Decimal):
        return scalars.to_number
    if isinstance(value, datetime.datetime):
        return scalars.to_timestamp
    if value in ("true", "false"):  # a string, and never the boolean
        return lambda item: None if isinstance(item, bool) else scalars.to_string(item)
    return scalars.to_string


def _equal(value: Any) -> Callable[[Any], bool]:
    return (lambda item: True) if value is None else (lambda item: bool(item == value))


def _like(pattern: str) -> Callable[[Any], bool]:
    parts = (".*" if char == "%" else "." if char == "_" else re.escape(char) for char in pattern)
    matches = re.compile("".join(parts), re.DOTALL).fullmatch
    return lambda item: matches(item) is not None


def _regex(pattern: str) -> Callable[[Any], bool]:
    matches = compile_regex(pattern).fullmatch
    return lambda item: matches(item) is not None


_RELATIONS: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "eq": _equal,
    "gt": lambda value: lambda item: item > value,
    "gte": lambda value: lambda item: item >= value,
    "lt": lambda value: lambda item: item < value,
    "lte": lambda value: lambda item: item <= value,
    "startsWith": lambda value: lambda item: item.startswith(value),
    "hasSubstring": lambda value: lambda item: value in item,
    "like": _like,
    "regex": _regex,
}

_POSIX = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": "0-9A-Fa-f",
}


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> re.Pattern[str]:
    """A regular expression of Oracle (POSIX classes included); it has to match the whole string
    (eq_regex)."""
    try:
        return re.compile(re.sub(r"\[:(\w+):\]", lambda match: _POSIX[match[1]], pattern))
    except (re.error, KeyError) as error:
        raise bad_filter(f"$regex {pattern!r} is not a regular expression: {error}") from None


# ---- item methods ----


def _type(item: Any) -> str:
    names: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (Decimal, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
        (datetime.datetime, "timestamp"),
        (datetime.timedelta, "daysecondInterval"),
        (oracledb.JsonId, "id"),
        (bytes, "binary"),
    )
    return next((name for kind, name in names if isinstance(item, kind)), "null")


def _size(item: Any) -> Decimal:
    return Decimal(len(item) if isinstance(item, list) else 1)


def _boolean(item: Any) -> bool | None:
    if isinstance(item, str):
        return {"true": True, "false": False}.get(item.lower())
    return item if isinstance(item, bool) else None


def _of_number(apply: Callable[[Decimal], Decimal]) -> Callable[[Any], Any]:
    def method(item: Any) -> Decimal | None:
        number = scalars.to_number(item)
        return None if number is None else apply(number)

    return method


def _of_string(apply: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda item: apply(item) if isinstance(item, str) else _NOTHING


_NOTHING = object()  # equals nothing, null included

_ITEM_METHODS: dict[str, Callable[[Any], Any]] = {
    "upper": _of_string(str.upper),
    "lower": _of_string(str.lower),
    "length": _of_string(lambda text: Decimal(len(text))),
    "string": scalars.to_string,
    "number": scalars.to_number,
    "double": scalars.to_number,
    "date": scalars.to_date,
    "timestamp": scalars.to_timestamp,
    "datetime": scalars.to_timestamp,
    "boolean": _boolean,
    "abs": _of_number(lambda number: abs(number)),
    "ceiling": _of_number(lambda number: number.to_integral_value(ROUND_CEILING)),
    "floor": _of_number(lambda number: number.to_integral_value(ROUND_FLOOR)),
    "type": _type,
    "size": _size,
    "stringOnly": lambda item: item if isinstance(item, str) else None,
    "numberOnly": lambda item: item if isinstance(item, Decimal) else None,
    "booleanOnly": lambda item: item if isinstance(item, bool) else None,
}

WHOLE = frozenset({"type", "size"})  # methods that see an array itself and not its elements

_CONVERT_VALUE: dict[str, Callable[[Any], Any]] = {
    "date": scalars.to_date,
    "timestamp": scalars.to_timestamp,
    "datetime": scalars.to_timestamp,
    "number": scalars.to_number,
    "double": scalars.to_number,
}


def _nothing_for_none(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(item: Any) -> Any:
        result = method(item)
        return _NOTHING if result is None else result

    return apply


METHODS = {name: _nothing_for_none(method) for name, method in _ITEM_METHODS.items()}
