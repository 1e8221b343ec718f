"""Outcomes are written in groups, again and again while the lease is valid, and answered when durable."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from shared.delivery import completer as module
from shared.delivery.completer import GROUP_BYTES, GROUP_RECORDS, MOST_GROUPS, Change, Completer
from shared.model.errors import DependencyDown
from shared.storage.records import Stored


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.001)


class Collection:
    """Where outcomes are written: keeps them, and fails as often as it is told."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.errors: list[Exception] = []
        self.tries = 0
        self.changed_elsewhere: set[str] = set()
        self.begun = asyncio.Event()
        self.reachable = asyncio.Event()
        self.reachable.set()

    async def write(self, outcomes: Sequence[Change]) -> list[bool]:
        self.tries += 1
        self.begun.set()
        await self.reachable.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.groups.append([before.key for before, _ in outcomes])
        return [before.key not in self.changed_elsewhere for before, _ in outcomes]


@pytest.fixture
async def collection() -> Collection:
    return Collection()


@asynccontextmanager
async def writing(
    collection: Collection, give_up_at: Callable[[], float] = lambda: float("inf")
) -> AsyncIterator[Completer]:
    writer = Completer(collection.write, give_up_at)
    try:
        async with asyncio.timeout(60):
            yield writer
    finally:
        await writer.close()


def stored(key: str, size: int = 100) -> Stored:
    return Stored(key, "1", {"id": key, "datasync": {"size": size}})


async def put(writer: Completer, *keys: str) -> list[bool | BaseException]:
    """Put outcomes at once; return what became of each."""
    puts = [writer.put(stored(key), {"id": key, "status": "success"}) for key in keys]
    return await asyncio.gather(*puts, return_exceptions=True)


async def test_one_outcome_does_not_wait_for_others(collection: Collection) -> None:
    async with writing(collection) as writer:
        assert await put(writer, "a") == [True]
        assert await put(writer, "b") == [True]
    assert collection.groups == [["a"], ["b"]]


async def test_outcomes_that_come_together_are_written_together(collection: Collection) -> None:
    async with writing(collection) as writer:
        assert await put(writer, "a", "b", "c") == [True, True, True]
    assert collection.groups == [["a", "b", "c"]]


async def test_a_group_has_a_greatest_size_and_no_outcome_is_lost(collection: Collection) -> None:
    keys = [f"{number}" for number in range(3 * GROUP_RECORDS + 1)]
    async with writing(collection) as writer:
        assert await put(writer, *keys) == [True] * len(keys)
    assert [len(group) for group in collection.groups] == [GROUP_RECORDS] * 3 + [1]
    assert [key for group in collection.groups for key in group] == keys


