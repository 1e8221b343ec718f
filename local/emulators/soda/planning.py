"""From an operation to SQL: what an index can answer becomes a condition on its columns, `soda_match` does
the rest.

The column of an indexed field holds exactly what the document holds, since a document with an array or a
value of another type there was refused; a condition on it is therefore complete, and can be answered inside
the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from .catalog import Collection
from .indexes import Field, extracted
from .paths import Steps
from .qbe import And, Condition, Not, Or, SortField, Test, Within
from .session import SqlValue
from .values import CONVERT, NUMBER, VARCHAR2, sql_key

_SQL = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
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


def _column(collection: Collection, steps: Steps, datatype: str | None) -> str | None:
    """The column that holds the field."""
    path = ".".join(steps)
    found = (field for field in collection.fields if (field.path, field.datatype) == (path, datatype))
    return next((field.column for field in found), None)


def _datatype(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return NUMBER
    return VARCHAR2 if isinstance(value, str) else None


def _test(collection: Collection, test: Test) -> Clause | None:
    values = test.value if isinstance(test.value, tuple) else (test.value,)
    types = {_datatype(value) for value in values}
    datatype = types.pop() if len(types) == 1 else None
    column = None if datatype is None else _column(collection, test.steps, datatype)
    if datatype is None or column is None:
        return None
    keys: list[SqlValue] = [sql_key(CONVERT[datatype](value)) for value in values]
    clause = _comparison(column, test.operator, keys)
    return clause and replace(clause, exact=clause.exact and not any(key in _BOOLEAN_TEXTS for key in keys))


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
    return Clause(
        "(" + " OR ".join("(" + " AND ".join(clause.sql for clause in part) + ")" for part in parts) + ")",
        tuple(param for part in parts for clause in part for param in clause.params),
        all(clause.exact for part in parts for clause in part),
    )


def _within(collection: Collection, condition: Within) -> Clause | None:
    """Several conditions on one item: on a field that holds no more than one they are conditions on the
    field."""
    clauses: list[Clause | None] = []
    for part in condition.conditions:
        test = part.condition if isinstance(part, Not) else part
        if not isinstance(test, Test):
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
        len(served) == len(clauses) and all(clause.exact for clause in served),
        columns,
    )


# ---- order ----


def _sort_key(collection: Collection, sort: SortField, not_null: frozenset[str]) -> str:
    """One term of ORDER BY. Oracle puts NULL last when ascending and first when descending, SQLite the
    reverse."""
    found = (field for field in collection.fields if _gives(field, sort.field))
    key = next((field.column for field in found), None) or extracted(sort.field)
    direction = " DESC" if sort.descending else ""
    if key in not_null:
        return key + direction
    return f"{key}{direction} NULLS {'FIRST' if sort.descending else 'LAST'}"


def _gives(indexed: Field, wanted: Field) -> bool:
    """Whether an indexed field has the very values, and would have had the errors, of a field to sort by."""
    return (indexed.path, indexed.datatype) == (wanted.path, wanted.datatype) and (
        (indexed.max_length or 4000) <= (wanted.max_length or 4000)
    )
