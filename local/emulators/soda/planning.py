"""Which index serves an operation: no other than Oracle is known to use, so that what is served here is
served there.

Known is what Oracle's own tests assert of the database's plans (oracle/soda-for-java,
test_OracleCollectionAdmin.testFuncIndexInPlan1, test_OracleOperationBuilder6): single comparisons ($eq $gt
$gte $lt $lte), $and of such, and $or of equalities on one path, where the value has the index's data type; an
order with the index's own data type and maxLength. Not so $in, $nin, $ne, $startsWith, nor several operators
in one object, which SODA translates otherwise than $and of the same (`exists(@.a?(…))`); what an index does
not serve is asked of each document that it gives.

A composite index is served by equalities on its first fields and one more condition behind them. The column
of an indexed field holds exactly what the document holds, since a document with something else there was
refused: what the index answers need not be asked of the document again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .indexes import Field, Index, extracted, quoted
from .qbe import And, Condition, Or, Query, SortField, Test
from .session import SqlValue
from .values import NUMBER, VARCHAR2, sql_key

_SQL = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_BOOLEAN_TEXTS = ("true", "false")  # a boolean's text in a column of strings, which no string equals


@dataclass(frozen=True)
class Plan:
    """The parts of a statement: what follows the table's name, WHERE and ORDER BY.

    `residual` is what remains to be asked of each document.
    """

    hint: str
    where: tuple[str, ...]
    params: tuple[SqlValue, ...]
    residual: Condition | None
    orderby: str


@dataclass(frozen=True)
class _Bound:
    """A condition that an index on `path` of `datatype` serves."""

    path: str
    datatype: str
    operator: str
    keys: tuple[SqlValue, ...]
    condition: Condition

    def sql(self, column: str) -> str:
        return f"{column} {self.operator} ({', '.join('?' * len(self.keys))})"


@dataclass(frozen=True)
class _Access:
    """What of a query an index serves."""

    index: Index
    bounds: tuple[tuple[Field, _Bound], ...]
    in_order: bool

    @property
    def worth(self) -> tuple[int, int, bool, bool]:
        """The more fields are given, and the better the last, the less of the index is read."""
        operators = [bound.operator for _, bound in self.bounds]
        last = 2 if "IN" in operators else 1 if set(operators) - {"="} else 0
        return operators.count("="), last, self.in_order, self.index.unique


def by_keys(keys: Sequence[str], query: Query) -> Plan:
    """How to find the documents with these keys that fulfil all conditions, in that order."""
    where = f"key IN ({', '.join('?' * len(keys))})"
    return Plan("", (where,), tuple(keys), _all(query.conditions), _orderby(query.orderby, None))


def plan(indexes: Iterable[Index], query: Query) -> Plan:
    """How to find the documents that fulfil all conditions, in that order."""
    conditions = list(_flatten(query.conditions))
    bounds = [bound for bound in map(_bound, conditions) if bound is not None]
    found = [_access(index, bounds, query.orderby) for index in indexes]
    access = max((one for one in found if one.bounds), key=lambda one: one.worth, default=None)
    if access is None:
        return Plan("NOT INDEXED", (), (), _all(conditions), _orderby(query.orderby, None))
    served = {id(bound.condition) for _, bound in access.bounds}
    return Plan(
        f"INDEXED BY {quoted(access.index.name)}",
        tuple(bound.sql(field.column) for field, bound in access.bounds),
        tuple(key for _, bound in access.bounds for key in bound.keys),
        _all([condition for condition in conditions if id(condition) not in served]),
        _orderby(query.orderby, access),
    )


def _flatten(conditions: Iterable[Condition]) -> Iterator[Condition]:
    for condition in conditions:
        if isinstance(condition, And) or (isinstance(condition, Or) and len(condition.conditions) == 1):
            yield from _flatten(condition.conditions)
        else:
            yield condition


def _all(conditions: Sequence[Condition]) -> Condition | None:
    return And(tuple(conditions)) if conditions else None


# ---- conditions ----


def _bound(condition: Condition) -> _Bound | None:
    if isinstance(condition, Or):
        return _one_of(condition)
    if not isinstance(condition, Test) or condition.operator not in _SQL:
        return None
    datatype = _datatype(condition.value)
    if datatype is None:
        return None
    operator, key = _SQL[condition.operator], sql_key(condition.value)
    return _Bound(".".join(condition.steps), datatype, operator, (key,), condition)


def _one_of(condition: Or) -> _Bound | None:
    """Equalities on one path, of one type."""
    alternatives = [list(_flatten([part])) for part in condition.conditions]
    bounds = [_bound(parts[0]) for parts in alternatives if len(parts) == 1]
    parts = [bound for bound in bounds if bound is not None and bound.operator == "="]
    alike = {(bound.path, bound.datatype) for bound in parts}
    if len(parts) < len(alternatives) or len(alike) > 1:
        return None
    keys = tuple(key for bound in parts for key in bound.keys)
    return _Bound(parts[0].path, parts[0].datatype, "IN", keys, condition)


def _datatype(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return NUMBER
    return VARCHAR2 if isinstance(value, str) and value not in _BOOLEAN_TEXTS else None


def _access(index: Index, bounds: Sequence[_Bound], orderby: Sequence[SortField]) -> _Access:
    """Equalities on the first fields, and what there is on the one behind them."""
    found: list[tuple[Field, _Bound]] = []
    equal = 0
    for item in index.fields:
        field = item.field
        here = [one for one in bounds if (one.path, one.datatype) == (field.path, field.datatype)]
        equalities = [one for one in here if one.operator == "="]
        if not equalities:
            one_of = [one for one in here if one.operator == "IN"]
            found += [(field, one) for one in one_of[:1] or here]
            break
        found.append((field, equalities[0]))
        equal += 1
    return _Access(index, tuple(found), _is_in_order(index, equal, orderby))


# ---- order ----


def _is_in_order(index: Index, equal: int, orderby: Sequence[SortField]) -> bool:
    """Whether an index of which `equal` fields are given has its entries in an order, or in its opposite."""
    items = index.fields[equal : equal + len(orderby)]
    pairs = list(zip(items, orderby, strict=False))
    return (
        len(items) == len(orderby)
        and all(_has_entries_of(item.field, sort.field) for item, sort in pairs)
        and len({item.descending == sort.descending for item, sort in pairs}) <= 1
    )


def _has_entries_of(indexed: Field, wanted: Field) -> bool:
    return indexed == wanted and (wanted.datatype == NUMBER or wanted.max_length is not None)


def _orderby(orderby: Sequence[SortField], access: _Access | None) -> str:
    """ORDER BY. Oracle puts NULL last when ascending and first when descending, SQLite the reverse."""
    not_null = set() if access is None else {field.column for field, _ in access.bounds}
    keys = []
    for sort in orderby:
        key = sort.field.column if access is not None and access.in_order else extracted(sort.field)
        direction = " DESC" if sort.descending else ""
        nulls = "" if key in not_null else f" NULLS {'FIRST' if sort.descending else 'LAST'}"
        keys.append(f"{key}{direction}{nulls}")
    return ", ".join(keys)
