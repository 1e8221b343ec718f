"""Indexes: from SODA's index specification to columns and indexes of SQLite.

Every indexed field is a column, which each write of a document fills. As in Oracle's B-trees an entry whose
fields are all NULL is not in the index, and a unique index takes NULL for a value as soon as another field of
the entry has one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .errors import ora
from .fields import DATATYPES, Field, Mode
from .paths import is_plain, parse

_INDEX_MEMBERS = frozenset(
    {"name", "unique", "scalarRequired", "lax", "indexNulls", "fields", "dataguide", "search_on"}
)
_FIELD_MEMBERS = frozenset({"path", "datatype", "order", "maxLength"})


@dataclass(frozen=True)
class IndexField:
    """One field of an index, and the column that holds it."""

    field: Field
    descending: bool

    @cached_property
    def column(self) -> str:
        """The name of the column: the same for the same field, whichever index it belongs to."""
        return "f_" + hashlib.sha256(self.field.spec().encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Index:
    """An index of a collection; one without fields is a search index, which here only answers to its name."""

    name: str
    spec: dict[str, Any]
    unique: bool
    fields: tuple[IndexField, ...]

    @property
    def has_data_guide(self) -> bool:
        """Whether the collection's data guide may be asked for."""
        return not self.fields and str(self.spec.get("dataguide", "on")).lower() == "on"


def parse_spec(text: str) -> Index:
    """The index that a specification (JSON text) describes; ORA-40773 where it is not valid."""
    try:
        spec = json.loads(text)
    except ValueError:
        spec = None
    if not isinstance(spec, dict):
        raise ora(40773, "an index specification is a JSON object")
    _check_members(spec)
    mode = (
        Mode.LAX if spec.get("lax") else Mode.SCALAR_REQUIRED if spec.get("scalarRequired") else Mode.DEFAULT
    )
    fields = tuple(_field(item, mode) for item in spec.get("fields", []))
    return Index(spec["name"], spec, bool(spec.get("unique")), fields)


def _check_members(spec: dict[str, Any]) -> None:
    if "spatial" in spec:
        raise ora(40773, "spatial indexes are not offered by this database")
    for name in spec.keys() - _INDEX_MEMBERS:
        raise ora(40773, f"{name} is not known, or not offered by this database")
    if not isinstance(spec.get("name"), str) or not spec["name"]:
        raise ora(40773, "name is required, and is a string")
    for flag in ("unique", "scalarRequired", "lax", "indexNulls"):
        if not isinstance(spec.get(flag, False), bool):
            raise ora(40773, f"{flag} is true or false")
        if flag in spec and "fields" not in spec:
            raise ora(40773, f"{flag} is only for an index with fields")
    if spec.get("lax") and spec.get("scalarRequired"):
        raise ora(40773, "lax and scalarRequired exclude each other")
    if spec.get("indexNulls"):
        raise ora(40773, "indexNulls is not offered by this database")
    if "fields" in spec and (not isinstance(spec["fields"], list) or not spec["fields"]):
        raise ora(40773, "fields is an array with at least one field")


def _field(item: Any, mode: Mode) -> IndexField:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str):
        raise ora(40773, "every field is an object with a path")
    for name in item.keys() - _FIELD_MEMBERS:
        raise ora(40773, f"fields.{name} is not known; there are path, datatype, order and maxLength")
    if not is_plain(parse(item["path"])):
        raise ora(40773, f"fields.path {item['path']!r}: array steps are not offered by this database")
    datatype, order = item.get("datatype", "varchar2"), item.get("order", "asc")
    if not isinstance(datatype, str) or datatype.lower() not in DATATYPES:
        raise ora(
            40773, f"fields.datatype {datatype!r} is not known; there are {', '.join(sorted(DATATYPES))}"
        )
    if isinstance(order, bool) or str(order).lower() not in ("asc", "desc", "1", "-1"):
        raise ora(40773, f"fields.order is asc or desc, not {order!r}")
    length = item.get("maxLength")
    if length is not None and (
        type(length) is not int or length <= 0 or DATATYPES[datatype.lower()] != "varchar2"
    ):
        raise ora(40773, "fields.maxLength is a whole number above 0, and only for strings")
    field = Field(item["path"], DATATYPES[datatype.lower()], length, mode)
    return IndexField(field, str(order).lower() in ("desc", "-1"))


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def column_ddl(table: str, field: IndexField) -> tuple[str, str]:
    """The statements that add a field's column to a collection's table, and fill it."""
    value = f"soda_field(body, ident, {literal(field.field.spec())})"
    return (
        f"ALTER TABLE {quoted(table)} ADD COLUMN {field.column}",
        f"UPDATE {quoted(table)} SET {field.column} = {value}",  # noqa: S608 - names and values are quoted
    )


def index_ddl(table: str, index: Index) -> list[str]:
    """The statements that create an index over columns that are there already.

    A search index is an empty one, which tells other connections that something has changed.
    """
    if not index.fields:
        return [f"CREATE INDEX {quoted(index.name)} ON {quoted(table)} (position) WHERE position IS NULL"]
    columns = [field.column for field in index.fields]
    keys = ", ".join(f"{field.column}{' DESC' if field.descending else ''}" for field in index.fields)
    where = " OR ".join(f"{column} IS NOT NULL" for column in columns)
    by_itself = index.unique and len(columns) == 1 and index.fields[0].field.mode is not Mode.LAX
    unique = "UNIQUE " if by_itself else ""
    statements = [f"CREATE {unique}INDEX {quoted(index.name)} ON {quoted(table)} ({keys}) WHERE {where}"]
    if index.unique and not by_itself:
        values = [f"nullif({column}, x'ff')" for column in columns]
        keys = ", ".join(f"ifnull({value}, x'')" for value in values)
        where = " OR ".join(f"{value} IS NOT NULL" for value in values)
        name = quoted(f"{index.name}:unique")
        statements.append(f"CREATE UNIQUE INDEX {name} ON {quoted(table)} ({keys}) WHERE {where}")
    return statements
