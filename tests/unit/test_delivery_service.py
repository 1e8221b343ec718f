"""A call delivers in rounds, gives up what it holds whatever happens, and publishes what it can."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.delivery.leasing import Acquired
from shared.delivery.requests import process_request
from shared.delivery.service import DeliveryService
from shared.delivery.summary import Summary
from shared.model.errors import DependencyDown, Misconfigured
from shared.model.lanes import Policies
from shared.monitoring.call_stats import Backlog, CallStats
from shared.settings import Settings
from shared.storage.leases import Lease

SETTINGS = Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment")
DONE = Summary(succeeded=10, failed=1, last="x")


class Published:
    """What operators are shown; publishing may hang, or fail."""

    wants_metrics = True

    def __init__(self, failure: Exception | None = None, until: threading.Event | None = None):
        self.failure = failure
        self.until = until
        self.notified: list[tuple[int, bool]] = []
        self.posted = 0
        self.rests = False

    def rest(self) -> None:
        self.rests = True

    def notify(self, stats: CallStats, *, publishing: bool) -> None:
        self.notified.append((stats.newly_failed, publishing))
        if self.until is not None:
            self.until.wait(60)
        if self.failure is not None:
            raise self.failure

    def post_metrics(self, stats: CallStats, backlog: Backlog) -> None:
        self.posted += 1


class Records:
    """Records of which only the time and the backlog are asked for."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def backlog(self, _: object) -> tuple[int, int]:
        return 0, 0


class Table:
    """Leases of which only rests are asked for."""

    def rests(self, _: object) -> dict[str, float]:
        return {}


class Leasing:
    """One lease, and whether it was released."""

    def __init__(self, failure: Exception | None = None, *, is_share: bool = False):
        self.lease = Lease("me", frozenset((1,)), time.monotonic() + 60)
        self.failure = failure
        self.is_share = is_share
        self.released: list[str] = []
        self.table = Table()

    async def acquire(self, *_: Any, **__: Any) -> Acquired:
        return Acquired(self.lease, is_share=self.is_share)

    def start_others(self, _: Any) -> None:
        assert self.failure is not None
        raise self.failure

    @asynccontextmanager
    async def heartbeat(self, *_: Any) -> AsyncIterator[None]:
        yield

    async def release(self, lease: Lease, *_: Any) -> None:
        self.released.append(lease.worker)


class Unchanging:
    """Policies: none."""

    def policies(self) -> Policies:
        return Policies()


class Locked:
    """Targets that can't be sent to: the signing keys can't be read."""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        raise DependencyDown("Vault is away")
        yield


def service(leasing: Any = None, published: Any = None) -> DeliveryService:
    return DeliveryService(
        *(SETTINGS, Records(), None, leasing or Leasing(), Locked(), published or Published()),
        *(Unchanging(), None),
    )


class Rounds(DeliveryService):
    """A service whose rounds are given: summaries, or what ends them."""

    given: list[Summary | Exception]

    async def _deliver_once(self, request: Any, stats: CallStats, *, again: bool) -> Summary:
        following = self.given.pop(0)
        if isinstance(following, Exception):
            raise following
        stats.newly_failed += following.failed
        return replace(following)


def call(published: Published, *rounds: Summary | Exception) -> Summary:
    made = Rounds(SETTINGS, Records(), None, Leasing(), None, published, Unchanging(), None)
    object.__setattr__(made, "given", list(rounds))
    return asyncio.run(made.run(process_request(b"", SETTINGS, time.monotonic() + 300)))


def test_a_database_that_goes_away_later_takes_nothing_back() -> None:
    published = Published()
    assert call(published, DONE, DependencyDown("down")) == replace(DONE, end=False)
    assert published.notified == [(1, True)]


def test_a_call_that_is_too_short_for_any_delivery_is_the_operators_mistake() -> None:
    async def run() -> None:
        service = DeliveryService(SETTINGS, Records(), None, Leasing(), None, Published(), Unchanging(), None)  # type: ignore[arg-type]
        await service.run(process_request(b"", SETTINGS, time.monotonic() + 36))

    with pytest.raises(Misconfigured, match=r"may take 37 s .* this call has 3[56] s"):
        asyncio.run(run())


def test_one_that_was_away_from_the_beginning_is_an_outage() -> None:
    with pytest.raises(DependencyDown):
        call(Published(), DependencyDown("down"))


@pytest.mark.parametrize(
    "failure", [DependencyDown("down"), OSError("no key file"), ValueError("nonsense"), KeyError("x")]
)
def test_whatever_fails_in_publishing_ends_no_call(failure: Exception) -> None:
    published = Published(failure)
    assert call(published, replace(DONE, end=True)) == replace(DONE, end=True)
    assert published.notified


@pytest.mark.parametrize(
    ("left", "notified", "posted"), [(0.2, (1, False), 0), (0.9, (1, False), 0), (60.0, (1, True), 1)]
)
def test_a_late_call_leaves_its_notification_to_another(
    left: float, notified: tuple[int, bool], posted: int
) -> None:
    published = Published()
    asyncio.run(service(published=published)._publish(CallStats(newly_failed=1), time.monotonic() + left))
    assert published.notified == [notified]
    assert published.posted == posted


def test_services_that_hang_are_waited_for_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.delivery.service._PUBLISH_SECONDS", 0.6)
    hanging = threading.Event()
    published = Published(until=hanging)

    async def publish(its: Published) -> None:
        await service(published=its)._publish(CallStats(), time.monotonic() + 300)

    try:
        asyncio.run(publish(published))
        assert published.rests
    finally:
        hanging.set()
    posted = published.posted
    asyncio.run(publish(published))
    assert published.notified[-1] == (0, False)  # held back for another call
    assert published.posted == posted


def test_services_that_hang_hold_up_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.delivery.service._PUBLISH_SECONDS", 0.6)
    hanging = threading.Event()

    async def published() -> bool:
        await service(published=Published(until=hanging))._publish(CallStats(), time.monotonic() + 300)
        return hanging.is_set()

    try:
        assert asyncio.run(_without_waiting_for_threads(published())) is False
    finally:
        hanging.set()


async def _without_waiting_for_threads(work: Any) -> Any:
    return await work


@pytest.mark.parametrize(
    "leasing",
    [Leasing(), Leasing(OSError("no key file"), is_share=True), Leasing(RuntimeError("x"), is_share=True)],
    ids=["no signing keys", "others can't be started", "a defect"],
)
async def test_a_lease_is_released_whatever_fails(leasing: Leasing) -> None:
    request = process_request(b"", SETTINGS, time.monotonic() + 300)
    with pytest.raises((DependencyDown, OSError, RuntimeError)):
        await service(leasing)._deliver_once(request, CallStats(), again=False)
    assert leasing.released == ["me"]
