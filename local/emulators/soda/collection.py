"""The implementation object of a `SodaCollection`: its operations as SQL on its table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import oracledb

from . import documents, planning, rows
from .catalog import Catalog, Collection, Link
from .data_guide import data_guide
from .documents import DocumentImpl
from .errors import dpi, ora
from .indexes import quoted
from .metadata import Metadata
from .request import Request
from .session import Row, Session, SqlValue
from .statements import Statements


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
        self._metadata: Metadata = collection.metadata
        self._sql = Statements(quoted(collection.table))
        self._link = link

    @property
    def _session(self) -> Session:
        return self._link.session

    @property
    def _catalog(self) -> Catalog:
        return self._link.catalog

    # ---- the collection itself ----

    def get_metadata(self) -> str:
        """The metadata as JSON text."""
        return self._metadata.document

    def drop(self) -> bool:
        """Drops the collection; ORA-40626 where the transaction has uncommitted changes."""
        self._refuse_in_transaction()
        return self._catalog.drop(self.name)

    def truncate(self) -> None:
        """Removes all documents at once and commits, as TRUNCATE TABLE does."""
        self._catalog.existing(self.name)
        self._session.write(self._sql.truncate)
        self._session.commit()

    def create_index(self, spec: str) -> None:
        """Creates an index."""
        self._refuse_in_transaction()
        self._catalog.create_index(self.name, spec)

    def drop_index(self, name: str, force: bool) -> bool:
        """Drops an index; False where there is none. There is nothing that would have to be forced."""
        if not isinstance(name, str):
            raise TypeError("expecting a string")
        return self._catalog.drop_index(self.name, name)

    def list_indexes(self) -> list[str]:
        """The specifications of all indexes, as JSON text."""
        return [json.dumps(index.spec) for index in self._catalog.existing(self.name).indexes]

    def get_data_guide(self) -> DocumentImpl | None:
        """The data guide, where a search index keeps one."""
        collection = self._catalog.existing(self.name)
        if not any(index.has_data_guide for index in collection.indexes):
            raise ora(40582, "create a search index with a data guide first")
        found = self._session.read(self._sql.select(""))
        return DocumentImpl(data_guide(documents.from_row(row).json() for row in found)) if found else None

    def _refuse_in_transaction(self) -> None:
        if self._session.in_transaction:
            raise ora(40626, f"commit or roll back first: {self.name}")

    # ---- writing ----

    def insert_one(self, document: DocumentImpl, hint: str | None, return_doc: bool) -> DocumentImpl | None:
        """Inserts a document; a hint has nothing to say here."""
        self._refuse_read_only()
        row, value = rows.new_row(document, self._metadata)
        with self._explained(), self._session.writing():
            now = self._catalog.existing(self.name)
            self._session.write(now.statements.insert, row + rows.index_values(now.indexed, value, row[2]))
        return rows.without_content(row) if return_doc else None

    def insert_many(
        self, doc_impls: list[DocumentImpl], hint: str | None, return_docs: bool
    ) -> list[DocumentImpl] | None:
        """Inserts all documents, or none where one fails; a hint has nothing to say here."""
        if not doc_impls:
            raise dpi(1031, "unable to insert an empty list of documents")
        self._refuse_read_only()
        new = [rows.new_row(document, self._metadata) for document in doc_impls]
        with self._explained(), self._session.writing():
            now = self._catalog.existing(self.name)
            given = [row + rows.index_values(now.indexed, value, row[2]) for row, value in new]
            self._session.write_many(now.statements.insert, given)
        return [rows.without_content(row) for row, _ in new] if return_docs else None

    def save(self, document: DocumentImpl, hint: str | None, return_doc: bool) -> DocumentImpl | None:
        """Inserts a document, or replaces the one with its key; not there for native collections."""
        self._refuse_read_only()
        if self._metadata.native:
            raise ora(3001, "save() is not there for native collections: use insertOne() or replaceOne()")
        replaced = None if document.key is None else self._replace(document.key, None, document)
        if replaced is None:
            return self.insert_one(document, hint, return_doc)
        return replaced if return_doc else None

    def replace_one(self, op: Any, document: DocumentImpl, return_doc: bool) -> DocumentImpl | bool:
        """Replaces the document with the operation's key (and version); whether there was one."""
        self._refuse_read_only()
        request = Request.of(op)
        if request.single_key is None or request.filtered:
            raise ora(40734, "call key(), and at most version() beside it")
        replaced = self._replace(request.single_key, request.version, document)
        if return_doc:
            return replaced or DocumentImpl()
        return replaced is not None

    def remove(self, op: Any) -> int:
        """Removes all documents that the operation selects; how many there were."""
        self._refuse_read_only()
        with self._selection(Request.of(op)) as found:
            return self._session.write(self._sql.delete(found.where), found.params)

    def _replace(self, given_key: str, version: str | None, document: DocumentImpl) -> DocumentImpl | None:
        key = self._stored_key(given_key)
        parts = rows.stored(document, self._metadata)
        new_version = documents.new_version()
        modified = None if self._metadata.native else documents.now()
        with self._explained(), self._session.writing():
            now = self._catalog.existing(self.name)
            indexed = rows.index_values(now.replaceable, parts.value, None)
            sql = now.statements.replace
            params = [new_version, parts.media, modified, parts.body, *indexed, key]
            for column, value in (("version", version), ("ident", parts.ident)):
                if value is not None:
                    sql, params = f"{sql} AND {column} = ?", [*params, value]
            if self._session.write(sql, params):
                return DocumentImpl(None, key, new_version, parts.media, None, modified)
        self._refuse_other_id(key, parts.ident)
        return None

    def _refuse_other_id(self, key: str, ident: SqlValue) -> None:
        """The reason why a document was not replaced may be that the content has another one's `_id`."""
        found = self._session.query(self._sql.ident, (key,)) if ident is not None else []
        if found and found[0][0] != ident:
            raise ora(
                40665, f"the content's _id is not that of the document with key {key}: leave it as it is"
            )

    def _stored_key(self, key: str) -> str:
        return documents.normalized_key(key) if self._metadata.native else key

    def _refuse_read_only(self) -> None:
        if self._metadata.read_only:
            raise ora(40663, f"{self.name} was created with readOnly")

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
            marks = [f"'{index.name}:unique'", *(f".{item.column}" for item in index.fields)]
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
            ((number,),) = self._session.read(self._sql.count(found.where), found.params)
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
            sql = f"EXPLAIN QUERY PLAN {self._sql.select(found.where, found.orderby)}"
            return [str(row[3]) for row in self._session.query(sql, found.params)]

    def _select(self, request: Request) -> list[Row]:
        if request.lock and not self._session.autocommit:
            self._session.begin()
        with self._selection(request) as found:
            sql, params = self._sql.select(found.where, found.orderby), found.params
            if request.limit is not None or request.skip:
                sql, params = f"{sql} LIMIT ? OFFSET ?", (*params, request.limit or -1, request.skip or 0)
            return self._session.read(sql, params)

    @contextmanager
    def _selection(self, request: Request) -> Iterator[Selection]:
        """What selects the documents of an operation, valid within the block."""
        collection = self._catalog.existing(self.name)
        if request.filtered and self._metadata.has_media_type:
            raise ora(40676, "a collection with a media type column cannot be filtered")
        plan = planning.plan(collection, request.query.conditions, request.query.orderby)
        parts: list[str] = []
        params: list[SqlValue] = []
        if request.keys:
            by_key = planning.in_clause("key", [self._stored_key(key) for key in request.keys])
            parts, params = [by_key.sql], [*by_key.params]
        if request.version is not None:
            parts, params = [*parts, "version = ?"], [*params, request.version]
        if plan.where:
            parts, params = [*parts, plan.where], [*params, *plan.params]
        orderby = f" ORDER BY {plan.orderby}" if plan.orderby else ""
        with self._session.matcher(plan.residual) as number:
            if number is not None:
                parts, params = [*parts, "soda_match(body, ident, ?)"], [*params, number]
            yield Selection(f" WHERE {' AND '.join(parts)}" if parts else "", tuple(params), orderby)
