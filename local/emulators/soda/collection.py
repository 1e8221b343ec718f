"""The implementation object of a `SodaCollection`: its operations as SQL on its table."""
# ruff: noqa: S608 - only the quoted table name and clauses of `planning` are put into SQL

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import oracledb

from . import documents, planning, qbe, values
from .catalog import Catalog, Collection, Link
from .documents import COLUMNS, DocumentImpl, Row
from .errors import dpi, missing, ora
from .indexes import index_value
from .session import Session, SqlValue


@dataclass(frozen=True)
class Request:
    """The criteria of an operation; `keys` is empty where it is not restricted to keys."""

    keys: tuple[str, ...]
    has_one_key: bool
    version: str | None
    query: qbe.Query
    filtered: bool
    skip: int | None
    limit: int | None
    lock: bool

    @classmethod
    def of(cls, op: Any) -> Request:
        """The criteria of a `SodaOperation`, which the driver's own implementation objects read alike."""
        key, text = op._key, op._filter  # noqa: SLF001 - the driver offers no other way
        given = (key,) if key is not None else tuple(op._keys or ())  # noqa: SLF001 - the driver offers no other way
        keys = tuple(one.lower() for one in given)  # hexadecimal digits may be given in upper case
        query = qbe.Query() if text is None else qbe.parse(text)
        version, skip, limit, lock = op._version, op._skip, op._limit, op._lock  # noqa: SLF001 - the driver offers no other way
        return cls(keys, key is not None, version, query, text is not None, skip, limit, lock)


@dataclass(frozen=True)
class Selection:
    """The clauses of a statement that selects documents, and the parameters of WHERE."""

    where: str
    params: tuple[SqlValue, ...]
    orderby: str


