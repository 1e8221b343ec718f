"""The $orderby of a QBE in its three forms: from JSON to the fields to sort by.

Source: Oracle, "Orderby Clause Sorts Selected Objects". As with JSON_VALUE there, a value that is no scalar
or cannot be converted is an error unless the order is `$lax`; a missing one is an error only if
`$scalarRequired`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from . import paths
from .errors import bad_filter
from .fields import DATATYPES, Field, Mode

_MEMBERS = frozenset({"path", "datatype", "order", "maxLength"})


@dataclass(frozen=True)
class SortField:
    """One field to sort by."""

    field: Field
    descending: bool = False


def parse_orderby(spec: Any) -> tuple[SortField, ...]:
    """The fields to sort by, the most significant first."""
    if isinstance(spec, list):
        return tuple(_sort_field(item, Mode.DEFAULT) for item in spec)
    if not isinstance(spec, dict):
        raise bad_filter("$orderby takes an array of fields, or an object")
    if isinstance(spec.get("$fields"), list):
        return _with_flags(spec)
    return _short_form(spec)


def _with_flags(spec: dict[str, Any]) -> tuple[SortField, ...]:
    for name, value in spec.items():
        if name not in ("$fields", "$lax", "$scalarRequired"):
            raise bad_filter(f"$orderby: {name} is not known beside $fields")
        if name != "$fields" and not isinstance(value, bool):
            raise bad_filter(f"$orderby: {name} is true or false")
    lax, required = spec.get("$lax", False), spec.get("$scalarRequired", False)
    if lax and required:
        raise bad_filter("$orderby: $lax and $scalarRequired exclude each other")
    mode = Mode.LAX if lax else Mode.SCALAR_REQUIRED if required else Mode.DEFAULT
    return tuple(_sort_field(item, mode) for item in spec["$fields"])


def _short_form(spec: dict[str, Any]) -> tuple[SortField, ...]:
    """`{"a": 1, "b": -2}`: the sign is the direction, the size the rank; equal ranks stay as written."""
    for path, rank in spec.items():
        if not isinstance(rank, Decimal) or rank != int(rank) or not rank:
            raise bad_filter(f"$orderby: {path} takes a whole number other than 0, as 1 or -1")
    ranked = sorted(spec.items(), key=lambda item: abs(item[1]))
    return tuple(SortField(_field(path, "varchar2", None, Mode.DEFAULT), rank < 0) for path, rank in ranked)


def _sort_field(item: Any, mode: Mode) -> SortField:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str):
        raise bad_filter("$orderby: every field is an object with a path")
    for name in item.keys() - _MEMBERS:
        raise bad_filter(f"$orderby: {name} is not known; there are path, datatype, order and maxLength")
    order, datatype = item.get("order", "asc"), item.get("datatype", "varchar2")
    if order not in ("asc", "desc"):
        raise bad_filter(f"$orderby: order is asc or desc, not {order!r}")
    if not isinstance(datatype, str) or datatype.lower() not in DATATYPES:
        raise bad_filter(
            f"$orderby: datatype {datatype!r} is not known; there are {', '.join(sorted(DATATYPES))}"
        )
    length = item.get("maxLength")
    if length is not None and (not isinstance(length, Decimal) or length != int(length) or length <= 0):
        raise bad_filter("$orderby: maxLength is a whole number above 0")
    return SortField(_field(item["path"], datatype, length, mode), order == "desc")


def _field(path: str, datatype: str, length: Decimal | None, mode: Mode) -> Field:
    if not paths.is_plain(paths.parse(path)):
        raise bad_filter(f"$orderby: {path} has an array step, which cannot be sorted by")
    return Field(path, DATATYPES[datatype.lower()], None if length is None else int(length), mode)
