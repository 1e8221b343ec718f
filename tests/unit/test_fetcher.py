"""What a call reads next: fair turns between targets, a bound on what waits, nothing read twice."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.delivery.fetcher import PAGE, Fetcher
from shared.model.lanes import Policies
from shared.settings import Settings
from shared.storage.queries import DUE, REPLAY, Query
from shared.storage.records import Stored

SETTINGS = Settings(
    "sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment", concurrency=128, concurrency_per_target=32
)
SLOW, QUICK = "slow.example.com:443", "quick.example.com:443"


class Collection:
    """Records in the order in which they are due, read as the database would."""

    def __init__(self, *targets: str):
        self.documents = [
            {
                "id": f"{number:05}",
                "datasync": {DUE: f"{number:05}", REPLAY: f"{number:05}", "target": target},
            }
            for number, target in enumerate(targets)
        ]
        self.limits: list[int] = []

    async def read(self, query: Query, limit: int) -> list[Stored]:
        self.limits.append(limit)
        found = [
            document
            for document in self.documents
            if document["datasync"][query.order] > query.after  # type: ignore[index]
            and document["datasync"]["target"] not in query.without_targets  # type: ignore[index]
            and query.target in (None, document["datasync"]["target"])  # type: ignore[index]
        ]
        return [Stored("", "", document) for document in found[:limit]]


def targets_of(page: Sequence[Stored]) -> list[Any]:
    return [stored.document["datasync"]["target"] for stored in page]


async def read_all(fetcher: Fetcher, wanted: int = 10_000) -> list[Stored]:
    """Read to the end, as if every record were delivered at once."""
    read: list[Stored] = []
    while not fetcher.ended:
        read += (await fetcher.next(wanted, [], [])).records
    return read


@pytest.mark.parametrize("order", [DUE, REPLAY])
async def test_everything_is_read_once(order: str) -> None:
    collection = Collection(*([SLOW] * 700 + [QUICK] * 30 + [SLOW] * 70))
    read = await read_all(Fetcher(Query(order), collection.read, SETTINGS, Policies()))
    assert sorted(stored.document["id"] for stored in read) == [one["id"] for one in collection.documents]


async def test_a_target_with_more_waiting_than_it_takes_is_passed_over_by_the_others() -> None:
    collection = Collection(*([SLOW] * 1000 + [QUICK] * 10))
    fetcher = Fetcher(Query(DUE), collection.read, SETTINGS, Policies())
    first = (await fetcher.next(10_000, [], [])).records
    for stored in first:
        fetcher.begun(stored.document)  # and none of them is done
    second = await fetcher.next(10_000, [], [])
    assert (targets_of(second.records), second.lane) == ([QUICK] * 10, None)
    assert fetcher.passed_over == [SLOW]


async def test_its_own_queue_goes_on_when_it_has_taken_most_of_what_waits() -> None:
    collection = Collection(*([SLOW] * 1000))
    fetcher = Fetcher(Query(DUE), collection.read, SETTINGS, Policies())
    first = (await fetcher.next(10_000, [], [])).records
    for stored in first:
        fetcher.begun(stored.document)
    assert not (await fetcher.next(10_000, [], [])).records
    assert not fetcher.ended
    for stored in first[32:]:
        fetcher.done(stored.document)
    again = await fetcher.next(10_000, [], [])
    assert (again.lane, again.is_first) == (SLOW, False)
    assert again.records[0].document["id"] == f"{len(first):05}"


async def test_no_more_is_read_while_more_waits_than_may_be_in_flight() -> None:
    collection = Collection(*(f"{number}.example.com:443" for number in range(600)))
    fetcher = Fetcher(Query(DUE), collection.read, SETTINGS, Policies())
    page = (await fetcher.next(10_000, [], [])).records
    assert len(page) == PAGE
    for stored in page:
        fetcher.begun(stored.document)
    assert not (await fetcher.next(10_000, [], [])).records


async def test_no_more_is_read_while_what_waits_is_large() -> None:
    collection = Collection(*([SLOW] * 4 + [QUICK] * 600))
    for document in collection.documents:
        document["datasync"] |= {"size": 10 * 2**20}  # type: ignore[operator]
    fetcher = Fetcher(Query(DUE), collection.read, SETTINGS, Policies())
    page = (await fetcher.next(8, [], [])).records
    for stored in page:
        fetcher.begun(stored.document)
    assert not (await fetcher.next(10_000, [], [])).records
    assert not fetcher.ended
    for stored in page[:-2]:
        fetcher.done(stored.document)
    assert (await fetcher.next(10_000, [], [])).records


async def test_a_target_that_is_down_is_read_no_further() -> None:
    collection = Collection(*([SLOW] * 1000 + [QUICK] * 10))
    fetcher = Fetcher(Query(DUE), collection.read, SETTINGS, Policies())
    await fetcher.next(10_000, [], [])
    page = (await fetcher.next(10_000, [], [SLOW])).records
    assert targets_of(page) == [QUICK] * 10


@pytest.mark.parametrize(("wanted", "limit"), [(10_000, PAGE), (100, 50), (40, 32), (5, 5), (1, 1)])
async def test_a_small_call_is_not_given_to_the_oldest_records_target_alone(wanted: int, limit: int) -> None:
    collection = Collection(*([SLOW] * 1000))
    await Fetcher(Query(DUE), collection.read, SETTINGS, Policies()).next(wanted, [], [])
    assert collection.limits == [limit]


async def test_a_walk_keeps_one_order() -> None:
    """Offsets must not go back, so a replay has no queues of its own."""
    collection = Collection(*([SLOW] * 700 + [QUICK] * 10))
    read = await read_all(Fetcher(Query(REPLAY), collection.read, SETTINGS, Policies()))
    assert [stored.document["id"] for stored in read] == [one["id"] for one in collection.documents]
