"""DeliveryRequest within keys, in one call: which delivery a record follows, and what holds it back."""

import asyncio

from shared.model import record
from shared.model.record import NO_KEY, Document


class KeyOrder:
    """The lanes of the records that a call has met; a record without a key is in none."""

    def __init__(self) -> None:
        self._tails: dict[str, asyncio.Task[None]] = {}
        self._held_from: dict[str, str] = {}
        self._seen: set[str] = set()

    def tail(self, document: Document) -> "asyncio.Task[None] | None":
        """Return the delivery that must end before this record's may begin."""
        return self._tails.get(record.key_digest(document))

    def follow(self, document: Document, task: "asyncio.Task[None]") -> None:
        """Note that `task` delivers this record, for the next of its lane to wait for."""
        lane = record.key_digest(document)
        if lane != NO_KEY:
            self._tails[lane] = task
            self._seen.add(document["id"])

    def hold(self, document: Document) -> None:
        """Hold back all later records of this one's lane: it has not succeeded."""
        lane = record.key_digest(document)
        if lane != NO_KEY:
            self._held_from[lane] = min(document["id"], self._held_from.get(lane, document["id"]))

    def is_held(self, document: Document) -> bool:
        """Tell whether an earlier record of the lane holds this one back."""
        held_from = self._held_from.get(record.key_digest(document))
        return held_from is not None and document["id"] > held_from

    def held(self) -> list[str]:
        """Return the lanes in which records are held back."""
        return list(self._held_from)

    def has_seen(self, document: Document) -> bool:
        """Tell whether this record's delivery was started in this call."""
        return document["id"] in self._seen
