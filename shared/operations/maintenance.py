"""The use case of a daily call: archive what is finished, end what was never deliverable, delete idle tokens.

Every step can end at any moment, and the next run goes on.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import Refused
from shared.model import ids, record, transitions
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.errors import DependencyDown
from shared.monitoring.call_stats import Backlog, CallStats
from shared.monitoring.publisher import Publisher
from shared.operations.archive import Archive
from shared.operations.archiver import Archiving
from shared.operations.turns import Leased, Turns, is_mine
from shared.settings import Settings
from shared.storage.leases import LeaseTable
from shared.storage.queries import DUE, Query
from shared.storage.records import Records
from shared.storage.tokens import KeptSecret, TokenVault

log = logging.getLogger(__name__)

_MICROSECOND = timedelta(microseconds=1)  # between two that expire: the report looks back by their times


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
    notes: SmallDocuments
    vault: TokenVault
    archive: Archive
    publisher: Publisher
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    seen: CallStats = field(default_factory=CallStats)
    sleep: Callable[[float], None] = time.sleep

    def run(self, deadline: float, *, dry_run: bool = False) -> dict[str, Any]:
        """Do what is to be done until `deadline` (monotonic seconds), and tell how much it was.

        Raises DependencyDown where a service was not to be reached: what is not done then stays to be done.
        """
        done, turns = Done(), Turns(deadline, self.sleep)
        if dry_run:
            self._count(done)
            self._clean_secrets(done, turns, dry_run=True)
            return asdict(done)
        try:
            self._expire(done, turns)
            self._archive(done, turns)
            self._clean_secrets(done, turns, dry_run=False)
        finally:
            self.publisher.notify(self.seen)
            self._post_metrics()
        return asdict(done)

    def _post_metrics(self) -> None:
        if not self.publisher.wants_metrics:
            return
        try:
            backlog = Backlog(*self.records.backlog(self.now))
        except DependencyDown as error:
            log.warning("the metrics could not be posted: %s", error)
            return
        self.publisher.post_metrics(self.seen, backlog)

    def _count(self, done: Done) -> None:
        if self.settings.expire_after:
            done.expired = self.records.count(self._expiring())
        if self.settings.archive_bucket:
            archiving = self._archiving()
            archiving.count()
            done.archived, done.archivedDead = archiving.finished, archiving.dead

    # Archive

    def _archiving(self) -> Archiving:
        cutoff = self._cutoff(self.settings.archive_after)
        parts = self.records, self.leases, self.notes, self.archive, cutoff
        return Archiving(self.settings.collection, *parts)

    def _archive(self, done: Done, turns: Turns) -> None:
        if self.settings.archive_bucket:
            archiving = self._archiving()
            done.endOfWork &= archiving.run(turns)
            done.archived, done.archivedDead = archiving.finished, archiving.dead

    # Expiry

    def _expiring(self) -> Query:
        cutoff = ids.id_at(self._cutoff(self.settings.expire_after))
        return Query(DUE, conditions=[{"id": {"$lt": cutoff}}])

    def _expire(self, done: Done, turns: Turns) -> None:
        """End records that have waited too long, as dead ones."""
        if not self.settings.expire_after:
            return
        stream = self.settings.retry_policy().error_stream(UNEXPECTED_ERROR)
        for page in turns.pages(self.records, self._expiring()):
            with Leased(self.leases) as lease:
                fresh = self.records.with_ids([one.document["id"] for one in page])
                waiting = [one for one in fresh if record.is_unfinished(one.document)]
                ended = [
                    (one, transitions.expired(one.document, stream, self.now + place * _MICROSECOND))
                    for place, one in enumerate(waiting, done.expired)
                    if is_mine(one.document, lease)
                ]
                written = self.records.write(ended) if ended else []
            for (before, after), is_written in zip(ended, written, strict=True):
                if is_written:
                    self.seen.record_expiry(before.document, after)
                    done.expired += 1
            done.endOfWork &= len(ended) == len(waiting)
        done.endOfWork &= turns.in_time()

    # Secrets

    def _clean_secrets(self, done: Done, turns: Turns, *, dry_run: bool) -> None:
        """Delete tokens that no unfinished record names and none was stored with for long.

        Deletion is scheduled a week ahead. It is taken back where a record has come meanwhile, and where it
        was ours: an operator's stands.
        """
        if not self.settings.secrets_unused_after:
            return
        since = self._cutoff(self.settings.secrets_unused_after)
        for secret in self.vault.kept():
            if not turns.in_time():
                done.endOfWork = False
                return
            try:
                self._clean_secret(secret, since, done, dry_run=dry_run)
            except Refused as error:  # somebody else is deleting it, or keeping it
                log.warning("Vault refused (%s) to change a secret; it is left as it is", error.status)

    def _clean_secret(self, secret: KeptSecret, since: datetime, done: Done, *, dry_run: bool) -> None:
        is_needed = self.records.names_secret(secret.name, since)
        if secret.is_ours and is_needed:
            done.secretsKept += secret.is_leaving
            if not dry_run:
                self._keep(secret)
        elif not secret.is_leaving and not is_needed and secret.created < since:
            done.secretsDeleted += dry_run or self._deleted(secret, since)

    def _keep(self, secret: KeptSecret) -> None:
        if secret.is_leaving:
            self.vault.take_deletion_back(secret)
        else:  # noted by a run that ended before it was scheduled
            self.vault.disown(secret)

    def _deleted(self, secret: KeptSecret, since: datetime) -> bool:
        """Schedule a deletion; take it back at once where a record was stored in this moment."""
        self.vault.delete(secret)
        if self.records.names_secret(secret.name, since):
            self.vault.take_deletion_back(secret)
            return False
        return True

    def _cutoff(self, seconds: float) -> datetime:
        return self.now - timedelta(seconds=seconds)
