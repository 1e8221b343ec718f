"""Query-by-example: from the JSON of a filter to conditions and a sort order; anything not offered raises
ORA-40676.

Source: Oracle, "SODA Filter Specifications (Reference)". Two rules are easily overlooked. A single operator
on a field is asked of the document, so that `{"a": {"$ne": 1}}` also matches without `a`. Several operators
on one field are asked of one and the same item of it: `{"a": {"$gte": 1, "$lte": 3}}` does not match `{"a":
[0, 4]}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

from . import matching, numbers, paths
from .conditions import And, Condition, Exists, KeyIn, Not, Or, Steps, Test, Within
from .errors import bad_filter, ora
from .sorting import SortField, parse_orderby

_COMPARE = frozenset({"eq", "ne", "gt", "gte", "lt", "lte", "ge", "le"})
_STRING = frozenset({"like", "startsWith", "regex", "hasSubstring", "instr"})
_LIST = frozenset({"in", "nin", "all"})
_OPERATORS = _COMPARE | _STRING | _LIST | {"between", "exists"}
_SYNONYMS = {"ge": "gte", "le": "lte", "instr": "hasSubstring"}
_METHODS = frozenset(matching.METHODS)
_ENVELOPE = frozenset({"$query", "$orderby"})


@dataclass(frozen=True)
class Query:
    """What a filter asks: conditions that all have to hold, and the order of the answer."""

    conditions: tuple[Condition, ...] = ()
    orderby: tuple[SortField, ...] = ()


@lru_cache(maxsize=512)
def parse(text: str) -> Query:
    """The query that the JSON text of a filter stands for."""
    try:
        spec = json.loads(
            text,
            parse_float=numbers.from_json,
            parse_int=numbers.from_json,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError) as error:
        raise ora(40736, f"the filter is not JSON: {error}") from None
    if not isinstance(spec, dict):
        raise bad_filter("a filter is a JSON object")
    if not _ENVELOPE & spec.keys():
        return Query(tuple(_object(spec, top=True)))
    for name in spec.keys() - _ENVELOPE:
        raise bad_filter(f"{name} stands beside $query or $orderby: put conditions into $query")
    query = spec.get("$query", {})
    if not isinstance(query, dict):
        raise bad_filter("$query takes an object of conditions")
    return Query(tuple(_object(query, top=True)), parse_orderby(spec.get("$orderby", [])))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    for name in _ENVELOPE:
        if sum(name == key for key, _ in pairs) > 1:
            raise bad_filter(f"{name} stands there more than once")
    return members


def _object(spec: dict[str, Any], *, top: bool = False) -> list[Condition]:
    conditions: list[Condition] = []
    for name, value in spec.items():
        if not name.startswith("$"):
            conditions.append(_field(paths.parse(name), name, value))
        elif name in ("$and", "$or", "$nor"):
            conditions.append(_combined(name, value))
        elif name == "$id" and top:
            conditions.append(_keys(value))
        else:
            _misplaced(name, top)
    return conditions


def _misplaced(name: str, top: bool) -> NoReturn:
    if name == "$id":
        raise bad_filter("$id stands only at the top of a filter")
    if name[1:] in _OPERATORS | _METHODS | {"not"}:
        raise bad_filter(f"{name} has to stand under a field" + ("" if top else " here"))
    raise bad_filter(f"{name} is not an operator that this database offers")


def _combined(name: str, value: Any) -> Condition:
    if not isinstance(value, list) or not value or not all(isinstance(part, dict) and part for part in value):
        raise bad_filter(f"{name} takes an array of objects with conditions, none of them empty")
    parts = tuple(And(tuple(_object(part))) for part in value)
    if name == "$and":
        return And(parts)
    return Or(parts) if name == "$or" else Not(Or(parts))


def _keys(value: Any) -> Condition:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(key, str | Decimal) for key in values):
        raise bad_filter("$id takes a key, or an array of keys; a key is a string or a number")
    return KeyIn(tuple(key if isinstance(key, str) else numbers.to_text(key) for key in values))


def _field(steps: Steps, name: str, value: Any) -> Condition:
    """The condition that a field's value stands for: a scalar ($eq), an array ($all), operators, or nested
    fields."""
    if isinstance(value, list):
        return _all(steps, None, _scalars("$all", value))
    if not isinstance(value, dict):
        return Test(steps, None, "eq", value)
    if not value:
        raise bad_filter(f"{name}: an empty object is no condition")
    if not next(iter(value)).startswith("$"):
        for member in value:
            if member.startswith("$") and member not in ("$and", "$or", "$nor"):
                raise bad_filter(f"{name}: {member} stands beside ordinary fields")
        return Within(steps, And(tuple(_object(value))))
    return _operators(steps, name, value)


def _operators(steps: Steps, name: str, value: dict[str, Any]) -> Condition:
    for operator in value:
        if operator[:1] != "$" or operator[1:] not in _OPERATORS | _METHODS | {"not"}:
            raise bad_filter(f"{name}: {operator} is not an operator that this database offers under a field")
    if _applies_to_document(value):
        ((operator, operand),) = value.items()
        return _operator(steps, operator[1:], operand)
    return Within(
        steps, And(tuple(_operator((), operator[1:], operand) for operator, operand in value.items()))
    )


def _applies_to_document(value: dict[str, Any]) -> bool:
    """Whether operators under a field are asked of the document, and not of one item of the field."""
    if len(value) > 1 or "$between" in value:
        return False
    ((operator, operand),) = value.items()
    if operator[1:] in _OPERATORS or not isinstance(operand, dict):
        return True
    inner = operand.get("$not")
    return len(operand) == 1 and not (isinstance(inner, dict) and len(inner) > 1)


def _operator(steps: Steps, operator: str, operand: Any) -> Condition:
    if operator == "not":
        return _negated(steps, None, operand)
    if operator in _METHODS:
        return _method(steps, operator, operand)
    return _relation(steps, None, operator, operand)


def _negated(steps: Steps, method: str | None, operand: Any) -> Condition:
    if not isinstance(operand, dict) or not operand:
        raise bad_filter("$not takes an object with at least one operator")
    return Or(
        tuple(Not(_relation(steps, method, _known(name, "$not"), value)) for name, value in operand.items())
    )


def _method(steps: Steps, method: str, operand: Any) -> Condition:
    if isinstance(operand, list):
        raise bad_filter(f"${method} takes a scalar, or an object with operators")
    if not isinstance(operand, dict):
        return _relation(steps, method, "eq", operand)
    if not operand:
        raise bad_filter(f"${method} takes at least one operator")
    parts = [
        _negated(steps, method, value)
        if name == "$not"
        else _relation(steps, method, _known(name, f"${method}"), value)
        for name, value in operand.items()
    ]
    return And(tuple(parts))


def _known(name: str, where: str) -> str:
    if name[:1] != "$" or name[1:] not in _OPERATORS:
        raise bad_filter(f"{name} cannot stand under {where}")
    return name[1:]


def _relation(steps: Steps, method: str | None, operator: str, operand: Any) -> Condition:
    operator = _SYNONYMS.get(operator, operator)
    if operator == "exists":
        found = Exists(steps)
        return Not(found) if operand is None or operand is False or operand == 0 else found
    if operator == "between":
        return _between(steps, method, operand)
    if operator in _LIST:
        return _list(steps, method, operator, operand)
    if isinstance(operand, list | dict):
        raise bad_filter(f"${operator} takes a scalar")
    if operator in ("eq", "ne"):
        test = _checked(Test(steps, method, "eq", operand))
        return Not(test) if operator == "ne" else test
    if operator in _STRING and not isinstance(operand, str):
        raise bad_filter(f"${operator} takes a string")
    if operand is None or isinstance(operand, bool):
        raise bad_filter(f"${operator} cannot take {json.dumps(operand)}")
    return _checked(Test(steps, method, operator, operand))


def _checked(test: Test) -> Test:
    matching.compile_condition(test)  # raises where the comparand does not fit
    return test


def _list(steps: Steps, method: str | None, operator: str, operand: Any) -> Condition:
    values = _scalars(f"${operator}", operand)
    if operator == "all" and values:
        return _all(steps, method, values)
    test = _checked(Test(steps, method, "in", values))
    return Not(test) if operator == "nin" else test


def _all(steps: Steps, method: str | None, values: tuple[Any, ...]) -> Condition:
    if not values:
        return Or(())
    return And(tuple(_checked(Test(steps, method, "eq", value)) for value in values))


def _scalars(operator: str, operand: Any) -> tuple[Any, ...]:
    if not isinstance(operand, list):
        raise bad_filter(f"{operator} takes an array")
    if any(isinstance(value, list | dict) for value in operand):
        raise bad_filter(f"{operator} takes an array of scalars")
    return tuple(operand)


def _between(steps: Steps, method: str | None, operand: Any) -> Condition:
    bounds = _scalars("$between", operand)
    if len(bounds) != 2 or bounds == (None, None):
        raise bad_filter("$between takes an array of two bounds, of which one may be null")
    parts = [
        _relation(steps, method, operator, bound)
        for operator, bound in zip(("gte", "lte"), bounds, strict=True)
        if bound is not None
    ]
    return And(tuple(parts))
