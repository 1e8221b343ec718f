"""The use case of a daily call: archive what is finished, end what was never deliverable, delete idle tokens.

Every step can end at any moment, and the next run goes on: a batch's name and records are noted before it
is archived, and the records are deleted together with that note.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import record
from shared.archive import Archive
from shared.collection import Records, Selection
from shared.errors import DependencyDown
from shared.indexes import DUE, FAILED
from shared.leases import LeaseTable
from shared.notes import Content, Notes
from shared.record import PARTITIONS, Document
from shared.retry import RetryPolicy
from shared.settings import Settings
from shared.values import OTHER_FAILURES
from shared.vault import KeptSecret, TokenVault

log = logging.getLogger(__name__)

BATCH = 500
_NAME = "archive"
_NEEDED_SECONDS = 20.0  # for a batch; with less left none is begun
_LEASE_SECONDS = 10.0  # how long a run waits for partitions that others work on


@dataclass
class Done:
    """What a run did, or, dry, would do."""

    archived: int = 0
    archivedDead: int = 0  # noqa: N815 - a member of the answer
    expired: int = 0
    secretsDeleted: int = 0  # noqa: N815
    secretsKept: int = 0  # noqa: N815
    """Secrets that are in use again, whose deletion was taken back."""
    endOfWork: bool = True  # noqa: N815


@dataclass(frozen=True)
class Maintenance:
    """Maintains one collection; one instance serves a process's calls."""

    settings: Settings
    records: Records
    leases: LeaseTable
    notes: Notes
    vault: TokenVault
    archive: Archive
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def run(self, deadline: float, *, dry_run: bool = False) -> dict[str, Any]:
        """Do what is to be done until `deadline` (monotonic seconds), and tell how much it was.

        Raises DependencyDown where a service was not to be reached: what is not done then stays to be done.
        """
        done = Done()
        if dry_run:
            self._count(done)
        else:
            self._expire(done, deadline)
            self._archive(done, deadline)
        self._clean_secrets(done, deadline, dry_run=dry_run)
        return asdict(done)

    def _count(self, done: Done) -> None:
        if self.settings.expire_after:
            done.expired = self.records.count(self._expiring())
        if self.settings.archive_bucket:
            cutoff = self._cutoff(self.settings.archive_after)
            done.archived = self.records.count_finished(cutoff)
            done.archivedDead = self.records.count(self._dead(cutoff))

    # Expiry

    def _expiring(self) -> Selection:
        cutoff = record.id_at(self._cutoff(self.settings.expire_after))
        return Selection(DUE, conditions={"id": {"$lt": cutoff}})

    def _expire(self, done: Done, deadline: float) -> None:
        """End records that have waited too long, as dead ones."""
        selection, stream = self._expiring(), RetryPolicy.of(self.settings).error_stream(OTHER_FAILURES)
        while self.settings.expire_after and (page := self.records.page(selection, BATCH)):
            if time.monotonic() > deadline - _NEEDED_SECONDS:
                done.endOfWork = False
                return
            with _Leased(self.leases) as mine:
                fresh = self.records.with_ids([one.document["id"] for one in page])
                ended = [
                    (one, record.expired(one.document, stream, self.now))
                    for one in fresh
                    if record.partition(one.document) in mine and record.is_unfinished(one.document)
                ]
                done.expired += sum(self.records.write(ended)) if ended else 0
            done.endOfWork &= len(ended) == len(fresh)
            selection = selection.behind(page[-1].document)

    # Archive

    def _dead(self, cutoff: datetime) -> Selection:
        conditions = {"dead": True, "datasync.lately": {"$lt": record.timestamp(cutoff)}}
        return Selection(FAILED, conditions=conditions)

    def _archive(self, done: Done, deadline: float) -> None:
        """Archive and delete batch after batch; what an interrupted run had begun comes first."""
        if not self.settings.archive_bucket:
            return
        if not self._finish_interrupted(done):
            done.endOfWork = False
            return
        cutoff = self._cutoff(self.settings.archive_after)
        after = ""
        while page := self.records.finished(cutoff, after, BATCH):
            if time.monotonic() > deadline - _NEEDED_SECONDS:
                done.endOfWork = False
                return
            documents = [one.document for one in page]
            done.archived += self._moved("finished", documents)
            after = documents[-1]["id"]
        self._archive_dead(done, self._dead(cutoff), deadline)

    def _archive_dead(self, done: Done, selection: Selection, deadline: float) -> None:
        """Archive dead records, each while no worker can replay it: a forced replay may be under way."""
        while page := self.records.page(selection, BATCH):
            if time.monotonic() > deadline - _NEEDED_SECONDS:
                done.endOfWork = False
                return
            with _Leased(self.leases) as mine:
                documents = self._still_dead([one.document["id"] for one in page], mine)
                done.archivedDead += self._moved("dead", documents) if documents else 0
            done.endOfWork &= len(documents) == len(page)
            selection = selection.behind(page[-1].document)

    def _still_dead(self, identities: Sequence[str], partitions: frozenset[int]) -> list[Document]:
        found = (one.document for one in self.records.with_ids(identities))
        return [one for one in found if one.get("dead") and record.partition(one) in partitions]

    def _finish_interrupted(self, done: Done) -> bool:
        """Finish the batch that the last run had begun; False where others work on its partitions."""
        note = self.notes.read(_NAME)
        if not note.get("ids"):
            return True
        log.info("an interrupted batch is archived again: %s", note["object"])
        with _Leased(self.leases) as mine:
            found = [one.document for one in self.records.with_ids(note["ids"])]
            if note["kind"] == "dead":
                if any(record.partition(one) not in mine for one in found):
                    return False
                found = [one for one in found if one.get("dead")]
            self._put_and_remove(note, found)
        done.archived += len(found) if note["kind"] == "finished" else 0
        done.archivedDead += len(found) if note["kind"] == "dead" else 0
        return True

    def _moved(self, kind: str, documents: Sequence[Document]) -> int:
        """Archive a batch and delete it; return how many records it had."""
        first, last = documents[0]["id"], documents[-1]["id"]
        day = documents[0]["createdDate"][:10].replace("-", "/")
        name = f"{self.settings.collection}/{kind}/{day}/{first}_{last}.jsonl.gz"
        identities = [document["id"] for document in documents]

        def begin(note: Content) -> Content | None:
            busy = bool(note.get("ids"))
            return None if busy else {"object": name, "kind": kind, "ids": identities}

        note = self.notes.change(_NAME, begin)
        if note is None:
            raise DependencyDown("Another maintenance call is at work; this one ends.")
        self._put_and_remove(note, documents)
        return len(documents)

    def _put_and_remove(self, note: Content, documents: Sequence[Document]) -> None:
        """Archive first, then delete: never the other way round."""
        if documents:
            self.archive.put(note["object"], documents)
        if not self.records.remove(documents, _NAME, note["object"]):
            raise DependencyDown("Another maintenance call has done this batch; this one ends.")

    # Secrets

    def _clean_secrets(self, done: Done, deadline: float, *, dry_run: bool) -> None:
        """Delete tokens that no unfinished record names and none was stored with for long.

        Deletion is scheduled a week ahead. It is taken back where a record has come meanwhile, and where it
        was ours: an operator's stands.
        """
        if not self.settings.secrets_unused_after:
            return
        since = self._cutoff(self.settings.secrets_unused_after)
        for secret in self.vault.kept():
            if time.monotonic() > deadline - _NEEDED_SECONDS:
                done.endOfWork = False
                return
            is_needed = self.records.names_secret(secret.name, since)
            if secret.is_ours and is_needed:
                done.secretsKept += 1
                if not dry_run:
                    self.vault.take_deletion_back(secret)
            elif not secret.is_leaving and not is_needed and secret.created < since:
                done.secretsDeleted += 1
                if not dry_run:
                    self._delete(secret, since)

    def _delete(self, secret: KeptSecret, since: datetime) -> None:
        """Schedule a deletion; look again for a record that was stored in this moment."""
        self.vault.delete(secret)
        if self.records.names_secret(secret.name, since):
            self.vault.take_deletion_back(secret)

    def _cutoff(self, seconds: float) -> datetime:
        return self.now - timedelta(seconds=seconds)


class _Leased:
    """A lease for one batch on whatever partitions are free, after a short wait for others."""

    def __init__(self, leases: LeaseTable):
        self._leases = leases

    def __enter__(self) -> frozenset[int]:
        end = time.monotonic() + _LEASE_SECONDS
        while True:
            standing = self._leases.look()
            # What dead workers left in flight is for a delivery to settle first.
            ready = standing.free and not standing.left_in_flight
            self._lease = self._leases.take(standing, PARTITIONS) if ready else None
            if self._lease is not None:
                return self._lease.partitions
            if time.monotonic() > end:
                return frozenset()
            time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        if self._lease is not None:
            self._leases.release(self._lease)
