"""The pool of connections to the database: made when needed, several at once, none waited for for long."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import oracledb
import pytest

from shared.drivers import connections as connections_module
from shared.drivers import oracle
from shared.drivers.clock import DatabaseClock
from shared.drivers.connections import Connections
from shared.model.errors import DependencyDown
from tests.unit.test_database import driver_error


class Connection:
    """A connection of the driver, as far as nothing is asked of it."""

    def __init__(self) -> None:
        self.closed = False
        self.healthy = True
        self.call_timeout = 0
        self.autocommit = False
        self.pings: list[Exception | None] = []
        self.rolled_back = 0

    def is_healthy(self) -> bool:
        return self.healthy

    def ping(self) -> None:
        if error := self.pings.pop(0):
            raise error

    def cursor(self) -> Any:
        moment = datetime(2026, 11, 23, 21, 0)  # noqa: DTZ001 - as the driver gives a timestamp
        answer = SimpleNamespace(fetchone=lambda: (moment,))
        return SimpleNamespace(execute=lambda _: answer)

    def rollback(self) -> None:
        self.rolled_back += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _clock_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connections", "database"):
        monkeypatch.setattr(f"shared.drivers.{name}.CLOCK", DatabaseClock())


def pool(connect: Callable[[], Any], most: int = 4, seconds: float = 60.0) -> Connections:
    return Connections(connect, most, seconds)


def test_a_connection_is_used_again_and_pinged_only_if_it_was_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Connection] = []
    connections = pool(lambda: made.append(Connection()) or made[-1])  # type: ignore[func-returns-value]
    for _ in range(3):
        with connections.use() as opened:
            assert opened.connection is made[0]
            assert 0 < opened.connection.call_timeout <= 60_000
    monkeypatch.setattr(connections_module, "_PING_AFTER_SECONDS", -1.0)
    made[0].pings = [None, driver_error("DPI-1010")]
    for number in (0, 1):
        with connections.use() as opened:
            assert opened.connection is made[number]
    assert made[0].closed


def test_a_connection_that_the_driver_says_is_lost_is_replaced() -> None:
    made: list[Connection] = []
    connections = pool(lambda: made.append(Connection()) or made[-1])  # type: ignore[func-returns-value]
    with connections.use() as opened:
        opened.connection.healthy = False
    with connections.use() as opened:
        assert opened.connection is made[1]
    assert made[0].closed


def test_a_connection_that_fails_is_closed_and_one_whose_user_fails_is_rolled_back() -> None:
    made: list[Connection] = []
    connections = pool(lambda: made.append(Connection()) or made[-1])  # type: ignore[func-returns-value]
    with pytest.raises(ZeroDivisionError), connections.use():
        raise ZeroDivisionError
    assert (made[0].closed, made[0].rolled_back) == (False, 1)
    with pytest.raises(oracledb.Error), connections.use():
        raise driver_error("ORA-03113")
    assert [one.closed for one in made] == [True]


def test_no_more_connections_are_used_at_once_than_there_may_be() -> None:
    connections = pool(Connection, most=1, seconds=0.01)
    with connections.use(), pytest.raises(DependencyDown), connections.use():
        pass
    with connections.use():
        pass


def test_several_threads_connect_without_waiting_for_each_others_attempts() -> None:
    everybody = threading.Barrier(4, timeout=60)

    def connect() -> Connection:
        everybody.wait()  # none comes through before all have begun
        return Connection()

    connections = pool(connect)

    def work(_: int) -> bool:
        with connections.use() as opened:
            return isinstance(opened.connection, Connection)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))


def test_an_attempt_that_hangs_is_left_to_itself_and_its_connection_closed_when_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oracle, "CONNECT_SECONDS", 0.01)
    answers, late = threading.Event(), Connection()

    def connect() -> Connection:
        answers.wait(60)
        return late

    connections = pool(connect)
    for _ in range(20):  # and the attempts that hang are few, since a container has 50 threads
        with pytest.raises(DependencyDown), connections.use():
            pass
    assert threading.active_count() < 20
    answers.set()
    while not late.closed:
        time.sleep(0.001)


def test_connections_that_are_in_use_when_the_pool_is_closed_are_not_used_again() -> None:
    made: list[Connection] = []
    connections = pool(lambda: made.append(Connection()) or made[-1])  # type: ignore[func-returns-value]
    with connections.use():
        connections.close()
    assert made[0].closed
    with connections.use() as opened:
        assert opened.connection is made[1]
