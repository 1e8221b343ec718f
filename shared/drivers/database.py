"""The database: collections that are made when they are missing, used alone or together in a transaction."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import oracledb

from shared.drivers import oracle
from shared.drivers.clock import CLOCK
from shared.drivers.connections import Connections, Opened
from shared.drivers.oracle import Taken
from shared.model.errors import Misconfigured

__all__ = ["CollectionSpec", "Database", "Taken"]

_CONNECTIONS = 4
_SECONDS = 8.0  # for one use of the database: a caller gets its answer within ten
_REFUSED_SECONDS = 30.0  # for which a refused password is not tried again, since that would lock the user
_INDEX_MILLISECONDS = 240_000  # to make an index that a new version needs of all the records that there are
_ALREADY_THERE = ("ORA-00955", "ORA-40733")  # somebody else created the table or index in the same moment


@dataclass(frozen=True)
class CollectionSpec:
    """A SODA collection and the indexes it must have (SODA index specifications)."""

    name: str
    indexes: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Transaction:
    """Collections whose operations are committed together, at the end or with the last of them."""

    connection: Any
    collections: list[Any]

    def commit_with_next(self) -> None:
        """Commit with the next operation, if it succeeds: that is one round trip instead of two.

        [python-oracledb, "SODA": with autocommit, an operation that succeeds commits the transaction]
        """
        self.connection.autocommit = True


class Database:
    """One schema of a database, with a few connections that are opened on first use; threads share it."""

    def __init__(
        self,
        dsn: str,
        user: str,
        password: Callable[[], str],
        connections: int = _CONNECTIONS,
        seconds: float = _SECONDS,
    ):
        """`password` reads the newest password; `seconds` bound each use, connecting included."""
        self._dsn = dsn
        self._user = user
        self._password = _Password(password)
        self._connections = Connections(self._connect, connections, seconds)
        self._prepared: set[str] = set()

    @contextmanager
    def collection(self, spec: CollectionSpec) -> Iterator[Any]:
        """Give the collection, created with its indexes if it is missing; each operation is committed.

        Raises DependencyDown if the database can't be reached or doesn't answer, Misconfigured if only the
        operator can heal that, Taken if a unique index refused a document.
        """
        with self._opened((spec,), autocommit=True) as transaction:
            yield transaction.collections[0]

    @contextmanager
    def transaction(self, *specs: CollectionSpec) -> Iterator["Transaction"]:
        """Give collections whose operations are committed together or not at all; raises the same errors."""
        with self._opened(specs, autocommit=False) as transaction:
            yield transaction

    @contextmanager
    def _opened(self, specs: tuple[CollectionSpec, ...], *, autocommit: bool) -> Iterator["Transaction"]:
        try:
            with self._connections.use() as opened:
                opened.connection.autocommit = True
                collections = [self._collection(opened, spec) for spec in specs]
                opened.connection.autocommit = autocommit
                transaction = Transaction(opened.connection, collections)
                yield transaction
                if not opened.connection.autocommit:
                    opened.connection.commit()
        except oracledb.Error as error:
            raise oracle.translated(error) from None

    def _collection(self, opened: Opened, spec: CollectionSpec) -> Any:
        collection = opened.collections.get(spec.name)
        if collection is None:
            soda = opened.connection.getSodaDatabase()
            collection = soda.openCollection(spec.name)
            if collection is None or spec.name not in self._prepared:
                collection = _created(opened.connection, soda, spec)
                self._prepared.add(spec.name)
            opened.collections[spec.name] = collection
        return collection

    def _connect(self) -> Any:
        if oracle.is_file(self._dsn):
            return oracle.connect(self._dsn, "", "")
        while True:
            password = self._password.current()
            try:
                return oracle.connect(self._dsn, self._user, password)
            except oracledb.Error as error:
                if oracle.code(error) not in oracle.OTHER_PASSWORD:
                    raise
                self._password.refused(password, error)

    def now(self) -> datetime:
        """Return the database's time; raises what `collection` does if it was never measured and can't be."""
        if CLOCK.is_stale:
            try:
                with self._connections.use():
                    pass
            except oracledb.Error as error:
                raise oracle.translated(error) from None
        return CLOCK.now()

    def run_as(
        self, user: str, password: Callable[[], str], block: str, binds: Callable[[], dict[str, str]]
    ) -> None:
        """Run a PL/SQL block as another user, on a connection of its own.

        Raises Misconfigured if the password is wrong, DependencyDown if anything else fails. A database in a
        file has no users: nothing is run there.
        """
        if oracle.is_file(self._dsn):
            return
        try:
            with oracle.connect(self._dsn, user, password()) as connection:
                connection.call_timeout = int(_SECONDS * 1000)
                connection.cursor().execute(block, binds())
        except oracledb.Error as error:
            if oracle.code(error) in oracle.OTHER_PASSWORD:  # to try again would lock the user
                raise Misconfigured(f"The database refused the password of {user}.") from None
            raise oracle.translated(error) from None

    def close(self) -> None:
        """Close every connection; the next use opens new ones with the current password."""
        self._password.forget()
        self._connections.close()


class _Password:
    """A password as it was last read; read anew once the database has refused it."""

    def __init__(self, read: Callable[[], str]):
        self._read = read
        self._known: str | None = None
        self._refusal: oracledb.Error | None = None
        self._refused_until = 0.0
        self._lock = threading.Lock()

    def current(self) -> str:
        """Return the password; raises the database's refusal again if it is too early for another try."""
        with self._lock:
            if self._refusal is not None and time.monotonic() < self._refused_until:
                raise self._refusal
            self._refusal = None
            if self._known is None:
                self._known = self._read()
            return self._known

    def refused(self, password: str, refusal: oracledb.Error) -> None:
        """Read it anew, since the database has refused it; raises the refusal if there is no other."""
        with self._lock:
            if self._known == password:
                self._known = self._read()
            if self._known == password:
                self._known = None
                self._refusal, self._refused_until = refusal, time.monotonic() + _REFUSED_SECONDS
                raise refusal

    def forget(self) -> None:
        """Read it anew when it is next needed."""
        with self._lock:
            self._known = self._refusal = None


def _created(connection: Any, soda: Any, spec: CollectionSpec) -> Any:
    collection = _unless_there(soda.createCollection, spec.name) or soda.openCollection(spec.name)
    there = {index["name"].upper() for index in collection.listIndexes()}
    for index in spec.indexes:
        if index["name"].upper() not in there:
            usual, connection.call_timeout = connection.call_timeout, _INDEX_MILLISECONDS
            _unless_there(collection.createIndex, index)
            connection.call_timeout = usual
    return collection


def _unless_there(create: Callable[[Any], Any], what: Any) -> Any:
    try:
        return create(what)
    except oracledb.Error as error:
        if oracle.code(error) not in _ALREADY_THERE:
            raise
        return None
