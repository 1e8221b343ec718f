"""What ingest needs of storage and monitoring, and no more of them than that."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from shared.model.record import Document, Proof
from shared.monitoring.call_stats import CallStats
from shared.storage.listing import Page, RecordQuery
from shared.storage.records import Change, Stored


class RecordStore(Protocol):
    """The records of storage, as far as they are used here."""

    def now(self) -> datetime:
        """Return the database's time."""

    def newest_waiting(self, keys: Collection[str], after: str) -> str | None:
        """Return the greatest id of a record that waits with one of these keys, if greater than `after`."""

    def insert(self, documents: Sequence[Document]) -> None:
        """Store new records, all or none; Taken if another request has used a key of theirs."""

    def received(self, key: str) -> list[Document]:
        """Return the records that one request has stored under an idempotency key, in their order."""

    def already_received(self, places: Collection[str]) -> dict[str, Document]:
        """Return the records with these idempotency keys, by key."""


class FindsRecords(Protocol):
    """What finds records by their ids."""

    def with_ids(self, identities: Collection[str], /) -> list[Stored]:
        """Return the records with these ids."""


class ChangesRecords(Protocol):
    """What changes records."""

    def now(self) -> datetime:
        """Return the database's time."""

    def write(self, changes: Sequence[Change], /) -> list[bool]:
        """Write records as they stand now; False for each that somebody else changed since it was read."""


class Lists(Protocol):
    """What lists records."""

    def search(self, query: RecordQuery, limit: int, after: str | None = None, /) -> Page:
        """Return a page of what a search finds."""


class AuditLog(Protocol):
    """What keeps who did what."""

    def add(
        self, act: str, by: str, moment: datetime, said: Mapping[str, Any], counts: Mapping[str, int], /
    ) -> None:
        """Note what somebody did."""


class TokenStore(Protocol):
    """The callers' tokens, as far as they are used here."""

    def claim_all(self, names: Iterable[str], token: str) -> dict[str, Proof]:
        """Keep a token under new names, or prove by it the right to use names; all or none."""


class Notifier(Protocol):
    """What notifies operators of failures, as far as it is used here."""

    def notify(self, stats: CallStats, call: str, *, publishing: bool = True) -> None:
        """Publish what failed, or keep it for a later call to publish."""
