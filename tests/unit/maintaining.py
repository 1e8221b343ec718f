"""Maintenance of a collection in a file, in which everything is old at once; the archive is in memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.model import record, transitions
from shared.model.record import Document
from shared.model.transitions import Failure
from shared.monitoring.call_stats import Backlog, CallStats
from shared.operations.archiver import Archiver
from shared.operations.expirer import Expirer
from shared.operations.lease import MaintenanceLease
from shared.operations.maintenance import Maintenance, Step
from shared.settings import Settings
from shared.storage import counters
from shared.storage.leases import LeaseTable
from shared.storage.records import Records, Stored

CONFIG = {
    "DATABASE_DSN": "sqlite:x",
    "VAULT_OCID": "v",
    "VAULT_KEY_OCID": "k",
    "VAULT_COMPARTMENT_OCID": "c",
    "EXPIRE_AFTER": "1ms",
    "ARCHIVE_BUCKET": "b",
    "ARCHIVE_AFTER": "1ms",
    "COLLECTION": "c",
}


@dataclass
class Published:
    """What operators are notified of."""

    dead: int = 0
    wants_metrics: bool = False

    def notify(self, stats: CallStats) -> None:
        self.dead += stats.dead

    def post_metrics(self, stats: CallStats, backlog: Backlog) -> None:
        """Post nothing."""


@dataclass
class Archive:
    """A bucket in memory; something may happen while a batch is put there."""

    objects: dict[str, list[Document]] = field(default_factory=dict)
    meanwhile: Callable[[], object] = bool

    def put(self, name: str, documents: Sequence[Document]) -> None:
        meanwhile, self.meanwhile = self.meanwhile, bool
        meanwhile()
        self.objects[name] = list(documents)

    def ids(self) -> list[list[str]]:
        return [[one["id"] for one in documents] for documents in self.objects.values()]

    def states(self, identity: str) -> list[int]:
        """After how many attempts a record stands in the archive."""
        found = [one for documents in self.objects.values() for one in documents if one["id"] == identity]
        return [record.attempts(one) for one in found]


class Work:
    """A collection, its archive, and what one process has of them."""

    def __init__(self, path: Path, archive: Archive | None = None, **config: str):
        self.path = path
        self.database = Database(f"sqlite:{path}", "", str)
        self.settings = Settings.from_config(CONFIG | config)
        self.records, self.leases = (
            Records(self.database, "c"),
            LeaseTable(self.database, self.database, "c", 60),
        )
        self.documents = SmallDocuments(self.database, "c")
        self.archive, self.published = archive or Archive(), Published()
        self.now = datetime.now(UTC) + timedelta(hours=1)
        self.sleep: Callable[[float], None] = lambda _: None
        self.lease_seconds = 60.0

    def another(self) -> "Work":
        """The same in a process of its own."""
        return Work(self.path, self.archive)

    @property
    def expirer(self) -> Expirer:
        return Expirer(self.settings, self.records, self.leases, self.published)  # type: ignore[arg-type]  # in memory

    @property
    def archiver(self) -> Archiver:
        return Archiver(self.settings, self.records, self.leases, self.archive)  # type: ignore[arg-type]  # in memory

    def lease(self) -> MaintenanceLease:
        return MaintenanceLease(self.documents, self.lease_seconds, sleep=lambda _: None)

    def run(self, *steps: Step, dry_run: bool = False) -> dict[str, Any]:
        """Run maintenance; its answer."""
        work = Maintenance(self.lease(), steps or (self.archiver,), lambda: self.now, self.sleep)
        return work.run(time.monotonic() + 60, dry_run=dry_run)

    def stored(self, number: int, **members: str) -> list[Stored]:
        target = {"targetRestApi": "https://a.example.com/", "targetRestApiOperation": "DELETE"}
        documents = [record.new(target | members) for _ in range(number)]
        self.records.insert(documents)
        return self.records.with_ids([document["id"] for document in documents])

    def finished(self, number: int, **members: str) -> list[str]:
        found = self.stored(number, **members)
        ended = [(one, transitions.succeeded(one.document, 200, datetime.now(UTC))) for one in found]
        self.records.write(ended)
        return [one.document["id"] for one in found]

    def dead(self, number: int) -> list[str]:
        ids = [one.document["id"] for one in self.stored(number)]
        self.fail(ids)
        return ids

    def fail(self, ids: Sequence[str], again: datetime | None = None) -> None:
        """Fail records once more, for good or until another attempt."""
        failure = Failure(404, "why", "unrecoverable", again)
        found = self.records.with_ids(ids)
        after = [(one, transitions.failed(one.document, failure, datetime.now(UTC))) for one in found]
        assert all(self.records.write(after))

    def left(self, ids: Sequence[str]) -> set[str]:
        return {one.document["id"] for one in self.records.with_ids(ids)}

    def counted(self) -> int:
        return counters.finished(self.documents.all())["success"]
