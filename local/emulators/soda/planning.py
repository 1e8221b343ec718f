"""Query planning: an index serves only what Oracle's are known to serve, so that a plan that is certain here
is certain there.

What is known are the plans that Oracle's own tests assert (oracle/soda-for-java,
test_OracleCollectionAdmin.testFuncIndexInPlan1 and test_OracleOperationBuilder6). They use an index for a
single comparison ($eq $gt $gte $lt $lte) with a value of the index's data type, for $and of such, and for $or
of equalities on one path; an order by uses it if data type and maxLength are the index's own. Not known to be
served are $in, $nin, $ne, $startsWith, and several operators in one object: SODA translates `{"a": {"$gt": 1,
"$lt": 9}}` to another path expression, `exists(@.a?(…))`, than the $and of the two (AndORNode.java). Such a
condition is checked on each document that the index returns.

A composite index is served by equalities on its first fields and one more condition on the next. The column
of an indexed field holds exactly what the document holds, since writing anything else there was refused, so a
condition that the index serves is not checked on the document again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .errors import ora
from .indexes import Field, Index, extracted, quoted
from .json_types import NUMBER, VARCHAR2, sql_key
from .qbe import And, Condition, Or, Query, SortField, Test
from .session import SqlValue

_MOST_KEYS = 1000  # node-oracledb's documentation of keys(), whose number is that of expressions in a list
_SQL = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_RANGES = frozenset({">", ">=", "<", "<="})
_MORE_THAN_RANGES = 9
_BOOLEAN_TEXTS = ("true", "false")  # a boolean's text in a column of strings, which no string equals


@dataclass(frozen=True)
class Plan:
    """The parts of a statement: what follows the table's name, WHERE and ORDER BY.

    `residual` remains to be checked on each document.
    """

    hint: str
    where: tuple[str, ...]
    params: tuple[SqlValue, ...]
    residual: Condition | None
    orderby: str


@dataclass(frozen=True)
class _Comparison:
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
    """The part of a query that an index serves."""

    index: Index
    comparisons: tuple[tuple[Field, _Comparison], ...]
    in_order: bool

    @property
    def worth(self) -> tuple[int, int, bool, bool]:
        """Sorts higher the less of the index has to be read."""
        operators = [one.operator for _, one in self.comparisons]
        equal, ranges = operators.count("="), sum(one in _RANGES for one in operators)
        return equal, _MORE_THAN_RANGES if "IN" in operators else ranges, self.in_order, self.index.unique


def by_keys(keys: Sequence[str], query: Query) -> Plan:
    """Plan a query among the documents with these keys, which are read by the primary key.

    ORA-01795 if there are too many keys.
    """
    if len(keys) > _MOST_KEYS:
        raise ora(1795, f"keys() takes at most {_MOST_KEYS}, not {len(keys)}")
    where = f"key IN ({', '.join('?' * len(keys))})"
    return Plan("", (where,), tuple(keys), _all(query.conditions), _orderby(query.orderby, None))


def plan(indexes: Iterable[Index], query: Query) -> Plan:
    """Plan a query with the index that serves most of it, or reading all documents."""
    conditions = list(_flatten(query.conditions))
    comparisons = [one for one in map(_comparison, conditions) if one is not None]
    found = [_access(index, comparisons, query.orderby) for index in indexes]
    access = max((one for one in found if one.comparisons), key=lambda one: one.worth, default=None)
    if access is None:
        return Plan("NOT INDEXED", (), (), _all(conditions), _orderby(query.orderby, None))
    served = {id(one.condition) for _, one in access.comparisons}
    return Plan(
        f"INDEXED BY {quoted(access.index.name)}",
        tuple(one.sql(field.column) for field, one in access.comparisons),
        tuple(key for _, one in access.comparisons for key in one.keys),
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


def _comparison(condition: Condition) -> _Comparison | None:
    if isinstance(condition, Or):
        return _one_of(condition)
    if not isinstance(condition, Test) or condition.operator not in _SQL:
        return None
    datatype = _datatype(condition.value)
    if datatype is None:
        return None
    operator, key = _SQL[condition.operator], sql_key(condition.value)
    return _Comparison(".".join(condition.steps), datatype, operator, (key,), condition)


def _one_of(condition: Or) -> _Comparison | None:
    """Equalities on one path, of one type."""
    alternatives = [list(_flatten([part])) for part in condition.conditions]
    comparisons = [_comparison(parts[0]) for parts in alternatives if len(parts) == 1]
    parts = [one for one in comparisons if one is not None and one.operator == "="]
    alike = {(one.path, one.datatype) for one in parts}
    if len(parts) < len(alternatives) or len(alike) > 1:
        return None
    keys = tuple(key for one in parts for key in one.keys)
    return _Comparison(parts[0].path, parts[0].datatype, "IN", keys, condition)


def _datatype(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return NUMBER
    return VARCHAR2 if isinstance(value, str) and value not in _BOOLEAN_TEXTS else None


def _access(index: Index, comparisons: Sequence[_Comparison], orderby: Sequence[SortField]) -> _Access:
    """Equalities on the first fields, and the comparisons on the next."""
    found: list[tuple[Field, _Comparison]] = []
    equal = 0
    for item in index.fields:
        field = item.field
        here = [one for one in comparisons if (one.path, one.datatype) == (field.path, field.datatype)]
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
    """Whether an index returns this order, or its opposite, once its first `equal` fields are fixed."""
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
    not_null = set() if access is None else {field.column for field, _ in access.comparisons}
    keys = []
    for sort in orderby:
        key = sort.field.column if access is not None and access.in_order else extracted(sort.field)
        direction = " DESC" if sort.descending else ""
        nulls = "" if key in not_null else f" NULLS {'FIRST' if sort.descending else 'LAST'}"
        keys.append(f"{key}{direction}{nulls}")
    return ", ".join(keys)
