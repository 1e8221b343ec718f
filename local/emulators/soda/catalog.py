"""The collections and indexes of a database file, and each connection's memory of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from . import indexes, metadata
from .errors import ora
from .fields import Field
from .indexes import Index, quoted
from .metadata import Metadata
from .paths import parse
from .session import Session
from .statements import Statements

_TABLES = (
    "CREATE TABLE IF NOT EXISTS soda_collections "
    "(name TEXT PRIMARY KEY, metadata TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS soda_indexes "
    "(name TEXT PRIMARY KEY, collection TEXT NOT NULL, spec TEXT NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True)
class Collection:
    """A collection: its table, its metadata, its indexes, and the indexed fields by path and data type."""

    name: str
    metadata: Metadata
    indexes: tuple[Index, ...] = ()
    columns: Mapping[tuple[str, str], tuple[tuple[str, Field], ...]] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The name of the table that holds the documents."""
        return f"soda:{self.name}"

    @cached_property
    def indexed(self) -> Mapping[str, Field]:
        """The indexed fields, by the columns that an insert fills."""
        return dict(item for fields in self.columns.values() for item in fields)

    @cached_property
    def replaceable(self) -> Mapping[str, Field]:
        """The indexed fields whose columns a replacement fills: a native document keeps its `_id`."""
        if not self.metadata.native:
            return self.indexed
        return {name: field for name, field in self.indexed.items() if parse(field.path)[0] != "_id"}

    @cached_property
    def statements(self) -> Statements:
        """The statements on its table."""
        return Statements(quoted(self.table), list(self.indexed), list(self.replaceable))


class Catalog:
    """Reads and changes what collections and indexes there are; remembers it until the file's schema
    changes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._schema_version: object = None
        self._known: dict[str, Collection | None] = {}

    def get(self, name: str) -> Collection | None:
        """The collection of that name as it is now, or None."""
        ((version,),) = self.session.query("PRAGMA schema_version")
        if version != self._schema_version:
            self._known.clear()
            self._schema_version = version
        if name not in self._known:
            self._known[name] = self._load(name)
        return self._known[name]

    def existing(self, name: str) -> Collection:
        """The collection of that name; ORA-42204 where it was dropped."""
        collection = self.get(name)
        if collection is None:
            raise ora(42204, f"the collection {name!r} was dropped")
        return collection

    def forget(self) -> None:
        """Reads everything anew when it is next needed: after a rollback versions of the schema come
        again."""
        self._schema_version = None

    def names(self, start: str, limit: int) -> list[str]:
        """Collection names from `start` on in alphabetical order; `limit` 0 means all."""
        if not self._has_tables():
            return []
        sql = "SELECT name FROM soda_collections WHERE name >= ? ORDER BY name LIMIT ?"
        return [name for (name,) in self.session.query(sql, (start, limit or -1))]

    def create(self, name: str, document: str) -> Collection:
        """Creates the collection with that metadata; somebody else's is kept where it was there before."""
        with self.session.atomic(commit=True):
            for sql in _TABLES:
                self.session.query(sql)
            found = self.get(name)
            if found is None:
                self.session.query("INSERT INTO soda_collections VALUES (?, ?)", (name, document))
                self.session.query(
                    f"CREATE TABLE {quoted(f'soda:{name}')} (position INTEGER PRIMARY KEY, "
                    "key TEXT NOT NULL UNIQUE, "
                    "version TEXT NOT NULL, ident, media TEXT, created TEXT, modified TEXT, body NOT NULL)"
                )
        return found or self.existing(name)

    def drop(self, name: str) -> bool:
        """Drops a collection and its indexes; False where there is none."""
        collection = self.get(name)
        if collection is None:
            return False
        with self.session.atomic(commit=True):
            self.session.query("DELETE FROM soda_indexes WHERE collection = ?", (name,))
            self.session.query("DELETE FROM soda_collections WHERE name = ?", (name,))
            self.session.query(f"DROP TABLE {quoted(collection.table)}")
        return True

    def create_index(self, name: str, text: str) -> None:
        """Creates an index on the collection `name`; ORA-40733 where its name is taken."""
        index = indexes.parse_spec(text)
        with self.session.atomic(commit=True):
            collection = self.existing(name)
            if self.session.query("SELECT 1 FROM soda_indexes WHERE name = ?", (index.name,)):
                raise ora(40733, f"there is an index {index.name!r} already")
            self.session.query("INSERT INTO soda_indexes VALUES (?, ?, ?)", (index.name, name, text))
            there = self._columns(collection)
            for indexed in {item.column: item for item in index.fields}.values():
                if indexed.column not in there:
                    for sql in indexes.column_ddl(collection.table, indexed):
                        self.session.query(sql)
            for sql in indexes.index_ddl(collection.table, index):
                self.session.query(sql)

    def drop_index(self, collection_name: str, name: str) -> bool:
        """Drops an index and the columns that only it needs; False where there is none of that name."""
        collection = self.existing(collection_name)
        index = next((index for index in collection.indexes if index.name == name), None)
        if index is None:
            return False
        needed = {item.column for other in collection.indexes if other is not index for item in other.fields}
        with self.session.atomic(commit=True):
            self.session.query("DELETE FROM soda_indexes WHERE name = ?", (name,))
            for ddl_name in (name, f"{name}:unique"):
                self.session.query(f"DROP INDEX IF EXISTS {quoted(ddl_name)}")
            for column in {item.column for item in index.fields} - needed:
                self.session.query(f"ALTER TABLE {quoted(collection.table)} DROP COLUMN {column}")
        return True

    def _has_tables(self) -> bool:
        return bool(self.session.query("SELECT 1 FROM sqlite_master WHERE name = 'soda_collections'"))

    def _columns(self, collection: Collection) -> set[str]:
        rows = self.session.query(f"PRAGMA table_xinfo({quoted(collection.table)})")
        return {str(row[1]) for row in rows}

    def _load(self, name: str) -> Collection | None:
        if not self._has_tables():
            return None
        rows = self.session.query("SELECT metadata FROM soda_collections WHERE name = ?", (name,))
        if not rows:
            return None
        specs = self.session.query(
            "SELECT spec FROM soda_indexes WHERE collection = ? ORDER BY name", (name,)
        )
        found = tuple(indexes.parse_spec(str(spec)) for (spec,) in specs)
        columns: dict[tuple[str, str], dict[str, Field]] = {}
        for index in found:
            for item in index.fields:
                columns.setdefault((item.field.path, item.field.datatype), {})[item.column] = item.field
        by_path = {key: tuple(value.items()) for key, value in columns.items()}
        return Collection(name, metadata.read(str(rows[0][0])), found, by_path)


class Link(Protocol):
    """What collections need of the connection that opened them; both raise DPY-1001 once it is closed."""

    @property
    def session(self) -> Session:
        """The SQLite connection."""

    @property
    def catalog(self) -> Catalog:
        """The collections."""
