"""Connections to a database file, with the part of python-oracledb's connection that SODA needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote

import oracledb
from oracledb import errors as driver

from .catalog import Catalog
from .database import DatabaseImpl
from .errors import dpy, missing, ora
from .round_trips import RoundTrips
from .session import Session

SCHEME = "sqlite:"
TIME = "select sys_extract_utc(systimestamp) from dual"
BUSY_TIMEOUT = 5.0  # seconds that a write waits for another process's transaction


@dataclass(frozen=True)
class Target:
    """Which file a DSN names, whether it may be created, and what a round trip to it costs."""

    path: Path
    create: bool
    trips: RoundTrips


def parse_dsn(dsn: str) -> Target:
    """The file of `sqlite:/abs/file.db`, `sqlite:relative.db` or a plain path, and the DSN's options.

    `?mode=rw` never creates the file; `round_trip_ms=5` puts so many milliseconds into each round trip,
    `round_trips=FILE` counts them in a file, and while there is a file `hanging=FILE` none comes back (see
    `round_trips`).
    """
    path, _, options = dsn.removeprefix(SCHEME).partition("?") if dsn.startswith(SCHEME) else (dsn, "", "")
    given = {name: found[-1] for name, found in parse_qs(options, keep_blank_values=True).items()}
    mode, log, hanging = given.pop("mode", "rwc"), given.pop("round_trips", ""), given.pop("hanging", "")
    try:
        seconds = float(given.pop("round_trip_ms", "0")) / 1000
    except ValueError:
        seconds = -1.0
    if given or mode not in ("rw", "rwc") or not path or not 0 <= seconds < math.inf:
        options = "mode=rw if it must be there already, round_trip_ms=MS, round_trips=FILE, hanging=FILE"
        raise ora(12154, f"{dsn!r}: write sqlite:/path/to/file.db; after a ? there may be {options}")
    trips = RoundTrips(seconds, Path(log) if log else None, Path(hanging) if hanging else None)
    return Target(Path(unquote(path) if dsn.startswith(SCHEME) else path), mode == "rwc", trips)


class Cursor:
    """A cursor that tells the time in UTC, as `sys_extract_utc(systimestamp)` does."""

    def __init__(self, trips: RoundTrips) -> None:
        self._trips = trips

    def execute(self, statement: str) -> Self:
        """Makes a round trip."""
        if statement != TIME:
            raise missing("SQL other than " + TIME)
        self._trips.make("execute")
        return self

    def fetchone(self) -> tuple[datetime]:
        """The only row."""
        return (datetime.now(UTC).replace(tzinfo=None),)


class Connection:
    """A connection; one thread at a time may use it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog: Catalog | None = catalog

    @property
    def catalog(self) -> Catalog:
        """The collections; DPY-1001 once the connection is closed."""
        if self._catalog is None:
            raise dpy(driver.ERR_NOT_CONNECTED)
        return self._catalog

    @property
    def session(self) -> Session:
        """The SQLite connection; DPY-1001 once this connection is closed."""
        return self.catalog.session

    @property
    def autocommit(self) -> bool:
        """Whether every operation commits."""
        return self.session.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.session.autocommit = bool(value)

    @property
    def call_timeout(self) -> int:
        """Milliseconds after which a round trip to a database that hangs fails; 0: never."""
        return self.session.trips.call_timeout

    @call_timeout.setter
    def call_timeout(self, value: int) -> None:
        self.session.trips.call_timeout = value

    def is_healthy(self) -> bool:
        """Whether the file is there as it was when it was opened."""
        try:
            self.session.check_file()
        except oracledb.Error:
            return False
        return True

    def ping(self) -> None:
        """Makes a round trip."""
        self.session.check_file()
        self.session.trips.make("ping")

    def cursor(self) -> Cursor:
        """A cursor for the only SQL that is used beside SODA: the question what time it is."""
        return Cursor(self.session.trips)

    def getSodaDatabase(self) -> oracledb.SodaDatabase:  # noqa: N802 - the driver's name
        """The SODA interface of this connection."""
        make: Any = oracledb.SodaDatabase._from_impl  # noqa: SLF001 - the driver offers no other way
        database: oracledb.SodaDatabase = make(self, DatabaseImpl(self))
        return database

    def commit(self) -> None:
        """Makes the changes durable."""
        self.session.commit()
        self.session.trips.make("commit")

    def rollback(self) -> None:
        """Undoes the changes since the last commit."""
        if self.session.rollback():
            self.catalog.forget()
        self.session.trips.make("rollback")

    def close(self) -> None:
        """Rolls back and closes."""
        catalog, self._catalog = self.catalog, None
        catalog.session.close()

    def __enter__(self) -> Self:
        self.session.check_file()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._catalog is not None:
            self.close()


def connect(path: str | Path, *, timeout: float = BUSY_TIMEOUT) -> Connection:
    """Opens the database file at `path` (or of a `sqlite:` DSN) and creates it if it is missing.

    A write waits `timeout` seconds for another process's transaction, then ORA-00054 is raised.
    """
    target = parse_dsn(str(path))
    target.trips.make("connect", 2)
    return Connection(
        Catalog(Session(target.path, create=target.create, timeout=timeout, trips=target.trips))
    )
