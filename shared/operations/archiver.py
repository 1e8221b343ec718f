"""The archiver: moves what has ended into a bucket, in batches: recorded, put there, then deleted.

A batch is recorded in the lease's document before its object is put, and forgotten in the transaction that
deletes its records, so an interrupted one is found by the next run, and put again under the same name.
Whatever else happens, each record that is deleted stands, as it was deleted, in the object of its batch:

- the name says which records in which states were recorded, so two batches never write to one object;
- a batch puts and deletes records only in the states in which they were recorded. A run that was presumed
  dead read them earlier than the one that finishes its batch, so what it still puts holds no less;
- it can delete nothing: the lease is not its own any more.
"""

import gzip
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import chain

from shared.drivers.oci import OciClients, Refused
from shared.model import ids, json_codec
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.operations import pruner
from shared.operations.maintenance import BATCH, Done, Run, is_leased, leased_partitions
from shared.settings import Settings
from shared.storage.leases import Lease, LeaseTable
from shared.storage.queries import FAILED, LATELY, Query, member
from shared.storage.records import Records, Stored

log = logging.getLogger(__name__)

FINISHED, DEAD = "finished", "dead"  # kinds of batches, and folders of the archive
_BATCH = "batch"  # in the lease's memory
_LEVEL = 6  # of compression


class Bucket:
    """The archive: objects of compressed JSON lines, each put as a whole."""

    def __init__(self, clients: OciClients, name: str):
        self._clients = clients
        self._name = name
        self._namespace = ""

    def put(self, name: str, documents: Sequence[Document]) -> None:
        """Put records under a name, one a line; the same records make the same object, byte for byte.

        Raises DependencyDown if it may not be there.
        """
        lines = b"".join(json_codec.dump(document) + b"\n" for document in documents)
        try:
            self._namespace = self._namespace or str(self._call("get_namespace"))
            self._call("put_object", self._namespace, self._name, name, gzip.compress(lines, _LEVEL, mtime=0))
        except Refused as error:
            raise DependencyDown(
                f"Object Storage refused ({error.status}) to keep an archive; the operator checks"
                " ARCHIVE_BUCKET and the policies. Nothing was deleted."
            ) from None

    def _call(self, operation: str, *arguments: object) -> object:
        return self._clients.call("object_storage", "ObjectStorageClient", operation, *arguments)


@dataclass(frozen=True)
class Batch:
    """Records that are archived together: their object's name, and the version of each by its id."""

    kind: str
    name: str
    versions: Mapping[str, str]

    @classmethod
    def of(cls, collection: str, kind: str, found: Sequence[Stored]) -> "Batch":
        """Return a batch of records in the order of their ids, filed by the day of the first."""
        versions = {str(one.document["id"]): one.version for one in found}
        first, last = found[0].document["id"], found[-1].document["id"]
        day = ids.stored_at(first).strftime("%Y/%m/%d")
        digest = hashlib.sha256(json_codec.dump(versions)).hexdigest()[:8]
        return cls(kind, f"{collection}/{kind}/{day}/{first}_{last}_{digest}.jsonl.gz", versions)

    def done(self, number: int) -> Done:
        """Return the part of the answer for `number` of its records that were archived."""
        return Done(archivedDead=number) if self.kind == DEAD else Done(archived=number)


class Archiver:
    """Moves what ended longer than ARCHIVE_AFTER ago."""

    def __init__(self, settings: Settings, records: Records, leases: LeaseTable, bucket: Bucket):
        self._collection = settings.collection
        self._after = timedelta(seconds=settings.archive_after)
        self._records = records
        self._leases = leases
        self._bucket = bucket

    def count(self, run: Run) -> Done:
        """Count what would be moved."""
        finished = self._records.count_finished(run.now - self._after)
        return Done(archived=finished, archivedDead=self._records.count(self._dead(run)))

    def run(self, run: Run) -> Iterator[Done]:
        """Move batch after batch, an interrupted one first; none is begun while another is not completed."""
        for part in chain(self._complete_interrupted(run), self._move_finished(run), self._move_dead(run)):
            yield part
            if _BATCH in run.lease.memory():
                return

    def _complete_interrupted(self, run: Run) -> Iterator[Done]:
        kept = run.lease.memory().get(_BATCH)
        if not kept:
            return
        batch = Batch(**kept)
        log.info("an interrupted batch is archived again: %s", batch.name)
        if batch.kind == FINISHED:
            yield self._completed(run, batch, self._as_recorded(batch), None)
            return
        with leased_partitions(self._leases) as lease:
            found = self._as_recorded(batch)
            is_free = all(is_leased(one.document, lease) for one in found)
            done = self._completed(run, batch, found, lease) if is_free else Done(endOfWork=False)
        yield done

    def _as_recorded(self, batch: Batch) -> list[Stored]:
        found = self._records.with_ids(batch.versions)
        return [one for one in found if one.version == batch.versions[one.document["id"]]]

    def _move_finished(self, run: Run) -> Iterator[Done]:
        after = ""
        while page := self._records.finished(run.now - self._after, after, BATCH):
            if not run.goes_on():
                yield Done(endOfWork=False)
                return
            yield self._moved(run, FINISHED, page)
            after = page[-1].document["id"]

    def _dead(self, run: Run) -> Query:
        return Query(
            FAILED, conditions=[{"dead": True, member(LATELY): {"$lt": ids.timestamp(run.now - self._after)}}]
        )

    def _move_dead(self, run: Run) -> Iterator[Done]:
        """Move dead records, each while no worker can replay it: a forced replay may be under way."""
        for page in run.pages(self._records, self._dead(run)):
            with leased_partitions(self._leases) as lease:
                free = [one for one in page if is_leased(one.document, lease)]
                done = self._moved(run, DEAD, free, lease) if free else Done()
            yield done + Done(endOfWork=len(free) == len(page))
        yield Done(endOfWork=run.goes_on())

    def _moved(self, run: Run, kind: str, found: Sequence[Stored], lease: Lease | None = None) -> Done:
        batch = Batch.of(self._collection, kind, found)
        run.lease.remember(**{_BATCH: asdict(batch)})
        return self._completed(run, batch, found, lease)

    def _completed(self, run: Run, batch: Batch, found: Sequence[Stored], lease: Lease | None) -> Done:
        """Put what a recorded batch holds into the archive, then delete it: never the other way round."""
        documents = [one.document for one in found]
        if documents:
            self._bucket.put(batch.name, documents)
        is_leased_still = lease is None or self._leases.renew(lease)
        uses = pruner.with_uses(run.lease.memory(), documents)
        if is_leased_still and run.lease.remember_by(
            lambda held, content: self._records.remove(found, held, content), **{_BATCH: None}, **uses
        ):
            return batch.done(len(documents))
        run.lease.remember()  # raises if that was the reason
        log.info("a batch was changed by others meanwhile; it is left to the next run")
        return Done(endOfWork=False)
