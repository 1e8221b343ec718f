"""What ingest needs of storage and monitoring, and no more of them than that."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from shared.model.record import Document, Proof
from shared.monitoring.call_stats import CallStats


class RecordStore(Protocol):
    """The records of storage, as far as they are used here."""

    def now(self) -> datetime:
        """Return the database's time."""

    def newest_waiting(self, keys: Collection[str], after: str) -> str | None:
        """Return the greatest id of a record that waits with one of these keys, if greater than `after`."""

    def insert(self, documents: Sequence[Document]) -> None:
        """Store new records, all or none; Taken if another request has used a key of theirs."""

    def get(self, identity: str) -> Document | None:
        """Return the record with this id."""

    def received(self, key: str) -> list[Document]:
        """Return the records that one request has stored under an idempotency key, in their order."""

    def already_received(self, places: Collection[str]) -> dict[str, Document]:
        """Return the records with these idempotency keys, by key."""


class TokenStore(Protocol):
    """The callers' tokens, as far as they are used here."""

    def claim_all(self, names: Iterable[str], token: str) -> dict[str, Proof]:
        """Keep a token under new names, or prove by it the right to use names; all or none."""


class Notifier(Protocol):
    """What notifies operators of failures, as far as it is used here."""

    def notify(self, stats: CallStats, call: str, *, publishing: bool = True) -> None:
        """Publish what failed, or keep it for a later call to publish."""