async def test_a_group_has_a_greatest_size_in_bytes_and_holds_one_outcome_however_large(
    collection: Collection,
) -> None:
    sizes = {"a": 3 * GROUP_BYTES, "b": GROUP_BYTES // 2, "c": GROUP_BYTES // 2, "d": 1}
    async with writing(collection) as writer:
        puts = [writer.put(stored(key, size), {"id": key}) for key, size in sizes.items()]
        assert await asyncio.gather(*puts) == [True] * 4
    assert collection.groups == [["a"], ["b", "c"], ["d"]]


async def test_what_is_written_is_what_was_put(collection: Collection) -> None:
    written: list[Change] = []

    async def write(outcomes: Sequence[Change]) -> list[bool]:
        written.extend(outcomes)
        return [True] * len(outcomes)

    before, after = stored("a"), {"id": "a", "status": "success"}
    collection.write = write  # type: ignore[method-assign]
    async with writing(collection) as writer:
        await writer.put(before, after)
    assert written == [(before, after)]


async def test_an_outcome_is_answered_only_when_it_is_durable(collection: Collection) -> None:
    collection.reachable.clear()
    async with writing(collection) as writer:
        waiting = asyncio.create_task(put(writer, "a"))
        await collection.begun.wait()
        assert not waiting.done()
        collection.reachable.set()
        assert await waiting == [True]


async def test_what_comes_while_a_group_is_written_is_the_next_group(collection: Collection) -> None:
    collection.reachable.clear()
    async with writing(collection) as writer:
        first = asyncio.create_task(put(writer, "a"))
        await collection.begun.wait()
        second = asyncio.create_task(put(writer, "b", "c"))
        await asyncio.sleep(0)
        collection.reachable.set()
        assert [await first, await second] == [[True], [True, True]]
    assert collection.groups == [["a"], ["b", "c"]]


async def test_full_groups_are_written_beside_one_that_takes_long(collection: Collection) -> None:
    collection.reachable.clear()
    async with writing(collection) as writer:
        first = asyncio.create_task(put(writer, "a"))
        await collection.begun.wait()
        others = [
            asyncio.create_task(put(writer, *(f"{n}-{m}" for m in range(GROUP_RECORDS)))) for n in range(4)
        ]
        for _ in range(1000):
            await asyncio.sleep(0)
        assert collection.tries == MOST_GROUPS  # and no more
        collection.reachable.set()
        assert await first == [True]
        for other in others:
            assert await other == [True] * GROUP_RECORDS
    assert [len(group) for group in collection.groups] == [1] + [GROUP_RECORDS] * 4


async def test_a_group_that_is_refused_harms_none_that_is_written_beside_it(collection: Collection) -> None:
    collection.reachable.clear()
    collection.errors = [ZeroDivisionError()]
    async with writing(collection) as writer:
        first = asyncio.create_task(put(writer, "a"))
        await collection.begun.wait()
        second = asyncio.create_task(put(writer, *(str(number) for number in range(GROUP_RECORDS))))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert collection.tries == 2
        collection.reachable.set()
        (refused,) = await first
        assert isinstance(refused, ZeroDivisionError)
        assert await second == [True] * GROUP_RECORDS


async def test_an_outcome_that_later_records_of_its_key_wait_for_is_written_soon(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_SECONDS", 3600)
    async with writing(collection) as writer:
        in_flight = asyncio.create_task(writer.expect(asyncio.Event().wait()))  # others may come
        await asyncio.sleep(0)
        without = asyncio.create_task(writer.put(stored("a"), {}))
        await asyncio.sleep(0.1)
        assert not collection.groups
        await writer.put(stored("b"), {"streamKey": "key1"})
        await without
        assert collection.groups == [["a", "b"]]
        in_flight.cancel()


async def test_a_group_of_large_records_waits_for_no_more(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_SECONDS", 3600)
    async with writing(collection) as writer:
        in_flight = asyncio.create_task(writer.expect(asyncio.Event().wait()))
        await asyncio.sleep(0)
        half = GROUP_BYTES // 2
        await asyncio.gather(writer.put(stored("a", half), {}), writer.put(stored("b", half), {}))
        assert collection.groups == [["a", "b"]]
        in_flight.cancel()


async def test_each_outcome_learns_whether_somebody_else_changed_its_record(collection: Collection) -> None:
    collection.changed_elsewhere = {"b"}
    async with writing(collection) as writer:
        assert await put(writer, "a", "b", "c") == [True, False, True]


async def test_a_group_that_the_database_refuses_is_tried_again(collection: Collection) -> None:
    collection.errors = [DependencyDown("down")] * 3
    async with writing(collection) as writer:
        assert await put(writer, "a", "b") == [True, True]
    assert (collection.tries, collection.groups) == (4, [["a", "b"]])


async def test_after_the_lease_no_group_is_tried_again(collection: Collection) -> None:
    collection.errors = [DependencyDown("down")] * 2
    async with writing(collection, give_up_at=lambda: time.monotonic() - 1) as writer:
        results = await put(writer, "a", "b")
    assert [type(result) for result in results] == [DependencyDown, DependencyDown]
    assert (collection.tries, collection.groups) == (1, [])


async def test_the_lease_is_looked_at_before_each_try_since_it_may_be_renewed_or_lost(
    collection: Collection,
) -> None:
    ends = iter([float("inf"), float("inf"), 0.0])
    collection.errors = [DependencyDown("down")] * 9
    async with writing(collection, give_up_at=lambda: next(ends)) as writer:
        (result,) = await put(writer, "a")
    assert isinstance(result, DependencyDown)
    assert collection.tries == 3


async def test_no_try_begins_that_the_lease_would_not_outlast(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 60.0)
    collection.errors = [DependencyDown("down")]
    async with writing(collection, give_up_at=lambda: time.monotonic() + 59) as writer:
        (result,) = await put(writer, "a")
    assert isinstance(result, DependencyDown)


@pytest.mark.parametrize("error", [DependencyDown("down"), ZeroDivisionError()])
async def test_after_a_group_that_failed_the_next_one_is_written(
    collection: Collection, error: Exception
) -> None:
    collection.errors = [error]
    async with writing(collection, give_up_at=lambda: 0.0) as writer:
        assert await put(writer, "a") == [error]
        assert await put(writer, "b") == [True]
    assert collection.groups == [["b"]]


async def test_a_document_that_is_refused_harms_no_other_of_its_group(collection: Collection) -> None:
    written: list[str] = []

    async def write(changes: Sequence[Change]) -> list[bool]:
        if any(before.key == "b" for before, _ in changes):
            raise ZeroDivisionError
        written.extend(before.key for before, _ in changes)
        return [True] * len(changes)

    collection.write = write  # type: ignore[method-assign]
    async with writing(collection) as writer:
        results = await put(writer, "a", "b", "c")
    assert [type(result) for result in results] == [bool, ZeroDivisionError, bool]
    assert written == ["a", "c"]


async def test_an_outage_is_no_refusal_and_writes_nothing_alone(collection: Collection) -> None:
    collection.errors = [DependencyDown("down")]
    async with writing(collection, give_up_at=lambda: 0.0) as writer:
        await put(writer, "a", "b")
    assert collection.tries == 1


async def test_a_writer_that_is_closed_leaves_no_task_behind(collection: Collection) -> None:
    before = asyncio.all_tasks()
    async with writing(collection) as writer:
        await put(writer, "a")
    assert asyncio.all_tasks() == before
