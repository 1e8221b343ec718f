"""Connections to the database: a lazy pool of the driver that the DSN names; its errors are known only here.

An Oracle DSN goes to python-oracledb in Thick mode, which SODA needs; a DSN with the scheme `sqlite:` goes to
SODA on SQLite, which offers the same objects.
"""

import importlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import oracledb

from shared.model.errors import DependencyDown, Misconfigured

log = logging.getLogger(__name__)

_POOL_SIZE = 4
_ACQUIRE_TIMEOUT_MS = 10_000
_CALL_TIMEOUT_MS = 30_000  # a round trip that takes longer means that the database is gone
_PING_AFTER_SECONDS = 5  # idle connections are pinged before use; a paused container's may be dead
_ALREADY_THERE = ("ORA-00955", "ORA-40733")  # somebody else created the table or index in the same moment
# The password is another one, and after tries with the old one the user is locked, or it has run out.
_OTHER_PASSWORD = ("ORA-01017", "ORA-28000", "ORA-28001")
_NO_INSTANT_CLIENT = "DPI-1047"


class Taken(Exception):
    """A unique index already holds this value."""


@dataclass(frozen=True)
class CollectionSpec:
    """A SODA collection and the indexes it must have (SODA index specifications)."""

    name: str
    indexes: tuple[dict[str, Any], ...]


class Database:
    """A pool of a few connections, opened on first use and usable from several threads."""

    def __init__(self, dsn: str, user: str, password: Callable[[], str], connections: int = _POOL_SIZE):
        self._dsn = dsn
        self._user = user
        self._password = password
        self._connections = connections
        self._pool: Any = None
        self._prepared: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def collection(self, spec: CollectionSpec) -> Iterator[Any]:
        """Give the collection, created with its indexes if it is missing; each operation is committed.

        Raises DependencyDown if the database can't be reached or doesn't answer, Taken if a unique index
        refused a document.
        """
        with self._connected((spec,), autocommit=True) as collections:
            yield collections[0]

    @contextmanager
    def transaction(self, *specs: CollectionSpec) -> Iterator[Any]:
        """Give collections whose operations are committed together or not at all; raises the same errors."""
        with self._connected(specs, autocommit=False) as collections:
            yield collections

    @contextmanager
    def _connected(self, specs: tuple[CollectionSpec, ...], *, autocommit: bool) -> Iterator[list[Any]]:
        try:
            with self._opened_pool().acquire() as connection:
                connection.autocommit = True
                collections = [self._opened(connection, spec) for spec in specs]
                connection.autocommit = autocommit
                yield collections
                if not autocommit:
                    connection.commit()
        except oracledb.Error as error:
            if _code(error) in _OTHER_PASSWORD:
                with self._lock:
                    self._pool = None  # the next reads it anew; others may still use these connections
            raise _translated(error) from None

    def run_as(
        self, user: str, password: Callable[[], str], block: str, binds: Callable[[], dict[str, str]]
    ) -> None:
        """Run a PL/SQL block as another user, on a connection of its own.

        Raises Misconfigured if the password is wrong, DependencyDown if anything else fails. A database in a
        file has no users: nothing is run there.
        """
        if self._is_file:
            return
        _use_thick_mode()
        try:
            with oracledb.connect(dsn=self._dsn, user=user, password=password()) as connection:
                _bound_calls(connection, "")
                connection.cursor().execute(block, binds())
        except oracledb.Error as error:
            if _code(error) in _OTHER_PASSWORD:  # to try again would lock the user
                raise Misconfigured(f"The database refused the password of {user}.") from None
            raise _translated(error) from None

    @property
    def _is_file(self) -> bool:
        return self._dsn.startswith("sqlite:")

    def close(self) -> None:
        """Close every connection; the next use opens new ones with the current password."""
        with self._lock:
            if self._pool is not None:
                self._pool.close(force=True)
                self._pool = None

    def _opened_pool(self) -> Any:
        with self._lock:
            if self._pool is None:
                self._pool = self._create_pool()
            return self._pool

    def _create_pool(self) -> Any:
        sizes = {"min": 0, "max": self._connections, "increment": 1, "wait_timeout": _ACQUIRE_TIMEOUT_MS}
        if self._is_file:
            return importlib.import_module("local.emulators.soda").create_pool(self._dsn, **sizes)
        _use_thick_mode()
        return oracledb.create_pool(
            dsn=self._dsn,
            user=self._user,
            password=self._password(),
            getmode=oracledb.POOL_GETMODE_TIMEDWAIT,
            ping_interval=_PING_AFTER_SECONDS,
            soda_metadata_cache=True,  # opening a collection costs no round trip
            session_callback=_bound_calls,
            **sizes,
        )

    def _opened(self, connection: Any, spec: CollectionSpec) -> Any:
        soda = connection.getSodaDatabase()
        collection = soda.openCollection(spec.name)
        if collection is None or spec.name not in self._prepared:
            collection = _created(soda, spec)
            self._prepared.add(spec.name)
        return collection


def _created(soda: Any, spec: CollectionSpec) -> Any:
    collection = _unless_there(soda.createCollection, spec.name) or soda.openCollection(spec.name)
    there = {index["name"].upper() for index in collection.listIndexes()}
    for index in spec.indexes:
        if index["name"].upper() not in there:
            _unless_there(collection.createIndex, index)
    return collection


def _unless_there(create: Callable[[Any], Any], what: Any) -> Any:
    try:
        return create(what)
    except oracledb.Error as error:
        if _code(error) not in _ALREADY_THERE:
            raise
        return None


def _use_thick_mode() -> None:
    try:
        oracledb.init_oracle_client()
    except oracledb.Error as error:
        if _code(error) != _NO_INSTANT_CLIENT:
            raise
        raise Misconfigured(
            "Oracle Instant Client is missing from this machine or image, and SODA needs it: install it where"
            " the system's linker finds it (ldconfig), or use the project's container image."
        ) from None


def _bound_calls(connection: Any, _tag: str) -> None:
    connection.call_timeout = _CALL_TIMEOUT_MS


def _code(error: Exception) -> str:
    detail = error.args[0] if error.args else None
    return str(getattr(detail, "full_code", "") or "")


def _translated(error: Exception) -> Exception:
    """Turn a driver's error into ours; one that only a defect of this code can cause stays as it is."""
    code = _code(error)
    if isinstance(error, oracledb.IntegrityError):  # whose code is not documented among many documents
        return Taken()
    if code.startswith("ORA-40"):  # SODA's own complaints: about a filter, a document, a name
        return error
    log.warning("the database is unavailable: %s", code or type(error).__name__)
    return DependencyDown("The database is unavailable; nothing was changed. Repeat the request later.")
