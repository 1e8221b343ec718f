"""A pool of connections to the database, each with the collections that it has opened.

Other than the driver's own pool it connects several at once, waits for none longer than a few seconds, and
needs no round trip to open a collection again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import oracledb

from shared.drivers import oracle
from shared.drivers.clock import CLOCK

_PING_AFTER_SECONDS = 5.0  # idle connections are pinged before use; a paused container's may be dead
_PING_SECONDS = 1.0
_PLACE_SECONDS = 2.0  # until another use is to have ended
_LEAST_CALL_SECONDS = 0.5  # for a round trip, however long connecting took
_MOST_ATTEMPTS = 8  # to connect, at once, those that nobody waits for any more among them


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
        self._attempts = threading.BoundedSemaphore(_MOST_ATTEMPTS)
        self._idle: list[Opened] = []
        self._generation = 0

    @contextmanager
    def use(self) -> Iterator[Opened]:
        """Give a connection for the block; one that fails is closed, and so is what it has not committed.

        Raises oracledb.Error, or DependencyDown if none could be had in time.
        """
        end = time.monotonic() + self._seconds
        if not self._places.acquire(timeout=min(self._seconds, _PLACE_SECONDS)):
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
                self._give_up(opened, generation, error)
                raise
            self._give_back(opened, generation)
        finally:
            self._places.release()

    def close(self) -> None:
        """Close every connection as soon as nobody uses it; the next use opens new ones."""
        self._generation += 1
        while opened := self._taken():
            opened.close()

    def _taken(self) -> Opened | None:
        with suppress(IndexError):  # another thread may take the last
            return self._idle.pop()
        return None

    def _usable(self) -> Opened | None:
        """Return an idle connection; if one does not work any more, none of the others is trusted."""
        opened = self._taken()
        if opened is None or opened.is_usable():
            return opened
        opened.close()
        self.close()
        return None

    def _made(self) -> Opened:
        """Connect on a thread of its own, which is left to itself if it takes too long."""
        if not self._attempts.acquire(blocking=False):
            raise oracle.down()
        attempt: Future[Any] = Future()
        threading.Thread(target=self._attempt, args=(attempt,), name="connecting", daemon=True).start()
        if wait((attempt,), oracle.CONNECT_SECONDS).done:
            return Opened(attempt.result())
        attempt.add_done_callback(_close_late)
        raise oracle.down()

    def _attempt(self, attempt: "Future[Any]") -> None:
        try:
            attempt.set_result(self._connect())
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
            attempt.set_exception(error)
        finally:
            self._attempts.release()

    def _give_up(self, opened: Opened, generation: int, error: BaseException) -> None:
        """Roll back, and keep the connection unless the driver is what failed."""
        if isinstance(error, oracledb.Error) and not isinstance(error, oracledb.IntegrityError):
            opened.close()
            return
        try:
            opened.connection.rollback()
        except oracledb.Error:
            opened.close()
        else:
            self._give_back(opened, generation)

    def _give_back(self, opened: Opened, generation: int) -> None:
        if generation != self._generation:
            opened.close()
            return
        opened.used_at = time.monotonic()
        self._idle.append(opened)


def _close_late(attempt: "Future[Any]") -> None:
    if attempt.exception() is None:
        Opened(attempt.result()).close()
