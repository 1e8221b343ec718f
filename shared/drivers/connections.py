"""A pool of connections to the database, each with the collections that it has opened.

Other than the driver's own pool it connects several at once, waits for none longer than a few seconds, and
needs no round trip to open a collection again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import oracledb

from shared.drivers import oracle
from shared.drivers.clock import CLOCK

_PING_AFTER_SECONDS = 5.0  # idle connections are pinged before use; a paused container's may be dead
_PING_SECONDS = 1.0
_LEAST_CALL_SECONDS = 1.0  # for a round trip, however long connecting took
_MOST_LATE = 8  # attempts to connect that nobody waits for any more


@dataclass
class Opened:
    """A connection, and the collections that it has opened, by name."""

    connection: Any
    collections: dict[str, Any] = field(default_factory=dict)
    used_at: float = field(default_factory=time.monotonic)

    def is_usable(self) -> bool:
        """Tell whether the connection still works."""
        try:
            if not self.connection.is_healthy():
                return False
            if time.monotonic() - self.used_at > _PING_AFTER_SECONDS:
                self.connection.call_timeout = int(_PING_SECONDS * 1000)
                self.connection.ping()
        except oracledb.Error:
            return False
        return True

    def close(self) -> None:
        """Close the connection, whatever its state."""
        with suppress(oracledb.Error):
            self.connection.close()


class Connections:
    """Connections, at most so many, made when they are needed; usable from several threads."""

    def __init__(self, connect: Callable[[], Any], most: int, seconds: float):
        """`seconds` bound each use: waiting for a place, connecting, and any round trip."""
        self._connect = connect
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(most)
        self._late = threading.BoundedSemaphore(_MOST_LATE)
        self._idle: list[Opened] = []
        self._generation = 0

    @contextmanager
    def use(self) -> Iterator[Opened]:
        """Give a connection for the block; one that fails is closed, and so is what it has not committed.

        Raises oracledb.Error, or DependencyDown if none could be had in time.
        """
        end = time.monotonic() + self._seconds
        if not self._places.acquire(timeout=self._seconds):
            raise oracle.down()
        try:
            generation = self._generation
            opened = self._usable() or self._made()
            left = max(_LEAST_CALL_SECONDS, end - time.monotonic())
            opened.connection.call_timeout = int(left * 1000)
            try:
                if CLOCK.is_stale:
                    CLOCK.measure(opened.connection)
                yield opened
            except BaseException as error:
                self._give_up(opened, error)
                raise
            self._give_back(opened, generation)
        finally:
            self._places.release()

    def close(self) -> None:
        """Close every connection as soon as nobody uses it; the next use opens new ones."""
        self._generation += 1
        while self._idle:
            self._idle.pop().close()

    def _usable(self) -> Opened | None:
        with suppress(IndexError):  # another thread may take the last
            while True:
                opened = self._idle.pop()
                if opened.is_usable():
                    return opened
                opened.close()
        return None

    def _made(self) -> Opened:
        """Connect on a thread of its own, which is left to itself if it takes too long."""
        if not self._late.acquire(blocking=False):
            raise oracle.down()
        attempt = _Attempt(self._connect, self._late.release)
        return Opened(attempt.result(oracle.CONNECT_SECONDS))

    def _give_up(self, opened: Opened, error: BaseException) -> None:
        """Roll back, and keep the connection unless the driver is what failed."""
        if isinstance(error, oracledb.Error) and not isinstance(error, oracledb.IntegrityError):
            opened.close()
            return
        try:
            opened.connection.rollback()
        except oracledb.Error:
            opened.close()
        else:
            self._give_back(opened, self._generation)

    def _give_back(self, opened: Opened, generation: int) -> None:
        if generation != self._generation:
            opened.close()
            return
        opened.used_at = time.monotonic()
        self._idle.append(opened)


class _Attempt:
    """One attempt to connect; a connection that comes too late is closed."""

    def __init__(self, connect: Callable[[], Any], ended: Callable[[], None]):
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._is_late = False
        self._made: Any = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, args=(connect, ended), name="connecting", daemon=True).start()

    def result(self, seconds: float) -> Any:
        """Return the connection; raises what connecting raised, or DependencyDown if it takes too long."""
        self._done.wait(seconds)
        with self._lock:
            if not self._done.is_set():
                self._is_late = True
                raise oracle.down()
        if self._error is not None:
            raise self._error
        return self._made

    def _run(self, connect: Callable[[], Any], ended: Callable[[], None]) -> None:
        try:
            self._made = connect()
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
            self._error = error
        with self._lock:
            self._done.set()
        if self._is_late and self._made is not None:
            Opened(self._made).close()
        ended()
