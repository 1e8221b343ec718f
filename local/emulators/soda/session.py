"""One connection to the SQLite file: statements, transactions, and the SQL functions that read JSON.

Writes begin with BEGIN IMMEDIATE, or are one statement, so that a write never starts from an old snapshot;
reads outside a transaction see what is committed at that moment and hold nothing open afterwards.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import oracledb

from .errors import dpy, from_os, from_sqlite, ora
from .indexes import field_of, index_value
from .json_types import decode
from .matching import Matcher, compile_condition
from .qbe import Condition
from .round_trips import RoundTrips

SqlValue = str | bytes | int | float | None
Row = tuple[Any, ...]

_STATEMENTS = 512  # prepared statements kept per connection
_RETRY_SECONDS = 0.02


class Session:
    """A SQLite connection whose errors are Oracle's, with the transaction rules of a python-oracledb
    connection."""

    def __init__(self, path: Path, *, create: bool, timeout: float, trips: RoundTrips) -> None:
        self.path = path
        self.trips = trips
        self.autocommit = False
        self._matchers: dict[int, Matcher] = {}
        self._last_matcher = 0
        self._last: tuple[str, Any] = ("", None)
        self._raised: Exception | None = None
        self._db: sqlite3.Connection | None = None
        with self._translated():
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
                uri=True,
                timeout=timeout,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=_STATEMENTS,
            )
            self._configure(self._db, timeout)
        self._identity = self._file_identity()

    def _configure(self, db: sqlite3.Connection, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:  # SQLite does not wait for the lock by itself while it changes the journal mode
            try:
                db.execute("PRAGMA journal_mode = WAL").fetchall()
                break
            except sqlite3.OperationalError as error:
                if (
                    getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_BUSY
                    or time.monotonic() > deadline
                ):
                    raise
                time.sleep(_RETRY_SECONDS)
        db.execute("PRAGMA synchronous = FULL")
        db.create_function("soda_field", 2, self._sql_field, deterministic=True)
        db.create_function("soda_match", 2, self._sql_match)

    # ---- the file ----

    def _file_identity(self) -> tuple[int, int]:
        # The file is never opened here: closing it again would drop the locks that SQLite has on it (POSIX).
        try:
            status = self.path.stat()
        except OSError as error:
            raise from_os(error, str(self.path)) from None
        if not os.access(self.path, os.R_OK):
            raise ora(1034, f"{self.path} cannot be read")
        return status.st_dev, status.st_ino

    def check_file(self) -> None:
        """Raises ORA-01034 if the file is gone, unreadable, or another one than this session has open."""
        if self._file_identity() != self._identity:
            raise ora(1034, f"{self.path} was replaced by another file")

    @property
    def is_open(self) -> bool:
        """Whether `close` has not been called."""
        return self._db is not None

    def close(self) -> None:
        """Rolls back what is not committed and closes the file."""
        if self._db is not None:
            with self._translated():
                self._db.close()
            self._db = None

    # ---- statements ----

    def query(self, sql: str, params: Sequence[SqlValue] = ()) -> list[Row]:
        """All rows of a SELECT."""
        with self._translated() as db:
            return db.execute(sql, params).fetchall()

    def read(self, sql: str, params: Sequence[SqlValue] = ()) -> list[Row]:
        """As `query`, for an operation of a caller: with autocommit it also commits what was pending."""
        rows = self.query(sql, params)
        self._finish()
        return rows

    def stream(self, sql: str, params: Sequence[SqlValue] = ()) -> Generator[Row, None, None]:
        """As `read`, row by row, as they were when it began."""
        with self._translated() as db:
            rows = db.execute(sql, params)
            self._finish()
            try:
                yield from rows
            finally:
                rows.close()

    def write(self, sql: str, params: Sequence[SqlValue] = ()) -> int:
        """Runs one INSERT, UPDATE or DELETE and returns the number of rows it touched."""
        with self.writing(), self._translated() as db:
            return db.execute(sql, params).rowcount

    def write_many(self, sql: str, rows: Iterable[Sequence[SqlValue]]) -> None:
        """Runs one statement for each of `rows`; if one fails, those before it stay, uncommitted."""
        self.begin()
        with self._translated() as db:
            db.executemany(sql, rows)
        self._finish()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the write lock: what the block reads stays true until it has written. With autocommit it ends
        with a commit, or if it raises with a rollback of what it began."""
        was_open = self.in_transaction
        self.begin()
        try:
            yield
        except BaseException:
            if self.autocommit and not was_open:
                self.rollback()
            raise
        self._finish()

    @contextmanager
    def atomic(self, *, commit: bool) -> Iterator[None]:
        """All statements within take effect, or none; may commit at the end if no transaction was open
        before."""
        was_open = self.in_transaction
        self.begin()
        self.query("SAVEPOINT soda")
        try:
            yield
        except BaseException:
            if self.in_transaction:
                self.query("ROLLBACK TO soda")
                if not was_open:
                    self.rollback()
            raise
        self.query("RELEASE soda")
        if commit and not was_open:
            self.commit()

    # ---- transactions ----

    @property
    def in_transaction(self) -> bool:
        """Whether there is a transaction, and with it the write lock."""
        return self._db is not None and self._db.in_transaction

    def begin(self) -> None:
        """Begins a transaction that holds the write lock, if there is none."""
        if not self.in_transaction:
            self.check_file()
            self.query("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Makes the changes durable."""
        if self.in_transaction:
            self.check_file()
            self.query("COMMIT")

    def rollback(self) -> bool:
        """Undoes the changes since the last commit; whether there could be any."""
        if not self.in_transaction:
            return False
        self.query("ROLLBACK")
        return True

    def _finish(self) -> None:
        if self.autocommit and self.in_transaction:
            self.commit()

    # ---- SQL functions ----

    @contextmanager
    def matcher(self, condition: Condition | None) -> Iterator[int | None]:
        """A number by which `soda_match` finds the condition within the block; None if there is none."""
        if condition is None:
            yield None
            return
        self._last_matcher += 1
        number = self._last_matcher
        self._matchers[number] = compile_condition(condition)
        try:
            yield number
        finally:
            del self._matchers[number]

    def _document(self, body: str) -> Any:
        if self._last[0] != body:
            self._last = (body, decode(body))
        return self._last[1]

    def _sql_field(self, body: str, spec: str) -> SqlValue:
        """SQL function: a field's value in the form in which an index holds it."""
        try:
            return index_value(self._document(body), field_of(spec))
        except Exception as error:
            self._raised = error
            raise

    def _sql_match(self, body: str, number: int) -> bool:
        """SQL function: whether a document fulfils the registered condition."""
        try:
            return self._matchers[number](self._document(body))
        except Exception as error:
            self._raised = error
            raise

    @contextmanager
    def _translated(self) -> Iterator[sqlite3.Connection]:
        """The SQLite connection; what goes wrong with it leaves as an exception of python-oracledb."""
        if self._db is None and hasattr(self, "_identity"):
            raise dpy(oracledb.errors.ERR_NOT_CONNECTED)
        self._raised = None
        try:
            yield self._db  # type: ignore[misc]  # None only while the constructor opens it, which ignores it
        except sqlite3.Error as error:
            if self._raised is not None:
                raise self._raised from None
            raise from_sqlite(error, str(self.path)) from None
