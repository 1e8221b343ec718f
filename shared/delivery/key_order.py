"""Order within keys, in one call: which delivery a record follows, and what holds it back."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from shared.model import record
from shared.model.record import NO_KEY, Document

_MOST_NAMED = 200  # keys that one query passes over
_MANY = 64  # records of a key that were read for nothing


class KeyOrder:
    """The keys of the records that a call has met; one without a key follows none and holds back none."""

    MOST_BEGUN = 32
    """Of one key at once: the others wait in the database, where they cost those of other keys nothing."""

    def __init__(self) -> None:
        self._tails: dict[str, asyncio.Task[None]] = {}
        self._resting_from: dict[str, str] = {}
        self._paused_from: dict[str, str] = {}
        self._seen: set[str] = set()
        self._begun: Counter[str] = Counter()
        self._last: dict[str, str] = {}
        self._deferred_after: dict[str, str] = {}
        self._skipped: Counter[str] = Counter()

    def tail(self, document: Document) -> "asyncio.Task[None] | None":
        """Return the delivery that must end before this record's may begin."""
        return self._tails.get(record.key_digest(document))

    def follow(self, document: Document, task: "asyncio.Task[None]") -> None:
        """Register `task`, which delivers this record, for the next of its key to wait for."""
        key = record.key_digest(document)
        if key != NO_KEY:
            self._tails[key] = task
            self._seen.add(document["id"])
            self._begun[key] += 1
            self._last[key] = document["id"]

    def ended(self, document: Document) -> None:
        """Note that a delivery of its key has ended."""
        self._begun[record.key_digest(document)] -= 1

    def is_deep(self, document: Document) -> bool:
        """Tell whether so many of its key are begun that this one is to be read again later."""
        key = record.key_digest(document)
        return key != NO_KEY and (key in self._deferred_after or self._begun[key] >= self.MOST_BEGUN)

    def defer(self, document: Document) -> None:
        """Leave what comes after the last of its key that was begun, until few of those are left."""
        key = record.key_digest(document)
        self._deferred_after[key] = self._last[key]

    def release(self, document: Document) -> None:
        """Have the later records of a key begun, which this one has held back, and which were not read."""
        key = record.key_digest(document)
        if key != NO_KEY:
            self._deferred_after.setdefault(key, document["id"])

    @property
    def deferred(self) -> bool:
        """Tell whether records were left that may still be sent in this call."""
        return any(not self._is_stopped(key) for key in self._deferred_after)

    def next_deferred(self) -> tuple[str, str] | None:
        """Return a key of which more may be begun now, and the id after which they come."""
        for key, after in self._deferred_after.items():
            if self._begun[key] <= self.MOST_BEGUN // 4 and not self._is_stopped(key):
                del self._deferred_after[key]
                return key, after
        return None

    def _is_stopped(self, key: str) -> bool:
        return key in self._resting_from or key in self._paused_from

    def hold(self, document: Document) -> None:
        """Hold back all later records of this one's key: it has not succeeded, and is not sent again soon."""
        key = record.key_digest(document)
        if key != NO_KEY:
            self._resting_from[key] = min(document["id"], self._resting_from.get(key, document["id"]))

    def pause_behind(self, key: str, identity: str) -> None:
        """Hold back the records of a key that are later than the one with this id, in this call only."""
        if key == NO_KEY:
            return
        self._paused_from[key] = min(identity, self._paused_from.get(key, identity))

    def pause(self, key: str) -> None:
        """Hold back all records of a key, in this call only: what comes before them is not known."""
        self.pause_behind(key, "")

    def is_held(self, document: Document) -> bool:
        """Tell whether an earlier record of its key holds this one back."""
        return self.is_resting(document) or _is_behind(document, self._paused_from)

    def is_resting(self, document: Document) -> bool:
        """Tell whether it is held back in another call at once, too."""
        return _is_behind(document, self._resting_from)

    def skipped(self, document: Document) -> None:
        """Note that one that was read is held back."""
        self._skipped[record.key_digest(document)] += 1

    def held(self) -> list[str]:
        """Return the digests of the keys of which records are held back, as far as queries pass over them.

        Many keys in a query cost more than they spare, unless many records of each are held back.
        """
        keys = list(self._resting_from | self._paused_from | self._deferred_after)
        if len(keys) <= _MOST_NAMED:
            return keys
        return [key for key, number in self._skipped.most_common(_MOST_NAMED) if number >= _MANY]

    def resting(self) -> list[str]:
        """Return those of which records are held back in another call at once, too."""
        return list(self._resting_from)

    def has_seen(self, document: Document) -> bool:
        """Tell whether this record's delivery was started in this call."""
        return self.has_seen_id(document["id"])

    def has_seen_id(self, identity: str) -> bool:
        """Tell the same of the record with this id, if it has a key."""
        return identity in self._seen


def _is_behind(document: Document, held_from: Mapping[str, str]) -> bool:
    identity = held_from.get(record.key_digest(document))
    return identity is not None and document["id"] > identity
