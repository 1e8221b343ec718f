"""From an operation to SQL: what an index can answer becomes a condition on its columns, `soda_match` does
the rest.

The column of a field whose index is not lax holds exactly what the document holds, since a document with an
array or a value of another type there was refused; a condition on it is therefore complete, and can be
answered inside the index. The column of a lax field only narrows the search: documents that are irregular
there come along, and `soda_match` decides. So it does for every condition that no index serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from . import paths, scalars
from .catalog import Collection
from .conditions import And, Condition, KeyIn, Not, Or, Steps, Test, Within
from .fields import DEFAULT_LENGTH, IRREGULAR, Field, Mode
from .indexes import literal
from .session import SqlValue
from .sorting import SortField

_SQL = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_METHOD_TYPE = {
    "number": scalars.NUMBER,
    "string": scalars.VARCHAR2,
    "date": scalars.DATE,
    "timestamp": scalars.TIMESTAMP,
    "datetime": scalars.TIMESTAMP,
}
_BOOLEAN_TEXTS = ("true", "false")  # a boolean's text in a column of strings, which no string equals


@dataclass(frozen=True)
class Clause:
    """A condition in SQL: `exact` if it says all of it, `columns` are those that it shows to be not NULL."""

    sql: str
    params: tuple[SqlValue, ...]
    exact: bool
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """WHERE and ORDER BY of a statement; `residual` is left for `soda_match`."""

    where: str
    params: tuple[SqlValue, ...]
    residual: Condition | None
    orderby: str


def plan(collection: Collection, conditions: Iterable[Condition], orderby: Sequence[SortField]) -> Plan:
    """How to find what fulfils all conditions, in that order."""
    clauses, residual = [], []
    for condition in _flatten(conditions):
        clause = _clause(collection, condition)
        if clause is not None:
            clauses.append(clause)
        if clause is None or not clause.exact:
            residual.append(condition)
    not_null = frozenset(column for clause in clauses for column in clause.columns)
    return Plan(
        " AND ".join(clause.sql for clause in clauses),
        tuple(param for clause in clauses for param in clause.params),
        And(tuple(residual)) if residual else None,
        ", ".join(_sort_key(collection, field, not_null) for field in orderby),
    )


def _flatten(conditions: Iterable[Condition]) -> Iterable[Condition]:
    for condition in conditions:
        if isinstance(condition, And) or (isinstance(condition, Or) and len(condition.conditions) == 1):
            yield from _flatten(condition.conditions)
        else:
            yield condition


def _clause(collection: Collection, condition: Condition) -> Clause | None:
    if isinstance(condition, KeyIn):
        return in_clause("key", condition.keys)
    if isinstance(condition, Test):
        return _test(collection, condition)
    if isinstance(condition, Not):
        return _not(collection, condition.condition)
    if isinstance(condition, Or):
        return _or(collection, condition)
    return _within(collection, condition) if isinstance(condition, Within) else None


def in_clause(column: str, values: Sequence[SqlValue]) -> Clause:
    """`column` has one of the values."""
    if len(values) == 1:
        return Clause(f"{column} = ?", tuple(values), True, frozenset({column}))
    return Clause(f"{column} IN ({', '.join('?' * len(values))})", tuple(values), True, frozenset({column}))


# ---- conditions on indexed fields ----


def _column(collection: Collection, steps: Steps, datatype: str | None) -> tuple[str, Field] | None:
    """The column that holds the field, a complete one if there is any."""
    if datatype is None or not paths.is_plain(steps):
        return None
    key = (".".join(str(step) for step in steps), datatype)
    found = collection.columns.get(key, ())
    complete = (item for item in found if item[1].mode is not Mode.LAX)
    return next(complete, found[0] if found else None)


def _datatype(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return scalars.NUMBER
    return scalars.VARCHAR2 if isinstance(value, str) else None


def _keys(test: Test) -> tuple[str | None, list[SqlValue]]:
    """The data type that a test compares as, if an index can serve it, and its comparands as index keys."""
    values = test.value if isinstance(test.value, tuple) else (test.value,)
    if test.method is None:
        types = {_datatype(value) for value in values}
        datatype = types.pop() if len(types) == 1 else None
    else:
        datatype = _METHOD_TYPE.get(test.method)
    if datatype is None:
        return None, []
    converted = [scalars.CONVERT[datatype](value) for value in values]
    if any(not isinstance(value, str | Decimal | datetime) for value in converted):
        return None, []
    return datatype, [scalars.sql_key(value) for value in converted]


def _test(collection: Collection, test: Test) -> Clause | None:
    datatype, keys = _keys(test)
    found = _column(collection, test.steps, datatype)
    if found is None or not keys:
        return None
    column, field = found
    clause = _comparison(column, test.operator, keys)
    if clause is None:
        return None
    exact = clause.exact and not (test.method is None and any(key in _BOOLEAN_TEXTS for key in keys))
    if field.mode is Mode.LAX:
        return Clause(f"({clause.sql} OR {column} >= ?)", (*clause.params, IRREGULAR), False, clause.columns)
    return replace(clause, exact=exact)


def _comparison(column: str, operator: str, keys: list[SqlValue]) -> Clause | None:
    not_null = frozenset({column})
    if operator == "in":
        return in_clause(column, keys)
    if operator in _SQL:
        return Clause(f"{column} {_SQL[operator]} ?", (keys[0],), True, not_null)
    if operator == "startsWith" and isinstance(keys[0], str) and keys[0] and ord(keys[0][-1]) < 0xD7FF:
        after = keys[0][:-1] + chr(ord(keys[0][-1]) + 1)
        return Clause(f"({column} >= ? AND {column} < ?)", (keys[0], after), True, not_null)
    return None


def _not(collection: Collection, condition: Condition) -> Clause | None:
    """The opposite of a test, which also holds where there is no value."""
    clause = _test(collection, condition) if isinstance(condition, Test) else None
    if clause is None or not clause.exact:
        return None
    (column,) = clause.columns
    return Clause(f"({column} IS NULL OR NOT {clause.sql})", clause.params, True)


def _or(collection: Collection, condition: Or) -> Clause | None:
    parts = []
    for alternative in condition.conditions:
        clauses = [_clause(collection, part) for part in _flatten([alternative])]
        if not clauses or any(clause is None for clause in clauses):
            return None
        parts.append([clause for clause in clauses if clause is not None])
    if not parts:
        return Clause("0", (), True)
    return Clause(
        "(" + " OR ".join("(" + " AND ".join(clause.sql for clause in part) + ")" for part in parts) + ")",
        tuple(param for part in parts for clause in part for param in clause.params),
        all(clause.exact for part in parts for clause in part),
    )


def _within(collection: Collection, condition: Within) -> Clause | None:
    """Several conditions on one item: on a field that holds no more than one they are conditions on the
    field."""
    parts = list(_flatten([condition.condition]))
    clauses: list[Clause | None] = []
    for part in parts:
        test = part.condition if isinstance(part, Not) else part
        if not isinstance(test, Test) or test.steps:
            clauses.append(None)
            continue
        moved = replace(test, steps=condition.steps)
        clauses.append(_clause(collection, Not(moved) if isinstance(part, Not) else moved))
    served = [clause for clause in clauses if clause is not None]
    columns = frozenset(column for clause in served for column in clause.columns)
    if not columns:  # nothing says that there is a value at all
        return None
    return Clause(
        " AND ".join(clause.sql for clause in served),
        tuple(param for clause in served for param in clause.params),
        len(served) == len(parts) and all(clause.exact for clause in served),
        columns,
    )


# ---- order ----


def _sort_key(collection: Collection, sort: SortField, not_null: frozenset[str]) -> str:
    """One term of ORDER BY. Oracle puts NULL last when ascending and first when descending, SQLite the
    reverse."""
    found = next((item for item in _candidates(collection, sort.field) if _gives(item[1], sort.field)), None)
    key = found[0] if found else f"soda_field(body, ident, {literal(sort.field.spec())})"
    direction = " DESC" if sort.descending else ""
    if key in not_null:
        return key + direction
    return f"{key}{direction} NULLS {'FIRST' if sort.descending else 'LAST'}"


def _candidates(collection: Collection, field: Field) -> tuple[tuple[str, Field], ...]:
    return collection.columns.get((field.path, field.datatype), ())


def _gives(indexed: Field, wanted: Field) -> bool:
    """Whether an indexed field has the very values, and would have had the errors, of a field to sort by."""
    if indexed.mode is Mode.LAX:
        return indexed == wanted
    if wanted.mode is Mode.SCALAR_REQUIRED and indexed.mode is not Mode.SCALAR_REQUIRED:
        return False
    return (indexed.max_length or DEFAULT_LENGTH) <= (wanted.max_length or DEFAULT_LENGTH)
