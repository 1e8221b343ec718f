"""Records of one key follow one another, and none goes behind one that has not succeeded."""

import asyncio

import pytest

from shared.delivery.key_order import KeyOrder
from shared.model import record
from shared.model.record import Document

NO_KEY = [{}, {"streamKey": ""}]


def document(identity: str, key: str = "key1") -> Document:
    return {"id": identity, "streamKey": key}


async def delivered() -> None:
    """A delivery."""


@pytest.fixture
def lanes() -> KeyOrder:
    return KeyOrder()


async def test_a_record_follows_the_delivery_of_the_one_before_it(lanes: KeyOrder) -> None:
    first, second = asyncio.create_task(delivered()), asyncio.create_task(delivered())
    assert lanes.tail(document("1")) is None
    lanes.follow(document("1"), first)
    assert lanes.tail(document("2")) is first
    lanes.follow(document("2"), second)
    assert lanes.tail(document("3")) is second
    await asyncio.gather(first, second)


async def test_records_of_one_lane_are_delivered_in_the_order_in_which_they_were_started(
    lanes: KeyOrder,
) -> None:
    order: list[str] = []

    async def deliver(identity: str, predecessor: "asyncio.Task[None] | None", turns: int) -> None:
        if predecessor is not None:
            await asyncio.wait([predecessor])
        for _ in range(turns):  # the earlier, the slower
            await asyncio.sleep(0)
        order.append(identity)

    tasks = []
    for turns, identity in zip((9, 5, 1), "123", strict=True):
        started = document(identity)
        tasks.append(asyncio.create_task(deliver(identity, lanes.tail(started), turns)))
        lanes.follow(started, tasks[-1])
    await asyncio.gather(*tasks)
    assert order == ["1", "2", "3"]


async def test_records_of_another_key_or_of_none_follow_nobody(lanes: KeyOrder) -> None:
    task = asyncio.create_task(delivered())
    lanes.follow(document("1"), task)
    assert lanes.tail(document("2", "key2")) is None
    for keyless in NO_KEY:
        lanes.follow({"id": "3", **keyless}, task)
        assert lanes.tail({"id": "4", **keyless}) is None
    await task


async def test_a_record_whose_delivery_was_started_is_known(lanes: KeyOrder) -> None:
    task = asyncio.create_task(delivered())
    lanes.follow(document("1"), task)
    assert lanes.has_seen(document("1"))
    assert not lanes.has_seen(document("2"))
    await task


def test_a_record_that_did_not_succeed_holds_back_later_ones_of_its_key(lanes: KeyOrder) -> None:
    lanes.hold(document("5"))
    assert lanes.is_held(document("6"))
    assert lanes.is_held(document("7"))


def test_a_record_holds_back_neither_itself_nor_earlier_ones(lanes: KeyOrder) -> None:
    lanes.hold(document("5"))
    assert not lanes.is_held(document("5"))
    assert not lanes.is_held(document("4"))


def test_a_record_holds_back_nothing_of_other_keys_or_none(lanes: KeyOrder) -> None:
    lanes.hold(document("5"))
    assert not lanes.is_held(document("6", "key2"))
    assert not any(lanes.is_held({"id": "6", **keyless}) for keyless in NO_KEY)


@pytest.mark.parametrize("keyless", NO_KEY)
def test_a_record_without_a_key_holds_nothing_back(lanes: KeyOrder, keyless: Document) -> None:
    lanes.hold({"id": "5", **keyless})
    lanes.pause_behind(record.key_digest(keyless), "5")
    assert not lanes.is_held({"id": "6", **keyless})
    assert not lanes.is_held(document("6"))
    assert lanes.held() == []


@pytest.mark.parametrize("order", ["573", "375", "357"])
def test_the_earliest_that_did_not_succeed_decides(lanes: KeyOrder, order: str) -> None:
    for identity in order:
        lanes.hold(document(identity))
    assert not lanes.is_held(document("3"))
    assert all(lanes.is_held(document(identity)) for identity in "4567")


def test_lanes_that_are_held_back_are_named_once(lanes: KeyOrder) -> None:
    for identity, key in (("1", "key1"), ("2", "key2"), ("3", "key1")):
        lanes.hold(document(identity, key))
    assert len(lanes.held()) == len(set(lanes.held())) == 2
    assert "8174099687a26621" in lanes.held()  # the lane of key1, as it stands in the database
