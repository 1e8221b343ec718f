"""Batches of ended records on their way into the archive: noted, put there, deleted together with the note.

Whatever ends a run, the next one finds its note and finishes that batch. Two runs at once do no harm: one of
them has the note. What a note names is read again before it is put and deleted: others may have been there.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared import record
from shared.archive import Archive
from shared.collection import Records
from shared.indexes import FAILED
from shared.leases import Lease, LeaseTable
from shared.notes import Content, Notes
from shared.record import Document
from shared.selections import Selection
from shared.turns import BATCH, Leased, Turns, is_mine

log = logging.getLogger(__name__)

FINISHED, DEAD = "finished", "dead"  # kinds of batches, and folders of the archive
_NAME = "archive"  # of the note
_ENDED: dict[str, Callable[[Document], bool]] = {
    FINISHED: lambda document: document["status"] in (record.SUCCESS, record.FILTERED),
    DEAD: lambda document: bool(document.get("dead")),
}


@dataclass
class Archiving:
    """Moves what ended before `cutoff`; one instance serves one run."""

    collection: str
    records: Records
    leases: LeaseTable
    notes: Notes
    archive: Archive
    cutoff: datetime
    finished: int = 0
    """How many finished records were moved, and how many dead ones."""
    dead: int = 0

    def count(self) -> None:
        """Count what would be moved."""
        self.finished = self.records.count_finished(self.cutoff)
        self.dead = self.records.count(self._dead())

    def run(self, turns: Turns) -> bool:
        """Move batch after batch; what an interrupted run had begun comes first. False where some is left."""
        return self._finish_interrupted() and self._move_finished(turns) and self._move_dead(turns)

    def _move_finished(self, turns: Turns) -> bool:
        after = ""
        while page := self.records.finished(self.cutoff, after, BATCH):
            if not (turns.in_time() and self._moved(FINISHED, [one.document for one in page])):
                return False
            after = page[-1].document["id"]
        return True

    def _dead(self) -> Selection:
        conditions = {"dead": True, "datasync.lately": {"$lt": record.timestamp(self.cutoff)}}
        return Selection(FAILED, conditions=conditions)

    def _move_dead(self, turns: Turns) -> bool:
        """Move dead records, each while no worker can replay it: a forced replay may be under way."""
        is_all = True
        for page in turns.pages(self.records, self._dead()):
            with Leased(self.leases) as lease:
                mine = [one.document for one in page if is_mine(one.document, lease)]
                if mine and not self._moved(DEAD, mine, lease):
                    return False
            is_all &= len(mine) == len(page)
        return is_all and turns.in_time()

    def _finish_interrupted(self) -> bool:
        """Finish the batch that the last run had begun; False where others work on its partitions."""
        note = self.notes.read(_NAME)
        if not note.get("ids"):
            return True
        log.info("an interrupted batch is archived again: %s", note["object"])
        if note["kind"] == FINISHED:
            return self._completed(note, None, is_resumed=True)
        with Leased(self.leases) as lease:
            found = self.records.with_ids(note["ids"])
            if not all(is_mine(one.document, lease) for one in found):
                return False
            return self._completed(note, lease, is_resumed=True)

    def _moved(self, kind: str, documents: Sequence[Document], lease: Lease | None = None) -> bool:
        """Archive a batch and delete it; False where that is left to another run.

        No other batch has this object's name: what is archived is never written over by something else.
        """
        first = documents[0]
        day = first["createdDate"][:10].replace("-", "/")
        name = f"{self.collection}/{kind}/{day}/{first['id']}-{secrets.token_hex(4)}.jsonl.gz"
        identities = [document["id"] for document in documents]

        def begin(note: Content) -> Content | None:
            busy = bool(note.get("ids"))
            return None if busy else {"object": name, "kind": kind, "ids": identities}

        note = self.notes.change(_NAME, begin)
        if note is None:
            log.info("another maintenance call is at work; this one archives no more")
            return False
        return self._completed(note, lease, is_resumed=False)

    def _completed(self, note: Content, lease: Lease | None, *, is_resumed: bool) -> bool:
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
            self.finished += len(documents)
        else:
            self.dead += len(documents)
        return True
