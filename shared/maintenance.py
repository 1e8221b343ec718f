"""The use case of a daily call: archive what is finished, end what was never deliverable, delete idle tokens.

Every step can end at any moment, and the next run goes on: a batch's name and records are noted before it
is archived, and the records are deleted together with that note. Two runs at once do no harm: one of them
has the note.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import record
from shared.archive import Archive
from shared.collection import Records, Selection, Stored
from shared.indexes import DUE, FAILED
from shared.leases import Lease, LeaseTable
from shared.notes import Content, Notes
from shared.observed import Observed
from shared.oci_clients import Refused
from shared.record import PARTITIONS, Document
from shared.retry import RetryPolicy
from shared.settings import Settings
from shared.telling import Telling
from shared.values import OTHER_FAILURES
from shared.vault import KeptSecret, TokenVault

log = logging.getLogger(__name__)

BATCH = 500
_NAME = "archive"
_NEEDED_SECONDS = 20.0  # for a batch; with less left none is begun
_LEASE_SECONDS = 10.0  # how long a run waits for partitions that others work on
_TURN_SECONDS = 0.6  # longer than a delivery waits at most before it looks at the leases again

FINISHED, DEAD = "finished", "dead"  # kinds of batches, and folders of the archive
_ENDED: dict[str, Callable[[Document], bool]] = {
    FINISHED: lambda document: document["status"] in (record.SUCCESS, record.FILTERED),
    DEAD: lambda document: bool(document.get("dead")),
}


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
    """Maintains one collection; one instance serves a call."""

    settings: Settings
    records: Records
    leases: LeaseTable
    notes: Notes
    vault: TokenVault
    archive: Archive
    telling: Telling
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    seen: Observed = field(default_factory=Observed)
    sleep: Callable[[float], None] = time.sleep

    def run(self, deadline: float, *, dry_run: bool = False) -> dict[str, Any]:
        """Do what is to be done until `deadline` (monotonic seconds), and tell how much it was.

        Raises DependencyDown where a service was not to be reached: what is not done then stays to be done.
        """
        done = Done()
        if dry_run:
            self._count(done)
            self._clean_secrets(done, deadline, dry_run=True)
            return asdict(done)
        try:
            self._expire(done, deadline)
            self._archive(done, deadline)
            self._clean_secrets(done, deadline, dry_run=False)
        finally:
            self.telling.notify(self.seen)
            self.telling.post(self.seen)
        return asdict(done)

    def _count(self, done: Done) -> None:
        if self.settings.expire_after:
            done.expired = self.records.count(self._expiring())
        if self.settings.archive_bucket:
            cutoff = self._cutoff(self.settings.archive_after)
            done.archived = self.records.count_finished(cutoff)
            done.archivedDead = self.records.count(self._dead(cutoff))

    def _batches(self, selection: Selection, done: Done, deadline: float) -> Iterator[list[Stored]]:
        """Yield pages of a selection, as long as there is time; between two, deliveries have a turn."""
        first = True
        while page := self.records.page(selection, BATCH):
            if not first:
                self.sleep(_TURN_SECONDS)
            if time.monotonic() > deadline - _NEEDED_SECONDS:
                done.endOfWork = False
                return
            yield page
            selection, first = selection.behind(page[-1].document), False

    # Expiry

    def _expiring(self) -> Selection:
        cutoff = record.id_at(self._cutoff(self.settings.expire_after))
        return Selection(DUE, conditions={"id": {"$lt": cutoff}})

    def _expire(self, done: Done, deadline: float) -> None:
        """End records that have waited too long, as dead ones."""
        if not self.settings.expire_after:
            return
        stream = RetryPolicy.of(self.settings).error_stream(OTHER_FAILURES)
        for page in self._batches(self._expiring(), done, deadline):
            with _Leased(self.leases) as lease:
                fresh = self.records.with_ids([one.document["id"] for one in page])
                ended = [
                    (one, record.expired(one.document, stream, self.now))
                    for one in fresh
                    if _is_mine(one.document, lease) and record.is_unfinished(one.document)
                ]
                written = self.records.write(ended) if ended else []
            for (before, after), is_written in zip(ended, written, strict=True):
                if is_written:
                    self.seen.died(before.document, after)
                    done.expired += 1
            done.endOfWork &= len(ended) == len(fresh)

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
            in_time = time.monotonic() < deadline - _NEEDED_SECONDS
            if not (in_time and self._moved(FINISHED, [one.document for one in page], done)):
                done.endOfWork = False
                return
            after = page[-1].document["id"]
        self._archive_dead(done, self._dead(cutoff), deadline)

    def _archive_dead(self, done: Done, selection: Selection, deadline: float) -> None:
        """Archive dead records, each while no worker can replay it: a forced replay may be under way."""
        for page in self._batches(selection, done, deadline):
            mine = []
            with _Leased(self.leases) as lease:
                mine = [one.document for one in page if _is_mine(one.document, lease)]
                moved = not mine or self._moved(DEAD, mine, done, lease)
            done.endOfWork &= moved and len(mine) == len(page)
            if not moved:
                return

    def _finish_interrupted(self, done: Done) -> bool:
        """Finish the batch that the last run had begun; False where others work on its partitions."""
        note = self.notes.read(_NAME)
        if not note.get("ids"):
            return True
        log.info("an interrupted batch is archived again: %s", note["object"])
        if note["kind"] == FINISHED:
            return self._completed(note, done, None, is_resumed=True)
        with _Leased(self.leases) as lease:
            found = self.records.with_ids(note["ids"])
            if not all(_is_mine(one.document, lease) for one in found):
                return False
            return self._completed(note, done, lease, is_resumed=True)

    def _moved(
        self, kind: str, documents: Sequence[Document], done: Done, lease: Lease | None = None
    ) -> bool:
        """Archive a batch and delete it; False where that is left to another run.

        No other batch has this object's name: what is archived is never written over by something else.
        """
        first = documents[0]
        day = first["createdDate"][:10].replace("-", "/")
        name = f"{self.settings.collection}/{kind}/{day}/{first['id']}-{secrets.token_hex(4)}.jsonl.gz"
        identities = [document["id"] for document in documents]

        def begin(note: Content) -> Content | None:
            busy = bool(note.get("ids"))
            return None if busy else {"object": name, "kind": kind, "ids": identities}

        note = self.notes.change(_NAME, begin)
        if note is None:
            log.info("another maintenance call is at work; this one archives no more")
            return False
        return self._completed(note, done, lease, is_resumed=False)

    def _completed(self, note: Content, done: Done, lease: Lease | None, *, is_resumed: bool) -> bool:
        """Archive what a noted batch holds now, then delete that: never the other way round.

        What the note names is read again: since then another run may have archived it, or a replay delivered
        it. A batch that is resumed is written even where nothing is left of it, over what was.
        """
        kind = str(note["kind"])
        found = [one.document for one in self.records.with_ids(note["ids"])]
        documents = [one for one in found if _ENDED[kind](one)]
        if documents or is_resumed:
            self.archive.put(note["object"], documents)
        if lease is not None and not self.leases.renew(lease):
            log.warning("another worker took over the partitions of a batch; the next run archives it again")
            return False
        if not self.records.remove(documents, _NAME, note["object"]):
            log.info("a batch was changed or archived by others meanwhile")
            return False
        if kind == FINISHED:
            done.archived += len(documents)
        else:
            done.archivedDead += len(documents)
        return True

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
            try:
                self._clean_secret(secret, since, done, dry_run=dry_run)
            except Refused as error:  # somebody else is deleting it, or keeping it
                log.warning("Vault refused (%s) to change a secret; it is left as it is", error.status)

    def _clean_secret(self, secret: KeptSecret, since: datetime, done: Done, *, dry_run: bool) -> None:
        is_needed = self.records.names_secret(secret.name, since)
        if secret.is_ours and is_needed:
            if not dry_run:
                self.vault.take_deletion_back(secret)
            done.secretsKept += 1
        elif not secret.is_leaving and not is_needed and secret.created < since:
            if not dry_run:
                self._delete(secret, since)
            done.secretsDeleted += 1

    def _delete(self, secret: KeptSecret, since: datetime) -> None:
        """Schedule a deletion; look again for a record that was stored in this moment."""
        self.vault.delete(secret)
        if self.records.names_secret(secret.name, since):
            self.vault.take_deletion_back(secret)

    def _cutoff(self, seconds: float) -> datetime:
        return self.now - timedelta(seconds=seconds)


def _is_mine(document: Document, lease: Lease | None) -> bool:
    return lease is not None and record.partition(document) in lease.partitions


class _Leased:
    """A lease for one batch on whatever partitions are free, after a short wait; None where none are."""

    def __init__(self, leases: LeaseTable):
        self._leases = leases

    def __enter__(self) -> Lease | None:
        end = time.monotonic() + _LEASE_SECONDS
        while True:
            standing = self._leases.look()
            # What dead workers left in flight is for a delivery to settle first.
            ready = standing.free and not standing.left_in_flight
            self._lease = self._leases.take(standing, PARTITIONS) if ready else None
            if self._lease is not None or time.monotonic() > end:
                return self._lease
            time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        if self._lease is not None:
            self._leases.release(self._lease)
