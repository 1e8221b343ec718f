"""Query-by-example: from the JSON of a filter to conditions and an order; what is not valid is ORA-40676.

Source: Oracle, "SODA Filter Specifications (Reference)". Two rules are easily overlooked. A single operator
on a field is asked of the document, so that `{"a": {"$ne": 1}}` also matches without `a`. Several operators
on one field are asked of one and the same item of it: `{"a": {"$gte": 1, "$lte": 3}}` does not match `{"a":
[0, 4]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from .errors import bad_filter, missing, ora
from .indexes import DATATYPES, OTHER_DATATYPES, Field
from .json_types import number_from_json
from .paths import Steps, split

# ---- what a filter stands for ----


@dataclass(frozen=True)
class Test:
    """Some item at `steps` stands in relation `operator` to `value`."""

    steps: Steps
    operator: str
    value: Any


@dataclass(frozen=True)
class Within:
    """One and the same item at `steps` fulfils all `conditions`, whose steps begin at that item."""

    steps: Steps
    conditions: tuple[Condition, ...]


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


Condition = Test | Within | Not | And | Or


@dataclass(frozen=True)
class SortField:
    """One field to sort by."""

    field: Field
    descending: bool = False


@dataclass(frozen=True)
class Query:
    """What a filter asks: conditions that all have to hold, and the order of the answer."""

    conditions: tuple[Condition, ...] = ()
    orderby: tuple[SortField, ...] = ()


# ---- reading a filter ----

_COMPARE = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
_OPERATORS = frozenset({*_COMPARE, "$in", "$nin", "$startsWith", "$exists"})
_COMBINED = frozenset({"$and", "$or"})
_ENVELOPE = frozenset({"$query", "$orderby"})
_OTHERS_OF_ORACLE = frozenset(
    (
        *("$abs", "$all", "$between", "$boolean", "$booleanOnly", "$ceiling", "$contains"),
        *("$date", "$double", "$floor", "$ge", "$hasSubstring", "$id"),
        *("$instr", "$intersects", "$le", "$length", "$like", "$lower", "$near"),
        *("$nor", "$not", "$number", "$numberOnly", "$regex", "$size", "$string"),
        *("$stringOnly", "$textContains", "$timestamp", "$type", "$upper", "$within"),
    )
)
_SORT_MEMBERS = frozenset({"path", "datatype", "order", "maxLength"})


@lru_cache(maxsize=512)
def parse(text: str) -> Query:
    """The query that the JSON text of a filter stands for."""
    try:
        spec = json.loads(
            text, parse_float=number_from_json, parse_int=number_from_json, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        raise ora(40736, f"the filter is not JSON: {error}") from None
    if not isinstance(spec, dict):
        raise bad_filter("a filter is a JSON object")
    if not _ENVELOPE & spec.keys():
        return Query(tuple(_conditions(spec)))
    for name in spec.keys() - _ENVELOPE:
        raise bad_filter(f"{name} stands beside $query or $orderby: put conditions into $query")
    query = spec.get("$query", {})
    if not isinstance(query, dict):
        raise bad_filter("$query takes an object of conditions")
    return Query(tuple(_conditions(query)), _orderby(spec.get("$orderby", [])))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    for name in _ENVELOPE:
        if sum(name == key for key, _ in pairs) > 1:
            raise bad_filter(f"{name} stands there more than once")
    return members


def _conditions(spec: dict[str, Any]) -> Iterator[Condition]:
    for name, value in spec.items():
        if not name.startswith("$"):
            yield _field(name, value)
        elif name in _COMBINED:
            parts = _parts(name, value)
            yield And(parts) if name == "$and" else Or(parts)
        elif name in _OPERATORS:
            raise bad_filter(f"{name} has to stand under a field")
        else:
            raise _unknown(name)


def _parts(name: str, value: Any) -> tuple[Condition, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(part, dict) and part for part in value):
        raise bad_filter(f"{name} takes an array of objects with conditions, none of them empty")
    return tuple(And(tuple(_conditions(part))) for part in value)


def _field(name: str, value: Any) -> Condition:
    """The condition that a field's value stands for: a scalar ($eq) or operators."""
    steps = split(name)
    if isinstance(value, list):
        raise missing(f"{name}: an array, which means $all,")
    if not isinstance(value, dict):
        return Test(steps, "eq", value)
    if not value:
        raise bad_filter(f"{name}: an empty object is no condition")
    operators = [member for member in value if member.startswith("$")]
    if not operators:
        raise missing(f"{name}: conditions on nested fields")
    if len(operators) < len(value):
        raise bad_filter(f"{name}: operators stand beside fields")
    for operator in operators:
        if operator not in _OPERATORS:
            raise _unknown(operator)
    if len(value) == 1:
        return _test(steps, *next(iter(value.items())))
    return Within(steps, tuple(_test((), operator, operand) for operator, operand in value.items()))


def _unknown(operator: str) -> Exception:
    if operator in _OTHERS_OF_ORACLE:
        return missing(operator)
    return bad_filter(f"{operator} is not an operator, or cannot stand there")


def _test(steps: Steps, operator: str, operand: Any) -> Condition:
    if operator in ("$in", "$nin"):
        if not isinstance(operand, list) or any(isinstance(value, list | dict) for value in operand):
            raise bad_filter(f"{operator} takes an array of scalars")
        test = Test(steps, "in", tuple(operand))
        return Not(test) if operator == "$nin" else test
    if operator == "$exists":
        if not isinstance(operand, bool):
            raise bad_filter("$exists takes true or false")
        return Test(steps, "exists", None) if operand else Not(Test(steps, "exists", None))
    if isinstance(operand, list | dict):
        raise bad_filter(f"{operator} takes a scalar")
    if operator == "$ne":
        return Not(Test(steps, "eq", operand))
    if operator == "$startsWith" and not isinstance(operand, str):
        raise bad_filter(f"{operator} takes a string")
    if operator != "$eq" and (operand is None or isinstance(operand, bool)):
        raise bad_filter(f"{operator} cannot take {json.dumps(operand)}")
    return Test(steps, operator[1:], operand)


# ---- reading an order ----


def _orderby(spec: Any) -> tuple[SortField, ...]:
    """The fields to sort by, the most significant first.

    As with JSON_VALUE a value that is no scalar, or cannot be converted, is an error; a missing one is NULL.
    """
    if isinstance(spec, dict):
        raise missing("$orderby as an object")
    if not isinstance(spec, list):
        raise bad_filter("$orderby takes an array of fields")
    return tuple(_sort_field(item) for item in spec)


def _sort_field(item: Any) -> SortField:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str):
        raise bad_filter("$orderby: every field is an object with a path")
    for name in item.keys() - _SORT_MEMBERS:
        raise bad_filter(f"$orderby: {name} is not known; there are path, datatype, order and maxLength")
    order, datatype = item.get("order", "asc"), item.get("datatype", "varchar2")
    if order not in ("asc", "desc"):
        raise bad_filter(f"$orderby: order is asc or desc, not {order!r}")
    if datatype in OTHER_DATATYPES:
        raise missing(f"$orderby: datatype {datatype}")
    if datatype not in DATATYPES:
        raise bad_filter(f"$orderby: datatype {datatype!r} is not known; write {' or '.join(DATATYPES)}")
    length = item.get("maxLength")
    if length is not None and (not isinstance(length, Decimal) or length != int(length) or length <= 0):
        raise bad_filter("$orderby: maxLength is a whole number above 0")
    split(item["path"])
    return SortField(Field(item["path"], datatype, None if length is None else int(length)), order == "desc")
