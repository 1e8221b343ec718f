"""A request may outlast the lease as it was, and is cut off once the lease has really ended."""

import asyncio
import time

import pytest

from shared.delivery import lease_guard
from shared.delivery.lease_guard import LeaseEnded, LeaseGuard
from shared.storage.leases import Lease


def lease(seconds: float) -> Lease:
    return Lease("me", frozenset((1,)), time.monotonic() + seconds)


async def test_a_request_goes_on_while_its_lease_is_renewed() -> None:
    owned = lease(0.1)
    guard = LeaseGuard(owned)
    async with asyncio.timeout(60), guard.request():
        for _ in range(10):
            owned.valid_until = time.monotonic() + 0.1
            await asyncio.sleep(0.03)
    guard.close()


async def test_all_requests_are_cut_off_when_the_lease_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_guard, "_LOOK_SECONDS", 0.02)
    owned = lease(60)
    guard = LeaseGuard(owned)

    async def hang() -> None:
        async with guard.request():
            await asyncio.sleep(60)

    requests = [asyncio.create_task(hang()) for _ in range(3)]
    await asyncio.sleep(0.05)
    owned.valid_until = 0.0  # somebody has taken it over
    async with asyncio.timeout(30):
        results = await asyncio.gather(*requests, return_exceptions=True)
    assert [type(one) for one in results] == [LeaseEnded] * 3
    with pytest.raises(LeaseEnded):
        async with asyncio.timeout(30), guard.request():
            await asyncio.sleep(60)


async def test_what_ends_in_time_is_not_cut_off() -> None:
    guard = LeaseGuard(lease(0.05))
    async with guard.request():
        pass
    await asyncio.sleep(0.1)
    guard.close()
