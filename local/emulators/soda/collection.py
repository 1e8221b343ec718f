"""The implementation object of a `SodaCollection`: its operations as SQL on its table."""
# ruff: noqa: S608 - only the quoted table name and clauses of `planning` are put into SQL

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import oracledb

from . import documents, planning, qbe
from .catalog import Catalog, Collection, Link
from .documents import COLUMNS, DocumentImpl, Row
from .errors import dpi, in_bulk, missing, ora
from .indexes import index_value
from .operations import CursorImpl, Request
from .session import Session, SqlValue
from .tracing import trace


@dataclass(frozen=True)
class Selection:
    """What of a statement selects documents: FROM and WHERE, the parameters, and ORDER BY."""

    source: str
    params: tuple[SqlValue, ...]
    orderby: str


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
        """Drops the collection; ORA-40626 if the transaction has uncommitted changes."""
        self._refuse_in_transaction()
        self._session.trips.make("drop")
        return self._catalog.drop(self.name)

    def truncate(self) -> None:
        """Removes all documents at once and commits, as TRUNCATE TABLE does."""
        self._session.trips.make("truncate")
        self._catalog.existing(self.name)
        self._session.write(f"DELETE FROM {self._table}")
        self._session.commit()

    def create_index(self, spec: str) -> None:
        """Creates an index."""
        self._refuse_in_transaction()
        self._session.trips.make("createIndex")
        self._catalog.create_index(self.name, spec)

    def list_indexes(self) -> list[str]:
        """The specifications of all indexes, as JSON text."""
        self._session.trips.make("listIndexes")
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
        self._session.trips.make("insertOne")
        with self._explained(), self._session.writing():
            now = self._catalog.existing(self.name)
            self._session.write(now.insert, row + _indexed(now, content))
        return DocumentImpl(None, row[0], row[1]) if return_doc else None

    def insert_many(
        self, doc_impls: list[DocumentImpl], hint: str | None, return_docs: bool
    ) -> list[DocumentImpl] | None:
        """Inserts documents in their order; a hint has nothing to say here.

        Where one is refused, those before it are inserted and wait for a commit, also with autocommit: so it
        may be with Oracle (python-oracledb calls bulk inserts a preview), whose code for a duplicate among
        many is not documented: ORA-24381 stands for whatever it is.
        """
        if not doc_impls:
            raise dpi(1031, "unable to insert an empty list of documents")
        self._session.trips.make("insertMany")
        inserted: list[DocumentImpl] = []

        def rows() -> Iterator[tuple[SqlValue, ...]]:
            for document in doc_impls:
                row, content = documents.new_row(document)
                yield row + _indexed(now, content)
                inserted.append(DocumentImpl(None, row[0], row[1]))

        with self._explained(bulk=True):
            self._session.begin()
            now = self._catalog.existing(self.name)
            self._session.write_many(now.insert, rows())
        return inserted if return_docs else None

    def replace_one(self, op: Any, document: DocumentImpl, return_doc: bool) -> DocumentImpl | bool:
        """Replaces the document with the operation's key (and version); whether there was one."""
        request = Request.of(op)
        if not request.has_one_key or request.filter is not None:
            raise ora(40734, "call key(), and at most version() beside it")
        (key,) = request.keys
        content = documents.without_id(documents.json_object(document), key)
        text = documents.body(document, content)
        written = DocumentImpl(None, key, documents.new_version())
        self._session.trips.make("replaceOne")
        with self._explained(), self._session.writing():
            now = self._catalog.existing(self.name)
            sql, params = (
                now.replace,
                (written.version, text, *_indexed(now, content), key),
            )
            if request.version is not None:
                sql, params = f"{sql} AND version = ?", (*params, request.version)
            found = bool(self._session.write(sql, params))
        if return_doc:
            return written if found else DocumentImpl()
        return found

    def remove(self, op: Any) -> int:
        """Removes all documents that the operation selects; how many there were."""
        with self._asked("remove", op, Request.of(op)) as found:
            return self._session.write(f"DELETE {found.source}", found.params)

    @contextmanager
    def _explained(self, *, bulk: bool = False) -> Iterator[None]:
        """Names the index of a duplicate; says so if a write failed because the collection was dropped."""
        try:
            yield
        except oracledb.IntegrityError as error:
            found = self._duplicate(str(error))
            raise (in_bulk(found) if bulk else ora(1, found)) from None
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
            raise ora(40748, "omit skip() and limit()")
        with self._asked("count", op, request) as found:
            ((number,),) = self._session.read(f"SELECT count(*) {found.source}", found.params)
            return int(number)

    def get_one(self, op: Any) -> DocumentImpl | None:
        """The first document that the operation selects, or None."""
        found = list(self._rows("getOne", op, replace(Request.of(op), limit=1)))
        return documents.from_row(found[0]) if found else None

    def get_cursor(self, op: Any) -> CursorImpl:
        """The documents that the operation selects."""
        request = Request.of(op)
        return CursorImpl(self._rows("getCursor", op, request), request.array_size, self._session.trips)

    def explain(self, op: Any) -> list[str]:
        """SQLite's plan for the documents that the operation selects."""
        with self._selection(Request.of(op)) as found:
            return self._plan(found)

    def _plan(self, found: Selection) -> list[str]:
        rows = self._session.query(f"EXPLAIN QUERY PLAN {self._statement(found)}", found.params)
        return [str(row[3]) for row in rows]

    def _rows(self, operation: str, op: Any, request: Request) -> Generator[Row, None, None]:
        with self._asked(operation, op, request) as found:
            if request.lock and not self._session.autocommit:
                self._session.begin()
            sql, params = self._statement(found), found.params
            if request.limit is not None or request.skip:
                sql, params = f"{sql} LIMIT ? OFFSET ?", (*params, request.limit or -1, request.skip or 0)
            yield from self._session.stream(sql, params)

    @contextmanager
    def _asked(self, operation: str, op: Any, request: Request) -> Iterator[Selection]:
        """What selects the documents of an operation, which is traced and costs a round trip."""
        with self._selection(request) as found:
            trace(operation, self.name, op, lambda: self._plan(found))
            self._session.trips.make(operation)
            yield found

    def _statement(self, found: Selection) -> str:
        return f"SELECT {COLUMNS} {found.source}{found.orderby}"

    @contextmanager
    def _selection(self, request: Request) -> Iterator[Selection]:
        """What selects the documents of an operation, valid within the block."""
        collection = self._catalog.existing(self.name)
        query = qbe.Query() if request.filter is None else qbe.parse(request.filter)
        if request.keys:
            plan = planning.by_keys(request.keys, query)
        else:
            plan = planning.plan(collection.indexes, query)
        where, params = [*plan.where], [*plan.params]
        if request.version is not None:
            where, params = [*where, "version = ?"], [*params, request.version]
        with self._session.matcher(plan.residual) as number:
            if number is not None:
                where, params = [*where, "soda_match(body, ?)"], [*params, number]
            source = f"FROM {self._table} {plan.hint}{' WHERE ' if where else ''}{' AND '.join(where)}"
            yield Selection(source, tuple(params), f" ORDER BY {plan.orderby}" if plan.orderby else "")


def _indexed(collection: Collection, content: dict[str, Any]) -> tuple[str | bytes | None, ...]:
    """What the columns of indexed fields hold for a document."""
    return tuple(index_value(content, field) for field in collection.fields)
