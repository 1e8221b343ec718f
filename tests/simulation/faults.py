"""What the emulated database does: it takes time, fails before or after a commit, or does not answer."""

import threading
import types
from dataclasses import dataclass, field
from typing import Any

from oracledb import errors as driver

from local.emulators.soda import connection as soda_connection
from local.emulators.soda import documents as soda_documents
from local.emulators.soda.errors import ora
from local.emulators.soda.round_trips import RoundTrips
from local.emulators.soda.session import Session
from shared.drivers import clock, connections, database, threads
from shared.drivers.connections import Connections, Opened
from shared.model import ids, record
from tests.simulation import world as worlds
from tests.simulation.world import CURRENT, BlockingCalls, DatabaseTime, OwnTime, Process, World

_SECONDS_TO_RUN = 0.0001


@dataclass
class DatabaseFaults:
    """How likely what is; `outages` are spans of the world's time in which nothing is answered."""

    slow: float = 0.0
    failing: float = 0.0
    outages: list[tuple[float, float]] = field(default_factory=list)
    latency: float = 0.001

    def calm(self) -> None:
        """End all faults."""
        self.slow = self.failing = 0.0
        self.outages.clear()


FAULTS = DatabaseFaults()


def _round_trip(trips: Any, operation: str, number: int = 1) -> None:
    """Wait as long as the round trips take; raises what a driver raises if that is too long, or fails."""
    running, session = worlds.world(), getattr(trips, "session", None)
    if running is None or not worlds.is_blocking():
        return
    if session is not None and session.in_transaction:
        return  # its write lock is the whole file's: nobody else could do anything meanwhile
    drawn = running.random
    seconds = number * FAULTS.latency * drawn.uniform(0.5, 2.0)
    if drawn.random() < FAULTS.slow:
        seconds += drawn.uniform(0.1, 10.0)
    for begin, end in FAULTS.outages:
        if begin <= running.now < end:
            seconds += end - running.now if drawn.random() < 0.5 else 0.05
            if seconds < 1:
                worlds.sleep(seconds)
                raise _lost(running, operation)
    most = trips.call_timeout / 1000 or 5.0
    if seconds > most:
        worlds.sleep(most)
        running.note(f"{operation}: no answer from the database")
        raise soda_connection.dpy(driver.ERR_CALL_TIMEOUT_EXCEEDED, timeout=trips.call_timeout)
    worlds.sleep(seconds)
    if drawn.random() < FAULTS.failing:
        raise _lost(running, operation)


def _lost(running: World, operation: str) -> Exception:
    running.note(f"{operation}: the connection is lost")
    error: Exception = ora(1034, "the connection is lost")
    return error


_commit = Session.commit


def _committed(session: Session) -> None:
    """Commit, or lose the connection before or after."""
    running = worlds.world()
    if running is None or not worlds.is_blocking() or not session.in_transaction:
        _commit(session)
        return
    fails = running.random.random() < FAULTS.failing
    if fails and running.random.random() < 0.5:
        session.rollback()
        raise _lost(running, "before the commit")
    _commit(session)
    if fails:
        raise _lost(running, "after the commit")


_session_init = Session.__init__


def _session_with_trips(session: Session, *arguments: Any, **options: Any) -> None:
    _session_init(session, *arguments, **options)
    session.trips.session = session  # so that a trip knows its transaction
    assert session._db is not None
    session._db.execute("PRAGMA synchronous = OFF")


class _Places:
    """A semaphore of a pool: who waits for a place waits in virtual time."""

    def __init__(self, number: int):
        self._free = number

    def acquire(self, blocking: bool = True, timeout: float = 60.0) -> bool:
        while not self._free:
            if not blocking or timeout <= 0:
                return False
            worlds.sleep(0.05)
            timeout -= 0.05
        self._free -= 1
        return True

    def release(self) -> None:
        self._free += 1


class _OwnClock:
    """The clock of the process that asks, in the place of the process's only one."""

    def _clock(self) -> clock.DatabaseClock:
        process = CURRENT.get()
        return (
            process.own("clock", clock.DatabaseClock)
            if process
            else _OBSERVER.own("clock", clock.DatabaseClock)
        )

    @property
    def is_stale(self) -> bool:
        return self._clock().is_stale

    def measure(self, connection: Any) -> None:
        self._clock().measure(connection)

    def now(self) -> Any:
        return self._clock().now()


class _OwnTicks:
    """Ids grow within a process only."""

    def next(self, moment: Any) -> int:
        process = CURRENT.get() or _OBSERVER
        return process.own("ticks", ids._Ticks).next(moment)


_OBSERVER: Process = None  # made with the world


def install(running: World) -> None:
    """Put the world's time and faults in the place of the real ones."""
    global _OBSERVER
    _OBSERVER = Process("observer")
    blocking = BlockingCalls(lambda: _SECONDS_TO_RUN * running.random.uniform(0.5, 2.0))
    threads.Threads.run = lambda self, call, *given, **named: blocking.run(self, call, *given, **named)
    RoundTrips.make = _round_trip
    Session.check_file = lambda session: None  # nobody replaces the file
    Session.commit = _committed
    Session.__init__ = _session_with_trips
    Connections._made = lambda pool: Opened(pool._connect())
    own_threading = types.SimpleNamespace(**vars(threading))
    own_threading.BoundedSemaphore = _Places
    connections.threading = own_threading
    own = _OwnClock()
    clock.CLOCK = connections.CLOCK = database.CLOCK = own
    ids._ticks = _OwnTicks()
    clock.datetime = record.datetime = OwnTime
    soda_connection.datetime = DatabaseTime
    soda_documents._PROCESS = running.random.randbytes(5)
