"""Rates and paces in the database: what several workers reserve is nobody's twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.model.pace import Refusal
from shared.model.policy import Policy, Rate
from shared.storage import rates
from shared.storage.rates import RateBook, Reserved

START = datetime(2026, 11, 27, 12, tzinfo=UTC)
ERP = Policy("erp", rate=Rate(10, 1))


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path, clock: Callable[[], datetime]) -> RateBook:
    return RateBook(SmallDocuments(Database(f"sqlite:{tmp_path / 'records.db'}", "", str), "c"), clock)


def moments(reserved: list[Reserved]) -> list[float]:
    return sorted(one.first + place * one.interval for one in reserved for place in range(one.number))


def test_workers_at_the_same_time_reserve_different_moments(
    book: RateBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: 0.0))  # stands still, too
    with ThreadPoolExecutor(8) as pool:
        reserved = list(pool.map(lambda _: book.reserve(ERP, 30.0, 3), range(20)))
    found = moments(reserved)
    assert found == pytest.approx([number / 10 for number in range(60)], abs=0.001)


def test_nothing_is_reserved_too_far_ahead(book: RateBook, clock: Clock) -> None:
    assert book.reserve(ERP, 30.0, 400).number == 400
    assert book.reserve(ERP, 30.0, 4).number == 0
    clock.now += timedelta(seconds=15)
    assert book.reserve(ERP, 30.0, 4).number == 4


def test_a_rate_that_was_changed_holds_at_once(book: RateBook) -> None:
    slow = Policy("erp", rate=Rate(1, 3600))
    first = book.reserve(slow, 30.0, 1)
    assert book.reserve(slow, 30.0, 1).number == 0
    assert book.reserve(ERP, 30.0, 1).first - first.first < 1


def test_how_much_of_a_rate_is_used_is_known(book: RateBook, clock: Clock, tmp_path: Path) -> None:
    book.reserve(ERP, 30.0, 4)
    clock.now += timedelta(seconds=0.5)
    book.reserve(ERP, 30.0, 3)
    documents = SmallDocuments(Database(f"sqlite:{tmp_path / 'records.db'}", "", str), "c").all()
    assert rates.used(documents, clock.now) == {"erp": 7}
    assert rates.used(documents, clock.now + timedelta(seconds=0.7)) == {"erp": 3}
    assert rates.used(documents, clock.now + timedelta(seconds=5)) == {"erp": 0}


def test_a_target_without_an_overload_has_no_pace(book: RateBook) -> None:
    assert book.reserve_paced("erp:443", 30.0, 4) is None


def test_after_an_overload_all_workers_share_a_pace_and_a_rest(book: RateBook, clock: Clock) -> None:
    assert book.slow_down("erp:443", Refusal(20, 7.0, 3600.0)) == pytest.approx(7)
    first, second = (book.reserve_paced("erp:443", 30.0, 5) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.rests == pytest.approx(7)
    assert second.first - first.first == pytest.approx(5 / 19, abs=0.1)
    assert book.reserve_paced("crm:443", 30.0, 5) is None
    clock.now += timedelta(hours=2)
    assert book.reserve_paced("erp:443", 30.0, 5) is None  # forgotten
    assert book.reserve_paced("erp:443", 30.0, 5) is None