class CursorImpl:
    """The implementation object of a `SodaDocCursor`: rows that were read at once, decoded one by one."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = iter(rows)

    def get_next_doc(self) -> DocumentImpl | None:
        """The next document, or None at the end."""
        row = next(self._rows, None)
        return None if row is None else documents.from_row(row)

    def close(self) -> None:
        """Forgets the rows that are left."""
        self._rows = iter(())


class CollectionImpl:
    """Operations of one collection, on the connection that opened it."""

    def __init__(self, link: Link, collection: Collection) -> None:
        self.name = collection.name
        self._table = collection.table
        self._link = link

    @property
    def _session(self) -> Session:
        return self._link.session

    @property
    def _catalog(self) -> Catalog:
        return self._link.catalog

    # ---- the collection itself ----

    def drop(self) -> bool:
        """Drops the collection; ORA-40626 where the transaction has uncommitted changes."""
        self._refuse_in_transaction()
        return self._catalog.drop(self.name)

    def truncate(self) -> None:
        """Removes all documents at once and commits, as TRUNCATE TABLE does."""
        self._catalog.existing(self.name)
        self._session.write(f"DELETE FROM {self._table}")
        self._session.commit()

    def create_index(self, spec: str) -> None:
        """Creates an index."""
        self._refuse_in_transaction()
        self._catalog.create_index(self.name, spec)

    def list_indexes(self) -> list[str]:
        """The specifications of all indexes, as JSON text."""
        return [json.dumps(index.spec) for index in self._catalog.existing(self.name).indexes]

    def _missing(self, *_: Any, **__: Any) -> NoReturn:
        raise missing("save(), dropIndex(), getDataGuide() or metadata of a collection")

    save = drop_index = get_data_guide = get_metadata = _missing

    def _refuse_in_transaction(self) -> None:
        if self._session.in_transaction:
            raise ora(40626, f"commit or roll back first: {self.name}")

    # ---- writing ----

    def insert_one(self, document: DocumentImpl, hint: str | None, return_doc: bool) -> DocumentImpl | None:
        """Inserts a document; a hint has nothing to say here."""
        row, content = documents.new_row(document)
        with self._explained(), self._session.writing():
            now = self._catalog.existing(self.name)
            self._session.write(now.insert, row + _indexed(now, content))
        return DocumentImpl(None, row[0], row[1]) if return_doc else None

    def insert_many(
        self, doc_impls: list[DocumentImpl], hint: str | None, return_docs: bool
    ) -> list[DocumentImpl] | None:
        """Inserts all documents, or none where one fails; a hint has nothing to say here."""
        if not doc_impls:
            raise dpi(1031, "unable to insert an empty list of documents")
        new = [documents.new_row(document) for document in doc_impls]
        with self._explained(), self._session.writing():
            now = self._catalog.existing(self.name)
            self._session.write_many(now.insert, [row + _indexed(now, content) for row, content in new])
        return [DocumentImpl(None, row[0], row[1]) for row, _ in new] if return_docs else None

    def replace_one(self, op: Any, document: DocumentImpl, return_doc: bool) -> DocumentImpl | bool:
        """Replaces the document with the operation's key (and version); whether there was one."""
        request = Request.of(op)
        if not request.has_one_key or request.filtered:
            raise ora(40734, "call key(), and at most version() beside it")
        (key,) = request.keys
        content = documents.without_id(documents.json_object(document), key)
        written = DocumentImpl(None, key, documents.new_version())
        with self._explained(), self._session.writing():
            now = self._catalog.existing(self.name)
            sql, params = now.replace, (written.version, values.encode(content), *_indexed(now, content), key)
            if request.version is not None:
                sql, params = f"{sql} AND version = ?", (*params, request.version)
            found = bool(self._session.write(sql, params))
        if return_doc:
            return written if found else DocumentImpl()
        return found

    def remove(self, op: Any) -> int:
        """Removes all documents that the operation selects; how many there were."""
        with self._selection(Request.of(op)) as found:
            return self._session.write(f"DELETE FROM {self._table}{found.where}", found.params)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Names the index of a duplicate; says so where a write failed because the collection was dropped."""
        try:
            yield
        except oracledb.IntegrityError as error:
            raise ora(1, self._duplicate(str(error))) from None
        except oracledb.OperationalError:
            self._catalog.existing(self.name)
            raise

    def _duplicate(self, text: str) -> str:
        for index in self._catalog.existing(self.name).indexes:
            marks = [f"'{index.name}:unique'", *(f".{item.field.column}" for item in index.fields)]
            if index.unique and any(mark in text for mark in marks):
                return f"unique index {index.name} of {self.name}"
        return f"key of {self.name}"

    # ---- reading ----

    def get_count(self, op: Any) -> int:
        """The number of documents that the operation selects; ORA-40748 with skip or limit."""
        request = Request.of(op)
        if request.skip is not None or request.limit is not None:
            raise ora(40748, "leave out skip() and limit()")
        with self._selection(request) as found:
            ((number,),) = self._session.read(
                f"SELECT count(*) FROM {self._table}{found.where}", found.params
            )
            return int(number)

    def get_one(self, op: Any) -> DocumentImpl | None:
        """The first document that the operation selects, or None."""
        found = self._select(replace(Request.of(op), limit=1))
        return documents.from_row(found[0]) if found else None

    def get_cursor(self, op: Any) -> CursorImpl:
        """The documents that the operation selects."""
        return CursorImpl(self._select(Request.of(op)))

    def explain(self, op: Any) -> list[str]:
        """SQLite's plan for the documents that the operation selects."""
        with self._selection(Request.of(op)) as found:
            rows = self._session.query(f"EXPLAIN QUERY PLAN {self._statement(found)}", found.params)
            return [str(row[3]) for row in rows]

    def _select(self, request: Request) -> list[Row]:
        if request.lock and not self._session.autocommit:
            self._session.begin()
        with self._selection(request) as found:
            sql, params = self._statement(found), found.params
            if request.limit is not None or request.skip:
                sql, params = f"{sql} LIMIT ? OFFSET ?", (*params, request.limit or -1, request.skip or 0)
            return self._session.read(sql, params)

    def _statement(self, found: Selection) -> str:
        return f"SELECT {COLUMNS} FROM {self._table}{found.where}{found.orderby}"

    @contextmanager
    def _selection(self, request: Request) -> Iterator[Selection]:
        """What selects the documents of an operation, valid within the block."""
        collection = self._catalog.existing(self.name)
        plan = planning.plan(collection, request.query.conditions, request.query.orderby)
        parts: list[str] = []
        params: list[SqlValue] = []
        if request.keys:
            by_key = planning.in_clause("key", request.keys)
            parts, params = [by_key.sql], [*by_key.params]
        if request.version is not None:
            parts, params = [*parts, "version = ?"], [*params, request.version]
        if plan.where:
            parts, params = [*parts, plan.where], [*params, *plan.params]
        orderby = f" ORDER BY {plan.orderby}" if plan.orderby else ""
        with self._session.matcher(plan.residual) as number:
            if number is not None:
                parts, params = [*parts, "soda_match(body, ?)"], [*params, number]
            yield Selection(f" WHERE {' AND '.join(parts)}" if parts else "", tuple(params), orderby)


def _indexed(collection: Collection, content: dict[str, Any]) -> tuple[str | bytes | None, ...]:
    """What the columns of indexed fields hold for a document."""
    return tuple(index_value(content, field) for field in collection.fields)
