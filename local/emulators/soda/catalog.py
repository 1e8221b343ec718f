"""The collections and indexes of a database file, and each connection's memory of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from . import indexes
from .documents import COLUMNS
from .errors import ora
from .indexes import Field, Index, quoted
from .session import Session

_TABLES = (
    "CREATE TABLE IF NOT EXISTS soda_collections (name TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS soda_indexes "
    "(name TEXT PRIMARY KEY, collection TEXT NOT NULL, spec TEXT NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True)
class Collection:
    """A collection, its indexes, and the SQL on its table, which is the same for each operation."""

    name: str
    indexes: tuple[Index, ...] = ()

    @property
    def table(self) -> str:
        """The name of the table that holds the documents, as an SQL identifier."""
        return quoted(f"soda:{self.name}")

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The indexed fields, each once, in the order of the columns that a write fills."""
        return tuple(dict.fromkeys(item.field for index in self.indexes for item in index.fields))

    @cached_property
    def insert(self) -> str:
        """The statement that inserts a row: its `COLUMNS`, and what `fields` are."""
        columns = ", ".join((COLUMNS, *(field.column for field in self.fields)))
        return f"INSERT INTO {self.table} ({columns}) VALUES (?, ?, ?{', ?' * len(self.fields)})"  # noqa: S608 - names are quoted

    @cached_property
    def replace(self) -> str:
        """The statement that replaces version, body and `fields` of the document with a key."""
        changed = ", ".join(f"{name} = ?" for name in ("version", "body", *(f.column for f in self.fields)))
        return f"UPDATE {self.table} SET {changed} WHERE key = ?"  # noqa: S608 - names are quoted


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
        """The collection of that name; ORA-42204 if it was dropped."""
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

    def create(self, name: str) -> Collection:
        """Creates the collection; one that exists already is kept."""
        with self.session.atomic(commit=True):
            for sql in _TABLES:
                self.session.query(sql)
            found = self.get(name)
            if found is None:
                self.session.query("INSERT INTO soda_collections VALUES (?)", (name,))
                self.session.query(
                    f"CREATE TABLE {Collection(name).table} (position INTEGER PRIMARY KEY, "
                    "key TEXT NOT NULL UNIQUE, version TEXT NOT NULL, body TEXT NOT NULL)"
                )
        return found or self.existing(name)

    def drop(self, name: str) -> bool:
        """Drops a collection and its indexes; False if there is none."""
        collection = self.get(name)
        if collection is None:
            return False
        with self.session.atomic(commit=True):
            self.session.query("DELETE FROM soda_indexes WHERE collection = ?", (name,))
            self.session.query("DELETE FROM soda_collections WHERE name = ?", (name,))
            self.session.query(f"DROP TABLE {collection.table}")
        return True

    def create_index(self, name: str, text: str) -> None:
        """Creates an index on the collection `name`; ORA-40733 if its name is taken."""
        index = indexes.parse_spec(text)
        with self.session.atomic(commit=True):
            collection = self.existing(name)
            if self.session.query("SELECT 1 FROM soda_indexes WHERE name = ?", (index.name,)):
                raise ora(40733, f"there is an index {index.name!r} already")
            self.session.query("INSERT INTO soda_indexes VALUES (?, ?, ?)", (index.name, name, text))
            for field in dict.fromkeys(item.field for item in index.fields):
                if field not in collection.fields:
                    for sql in indexes.column_ddl(collection.table, field):
                        self.session.query(sql)
            for sql in indexes.index_ddl(collection.table, index):
                self.session.query(sql)

    def _has_tables(self) -> bool:
        return bool(self.session.query("SELECT 1 FROM sqlite_master WHERE name = 'soda_collections'"))

    def _load(self, name: str) -> Collection | None:
        if not self._has_tables():
            return None
        if not self.session.query("SELECT 1 FROM soda_collections WHERE name = ?", (name,)):
            return None
        sql = "SELECT spec FROM soda_indexes WHERE collection = ? ORDER BY name"
        specs = self.session.query(sql, (name,))
        return Collection(name, tuple(indexes.parse_spec(str(spec)) for (spec,) in specs))


class Link(Protocol):
    """What collections need of the connection that opened them; both raise DPY-1001 once it is closed."""

    @property
    def session(self) -> Session:
        """The SQLite connection."""

    @property
    def catalog(self) -> Catalog:
        """The collections."""
