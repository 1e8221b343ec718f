"""The order in which a page is sent: by age within each key, and nothing before what must come first."""

from collections.abc import Mapping
from typing import Any

from shared.delivery.key_order import KeyOrder
from shared.drivers import threads
from shared.model import record
from shared.model.record import NO_KEY
from shared.storage.queries import Query
from shared.storage.records import Records, Stored


async def in_order(
    page: list[Stored],
    query: Query,
    order: KeyOrder,
    records: Records,
    elsewhere: Mapping[str, Any] | None,
) -> list[Stored]:
    """Return a page in the order of age, with what must be sent before some of it; hold the rest in `order`.

    A failed record that is due is sent before the later ones of its key; one that is not due holds them
    back, and so does one that another queue has not read yet. `elsewhere` is a condition on the targets of
    these queues.
    """
    chosen = {stored.document["id"]: stored for stored in page if not order.has_seen(stored.document)}
    # Of a key that is held by an earlier record no more need be known.
    keys = {record.key_digest(one.document) for one in chosen.values() if not order.is_held(one.document)}
    keys.discard(NO_KEY)
    if not keys:
        return list(chosen.values())
    if elsewhere is not None:
        await _hold_behind(chosen, keys, order, records, elsewhere)
    holding, beyond = await threads.DATABASE.run(records.holding_back, keys)
    for key, identity in beyond.items():
        order.pause_behind(key, identity)
    for stored in holding:
        document = stored.document
        if document["id"] in chosen or order.has_seen(document):
            continue
        if query.covers(document):
            chosen[document["id"]] = stored
        else:
            order.hold(document)
    return [stored for _, stored in sorted(chosen.items())]


async def _hold_behind(
    chosen: Mapping[str, Stored],
    keys: set[str],
    order: KeyOrder,
    records: Records,
    elsewhere: Mapping[str, Any],
) -> None:
    """Hold records whose predecessors stand in a queue that is read at another pace, or not at all."""
    newest = {record.key_digest(stored.document): identity for identity, stored in sorted(chosen.items())}
    last = max(newest.values())

    def is_begun(identity: str) -> bool:
        return identity in chosen or order.has_seen_id(identity)

    oldest, unknown = await threads.DATABASE.run(records.first_waiting, keys, elsewhere, last, is_begun)
    for key in unknown:
        order.pause(key)
    for key, identity in oldest.items():
        if identity < newest[key]:
            order.pause_behind(key, identity)
