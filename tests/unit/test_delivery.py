"""What a call has done is answered and told, whatever fails behind it."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.delivery.dispatcher import Summary
from shared.delivery.requests import process_request
from shared.delivery.service import DeliveryService
from shared.drivers.database import Database
from shared.model import record
from shared.model.errors import DependencyDown
from shared.monitoring.call_stats import Backlog, CallStats
from shared.settings import Settings
from shared.storage.leases import Lease
from shared.storage.records import Records

CONFIG = {"DATABASE_DSN": "sqlite:x", "VAULT_OCID": "v", "VAULT_KEY_OCID": "k", "VAULT_COMPARTMENT_OCID": "c"}
SETTINGS = Settings.from_config(CONFIG)
DONE = Summary(succeeded=10, failed=1, last="x")


class Published:
    """What operators are told, taken down; telling may take its time."""

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds
        self.notified: list[tuple[int, bool]] = []
        self.posted = 0

    def notify(self, seen: CallStats, *, publishing: bool) -> None:
        self.notified.append((seen.newly_failed, publishing))
        time.sleep(self.seconds)

    wants_metrics = True

    def post_metrics(self, seen: CallStats, backlog: Backlog) -> None:
        self.posted += 1


class Counted:
    """Records of which only the backlog is asked for."""

    def backlog(self, _: object) -> tuple[int, int]:
        return 0, 0


def delivery(records: Any = None, told: Published | None = None) -> DeliveryService:
    return DeliveryService(SETTINGS, records or Counted(), None, None, None, told or Published(), None)  # type: ignore[arg-type]  # not called


class Rounds(DeliveryService):
    """A delivery whose rounds are given: summaries, or what ends them."""

    def give(self, *rounds: Summary | Exception) -> Summary:
        self._given = iter(rounds)
        return asyncio.run(self.run(process_request(b"", self.settings, time.monotonic() + 300)))

    async def _round(self, order: Any, seen: CallStats, total: Summary) -> Summary | None:
        given = next(self._given)
        if isinstance(given, Exception):
            raise given
        seen.newly_failed += given.failed
        return replace(given)


def rounds(told: Published) -> Rounds:
    return Rounds(SETTINGS, Counted(), None, None, None, told, None)  # type: ignore[arg-type]  # not called


def test_a_database_that_goes_away_later_takes_nothing_back() -> None:
    told = Published()
    answer = rounds(told).give(DONE, DependencyDown("down"))
    assert answer == replace(DONE, end=False)
    assert told.notified == [(1, True)]


def test_one_that_was_away_from_the_beginning_is_an_outage() -> None:
    with pytest.raises(DependencyDown):
        rounds(Published()).give(DependencyDown("down"))


@pytest.mark.parametrize(
    ("left", "told", "posted"), [(0.2, (1, False), 0), (0.9, (1, False), 0), (5.0, (1, True), 1)]
)
def test_news_are_noted_even_in_the_last_moment(left: float, told: tuple[int, bool], posted: int) -> None:
    teller = Published()
    seen = CallStats(newly_failed=1, new=Counter({"503 at x": 1}))
    asyncio.run(delivery(told=teller)._tell(seen, time.monotonic() + left))
    assert teller.notified == [told]
    assert teller.posted == posted


def test_services_that_hang_hold_up_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.delivery.service._TELL_SECONDS", 0.6)
    teller, started = Published(seconds=1.5), time.monotonic()
    it = delivery(told=teller)

    async def timed() -> float:
        await it._tell(CallStats(), time.monotonic() + 60)
        return time.monotonic() - started

    assert asyncio.run(timed()) < 1.4


async def test_an_attempt_that_was_interrupted_is_told(tmp_path: Path) -> None:
    records = Records(Database(f"sqlite:{tmp_path / 'records.db'}", "", str), "c")
    members = {"targetRestApi": "https://erp.example.com/", "targetRestApiOperation": "DELETE"}
    documents = [record.new(members) for _ in range(2)]
    records.insert(documents)
    seen = CallStats()
    first, second = (one["id"] for one in documents)
    await delivery(records)._settle({first: 0, second: 7}, seen)  # of the second another has written since
    assert (seen.newly_failed, seen.failed.total(), seen.seconds) == (1, 1, [])
    assert dict(seen.new) == {"unexpectedError at erp.example.com:443": 1}


async def test_the_lease_is_given_up_where_keys_can_not_be_read() -> None:
    class Away:
        def current(self) -> Any:
            raise DependencyDown("Vault is away")

    released: list[str] = []

    class Leases:
        def release(self, lease: Lease, *_: Any) -> None:
            released.append(lease.worker)

    it = delivery()
    it.signing, it.leases = Away(), Leases()  # type: ignore[assignment]  # what is called of them
    order = process_request(b"", SETTINGS, time.monotonic() + 300)
    lease = Lease("me", frozenset((1,)), time.monotonic() + 60)
    with pytest.raises(DependencyDown):
        await it._deliver(order, lease, CallStats())
    assert released == ["me"]
