"""A pool of connections to a database file, as `oracledb.create_pool` makes one."""

from __future__ import annotations

import threading
import time

import oracledb
from oracledb import errors as driver

from .catalog import Catalog
from .connection import BUSY_TIMEOUT, Connection, open_catalog, parse_dsn
from .errors import dpy


class Pool:
    """Hands out connections, at most `max` at once; any thread may call it."""

    def __init__(
        self, dsn: str, *, minimum: int, maximum: int, wait_timeout: float | None, timeout: float
    ) -> None:
        self._target = parse_dsn(dsn)
        self._maximum = maximum
        self._wait_timeout = wait_timeout
        self._timeout = timeout
        self._free: list[Catalog] = []
        self._busy = 0
        self._closed = False
        self._opened: set[str] = set()
        self._changed = threading.Condition()
        for _ in range(minimum):
            self._free.append(open_catalog(self._target, timeout))

    @property
    def opened(self) -> int:
        """How many connections are open."""
        return len(self._free) + self._busy

    @property
    def busy(self) -> int:
        """How many of them are in use."""
        return self._busy

    def acquire(self) -> Connection:
        """A connection that has the file open as it is now.

        Stale ones are dropped: if the file was removed or replaced, a new connection is tried, and its
        failure is an `oracledb.OperationalError`.
        """
        self._reserve()
        try:
            catalog = self._healthy()
        except BaseException:
            self._release_place()
            raise
        return Connection(catalog, self._take_back, self._opened)

    def close(self, force: bool = False) -> None:
        """Closes the pool; DPY-1005 while connections are in use, unless forced."""
        with self._changed:
            if self._closed:
                raise dpy(driver.ERR_POOL_NOT_OPEN)
            if self._busy and not force:
                raise dpy(driver.ERR_POOL_HAS_BUSY_CONNECTIONS)
            self._closed = True
            free, self._free = self._free, []
            self._changed.notify_all()
        for catalog in free:
            catalog.session.close()

    def _reserve(self) -> None:
        """Waits for one of the places and takes it."""
        deadline = None if self._wait_timeout is None else time.monotonic() + self._wait_timeout
        with self._changed:
            while self._busy >= self._maximum and not self._closed:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise dpy(driver.ERR_POOL_NO_CONNECTION_AVAILABLE)
                self._changed.wait(left)
            if self._closed:
                raise dpy(driver.ERR_POOL_NOT_OPEN)
            self._busy += 1

    def _release_place(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify()

    def _healthy(self) -> Catalog:
        while True:
            with self._changed:
                catalog = self._free.pop() if self._free else None
            if catalog is None:
                return open_catalog(self._target, self._timeout)
            try:
                catalog.session.check_file()
            except oracledb.OperationalError:
                catalog.session.close()
            else:
                return catalog

    def _take_back(self, catalog: Catalog) -> None:
        """Puts a connection back among the free ones, without a transaction; drops it if that fails."""
        try:
            if catalog.session.rollback():
                catalog.forget()
                catalog.session.trips.make("rollback")
            catalog.session.autocommit = False
        except oracledb.Error:
            catalog.session.close()
        with self._changed:
            if catalog.session.is_open and not self._closed:
                self._free.append(catalog)
            else:
                catalog.session.close()
            self._busy -= 1
            self._changed.notify()


def create_pool(
    dsn: str,
    *,
    min: int = 1,  # noqa: A002 - the driver's name
    max: int = 4,  # noqa: A002 - the driver's name
    increment: int = 1,
    wait_timeout: int = 0,
    busy_timeout: float = BUSY_TIMEOUT,
) -> Pool:
    """A pool for a `sqlite:` DSN, with the parameters of `oracledb.create_pool` that this project gives.

    A caller waits `wait_timeout` milliseconds for a connection, forever if that is 0; a write waits
    `busy_timeout` seconds for another process's transaction.
    """
    waits = wait_timeout / 1000 if wait_timeout else None
    return Pool(dsn, minimum=min, maximum=max, wait_timeout=waits, timeout=busy_timeout)
