"""A page is sent in the order of age within each key, and nothing before what stands in another queue."""

from collections.abc import Callable, Collection
from typing import Any

from shared.delivery.key_order import KeyOrder
from shared.delivery.sequencing import in_order
from shared.model import record
from shared.storage.queries import DUE, Query
from shared.storage.records import Stored
from tests.unit.engine import made


class Waiting:
    """Records of one key that wait for several targets."""

    def __init__(self, *records: Stored):
        self.key = record.key_digest(records[0].document)
        self.ids = [one.document["id"] for one in records]

    def first_waiting(
        self, keys: Collection[str], targets: Any, before: str, is_begun: Callable[[str], bool]
    ) -> tuple[dict[str, str], set[str]]:
        oldest = next((one for one in self.ids if one < before and not is_begun(one)), None)
        return ({self.key: oldest} if oldest else {}), set()

    def holding_back(self, keys: Collection[str]) -> tuple[list[Stored], dict[str, str]]:
        return [], {}


async def test_a_record_waits_for_an_earlier_one_of_its_key_that_another_targets_queue_has() -> None:
    first, elsewhere, last = (made(streamKey="k") for _ in range(3))
    order = KeyOrder()
    waiting: Any = Waiting(first, elsewhere, last)
    page = await in_order([first, last], Query(DUE), order, waiting, {"$in": ["both:443", "queues:443"]})
    assert [one.document["id"] for one in page] == [first.document["id"], last.document["id"]]
    assert not order.is_held(first.document)
    assert order.is_held(last.document)
