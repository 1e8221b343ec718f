"""The time is the database's, whatever this machine's wall clock says, and goes on meanwhile."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.drivers import clock as module
from shared.drivers.clock import DatabaseClock
from shared.drivers.database import CollectionSpec, Database

MOMENT = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


class Oracle:
    """A database whose time is said, and how long it takes to say it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0):
        self.asked = 0
        self.elapsed = 1000.0
        self.seconds = seconds
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.elapsed))

    def cursor(self) -> Any:
        return SimpleNamespace(execute=lambda _: SimpleNamespace(fetchone=self._answer))

    def _answer(self) -> tuple[datetime]:
        self.asked += 1
        self.elapsed += self.seconds
        return (MOMENT.replace(tzinfo=None),)


def test_time_goes_on_from_the_middle_of_the_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    database, clock = Oracle(monkeypatch, seconds=4.0), DatabaseClock()
    clock.measure(database)
    assert clock.now() == MOMENT + timedelta(seconds=2)
    database.elapsed += 90
    assert clock.now() == MOMENT + timedelta(seconds=92)


def test_it_is_measured_at_first_and_every_few_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    database, clock = Oracle(monkeypatch), DatabaseClock()
    assert clock.is_stale
    clock.measure(database)
    assert not clock.is_stale
    database.elapsed += 299
    assert not clock.is_stale
    database.elapsed += 2
    assert clock.is_stale


def test_the_wall_clock_counts_only_until_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = DatabaseClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    clock.measure(Oracle(monkeypatch))
    assert clock.now() == MOMENT


def test_a_database_measures_when_it_connects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = DatabaseClock()
    for name in ("connections", "database"):
        monkeypatch.setattr(f"shared.drivers.{name}.CLOCK", clock)
    database = Database(f"sqlite:{tmp_path / 'x.db'}", "", str)
    before = datetime.now(UTC)
    with database.collection(CollectionSpec("things", ())):
        assert not clock.is_stale
    assert before - timedelta(seconds=1) < database.now() < before + timedelta(minutes=5)
