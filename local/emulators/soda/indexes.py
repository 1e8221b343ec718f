"""Indexes: from SODA's index specification to columns and indexes of SQLite, and what a document has there.

Every indexed field is a column, which each write of a document fills. As in Oracle's B-trees an entry whose
fields are all NULL is not in the index, and a unique index takes NULL for a value as soon as another field of
the entry has one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

from .errors import missing, ora
from .json_types import CONVERT, NUMBER, VARCHAR2, sql_key
from .paths import Steps, select, split

DATATYPES = (VARCHAR2, NUMBER)
OTHER_DATATYPES = frozenset({"string", "varchar", "date", "timestamp", "datetime"})
_OTHER = object()  # stands for what the general way has to look at
_DEFAULT_LENGTH = 4000  # of VARCHAR2, if no maxLength is given
_INDEX_MEMBERS = frozenset({"name", "unique", "fields"})
_OTHER_MEMBERS = frozenset({"scalarRequired", "lax", "indexNulls", "spatial", "dataguide", "search_on"})
_FIELD_MEMBERS = frozenset({"path", "datatype", "order", "maxLength"})


@dataclass(frozen=True)
class Field:
    """Where a scalar stands in the content, and as what it is read. `max_length` is in UTF-8 bytes."""

    path: str
    datatype: str
    max_length: int | None

    @cached_property
    def spec(self) -> str:
        """Text from which `field_of` makes this field again; stands in SQL."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def column(self) -> str:
        """The name of the column that holds it: the same for the same field, whichever index it is in."""
        return "f_" + hashlib.sha256(self.spec.encode()).hexdigest()[:16]


@lru_cache(maxsize=1024)
def field_of(spec: str) -> Field:
    """The field that `Field.spec` described."""
    return Field(**json.loads(spec))


# ---- what a document has in an index ----


def index_value(content: Any, field: Field) -> str | bytes | None:
    """A field's value in the form in which an index holds it, as JSON_VALUE takes it from the content.

    Nothing there, or null, is None; what is no scalar of the data type raises Oracle's error (SQL Language
    Reference, JSON_VALUE with ERROR ON ERROR and NULL ON EMPTY).
    """
    steps = split(field.path)
    plain = _member(content, steps)
    if plain is None:
        return None
    if type(plain) is str and field.datatype == VARCHAR2 and len(plain) * 4 <= (field.max_length or 1):
        return plain
    found = select(content, steps)
    if not found:
        return None
    if len(found) > 1:
        raise ora(40470, f"{field.path} has {len(found)} values")
    (value,) = found
    if value is None:
        return None
    if isinstance(value, list | dict):
        raise ora(40456, f"{field.path} is an {'array' if isinstance(value, list) else 'object'}")
    converted = CONVERT[field.datatype](value)
    if converted is None:
        raise ora(1722, f"{field.path} is no {field.datatype}")
    limit = field.max_length or _DEFAULT_LENGTH
    if isinstance(converted, str) and len(converted) * 4 > limit and len(converted.encode()) > limit:
        raise ora(40478, f"{field.path} is longer than {limit} bytes")
    return sql_key(converted)


def _member(content: Any, steps: Steps) -> Any:
    """What most documents hold: members of objects all the way. None if nothing is there, or null."""
    value = content
    for name in steps:
        if type(value) is not dict:
            return _OTHER
        value = value.get(name)
        if value is None:
            return None
    return value


# ---- specifications ----


@dataclass(frozen=True)
class IndexField:
    """One field of an index."""

    field: Field
    descending: bool


@dataclass(frozen=True)
class Index:
    """An index of a collection; `spec` is what it was created with."""

    name: str
    spec: dict[str, Any]
    unique: bool
    fields: tuple[IndexField, ...]


def parse_spec(text: str) -> Index:
    """The index that a specification (JSON text) describes; ORA-40773 if it is not valid."""
    try:
        spec = json.loads(text)
    except ValueError:
        spec = None
    if not isinstance(spec, dict):
        raise ora(40773, "an index specification is a JSON object")
    for name in spec.keys() - _INDEX_MEMBERS:
        raise missing(f"{name} of an index") if name in _OTHER_MEMBERS else ora(40773, f"{name} is not known")
    if not isinstance(spec.get("name"), str) or not spec["name"]:
        raise ora(40773, "name is required, and is a string")
    if not isinstance(spec.get("unique", False), bool):
        raise ora(40773, "unique is true or false")
    if "fields" not in spec:
        raise (
            ora(40773, "unique is only for an index with fields")
            if "unique" in spec
            else missing("a search index")
        )
    if not isinstance(spec["fields"], list) or not spec["fields"]:
        raise ora(40773, "fields is an array with at least one field")
    return Index(spec["name"], spec, spec.get("unique", False), tuple(map(_field, spec["fields"])))


def _field(item: Any) -> IndexField:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str):
        raise ora(40773, "every field is an object with a path")
    for name in item.keys() - _FIELD_MEMBERS:
        raise ora(40773, f"fields.{name} is not known; there are path, datatype, order and maxLength")
    datatype, order, length = item.get("datatype", VARCHAR2), item.get("order", "asc"), item.get("maxLength")
    if datatype in OTHER_DATATYPES:
        raise missing(f"fields.datatype {datatype}")
    if datatype not in DATATYPES:
        raise ora(40773, f"fields.datatype {datatype!r} is not known; write {' or '.join(DATATYPES)}")
    if order not in ("asc", "desc"):
        raise ora(40773, f"fields.order is asc or desc, not {order!r}")
    if length is not None and (type(length) is not int or length <= 0 or datatype != VARCHAR2):
        raise ora(40773, "fields.maxLength is a whole number above 0, and only for strings")
    split(item["path"])
    return IndexField(Field(item["path"], datatype, length), order == "desc")


# ---- SQL ----


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def extracted(field: Field) -> str:
    """The SQL expression that takes a field's value from the content."""
    spec = field.spec.replace("'", "''")
    return f"soda_field(body, '{spec}')"


def column_ddl(table: str, field: Field) -> tuple[str, str]:
    """The statements that add a field's column to a collection's table, and fill it."""
    return (
        f"ALTER TABLE {table} ADD COLUMN {field.column}",
        f"UPDATE {table} SET {field.column} = {extracted(field)}",  # noqa: S608 - names and values are quoted
    )


def index_ddl(table: str, index: Index) -> list[str]:
    """The statements that create an index over columns that are there already."""
    columns = [item.field.column for item in index.fields]
    keys = ", ".join(f"{item.field.column}{' DESC' if item.descending else ''}" for item in index.fields)
    where = " OR ".join(f"{column} IS NOT NULL" for column in columns)
    by_itself = "UNIQUE " if index.unique and len(columns) == 1 else ""
    statements = [f"CREATE {by_itself}INDEX {quoted(index.name)} ON {table} ({keys}) WHERE {where}"]
    if index.unique and not by_itself:  # SQLite takes NULLs for different: a second index has a value instead
        name, keys = quoted(f"{index.name}:unique"), ", ".join(f"ifnull({column}, x'')" for column in columns)
        statements.append(f"CREATE UNIQUE INDEX {name} ON {table} ({keys}) WHERE {where}")
    return statements
