"""Batches of ended records on their way into the archive: noted, put there, deleted together with the note.

Whatever ends a run, the next one finds its note and finishes that batch. Two runs at once do no harm: one of
them has the note, and only who has it deletes. Each batch, and each try at one, writes to its own object.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.drivers.documents import Content, SmallDocuments
from shared.model import ids, record
from shared.model.record import Document
from shared.operations.archive import Archive
from shared.operations.turns import BATCH, Leased, Turns, is_mine
from shared.storage.leases import Lease, LeaseTable
from shared.storage.queries import FAILED, Query
from shared.storage.records import Records

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
    notes: SmallDocuments
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
        self._empty_left_over()
        return self._finish_interrupted() and self._move_finished(turns) and self._move_dead(turns)

    def _move_finished(self, turns: Turns) -> bool:
        after = ""
        while page := self.records.finished(self.cutoff, after, BATCH):
            if not (turns.in_time() and self._moved(FINISHED, [one.document for one in page])):
                return False
            after = page[-1].document["id"]
        return True

    def _dead(self) -> Query:
        ended = {"dead": True, "datasync.lately": {"$lt": ids.timestamp(self.cutoff)}}
        return Query(FAILED, conditions=[ended])

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
        """Finish the batch that another run had begun; False where others work on its partitions.

        That run may yet live: its note is taken from it, with another name for the object, so that it can
        neither delete nor write over anything any more.
        """
        note = self.notes.read(_NAME)
        if not note.get("ids"):
            return True
        if note["kind"] == FINISHED:
            return self._taken_over(note, None)
        with Leased(self.leases) as lease:
            found = self.records.with_ids(note["ids"])
            return all(is_mine(one.document, lease) for one in found) and self._taken_over(note, lease)

    def _taken_over(self, note: Content, lease: Lease | None) -> bool:
        def take(current: Content) -> Content | None:
            if current.get("object") != note["object"]:
                return None
            left_over = [*current.get("leftOver", ()), current["object"]]
            return {**current, "object": self._name(note["kind"], note["ids"][0]), "leftOver": left_over}

        log.info("an interrupted batch is archived again: %s", note["object"])
        taken = self.notes.change(_NAME, take)
        return taken is None or self._completed(taken, lease)

    def _moved(self, kind: str, documents: Sequence[Document], lease: Lease | None = None) -> bool:
        """Archive a batch and delete it; False where that is left to another run."""
        identities = [document["id"] for document in documents]
        noted: Content = {"object": self._name(kind, identities[0]), "kind": kind, "ids": identities}

        def begin(note: Content) -> Content | None:
            return None if note.get("ids") else {**note, **noted}

        note = self.notes.change(_NAME, begin)
        if note is None:
            log.info("another maintenance call is at work; this one archives no more")
            return False
        return self._completed(note, lease)

    def _name(self, kind: str, first: str) -> str:
        """Return the name of an object that no other batch has, by the day on which its first was stored."""
        day = ids.stored_at(first).strftime("%Y/%m/%d")
        return f"{self.collection}/{kind}/{day}/{first}-{secrets.token_hex(4)}.jsonl.gz"

    def _completed(self, note: Content, lease: Lease | None) -> bool:
        """Archive what a noted batch holds now, then delete that: never the other way round.

        What the note names is read again: since then another run may have archived it, or a replay delivered
        it. Where the deletion is not to be, the object holds nothing: what it held is archived by another.
        """
        kind, name = str(note["kind"]), str(note["object"])
        found = [one.document for one in self.records.with_ids(note["ids"])]
        documents = [one for one in found if _ENDED[kind](one)]
        if documents:
            self.archive.put(name, documents)
        is_ours = lease is None or self.leases.renew(lease)
        if not (is_ours and self.records.remove(documents, _NAME, name)):
            log.info("a batch was changed or taken over by others meanwhile; it is left to them")
            if documents:
                self.archive.put(name, [])
            return False
        if kind == FINISHED:
            self.finished += len(documents)
        else:
            self.dead += len(documents)
        self._empty_left_over()
        return True

    def _empty_left_over(self) -> None:
        """Empty the objects that interrupted runs have left, and whose records stand in another by now."""
        note = self.notes.read(_NAME)
        emptied = note.get("leftOver", ())
        if note.get("ids") or not emptied:  # of what is noted now, nothing stands in another object yet
            return
        for name in emptied:
            self.archive.put(name, [])

        def forget(current: Content) -> Content:
            rest = [name for name in current.get("leftOver", ()) if name not in emptied]
            return {**current, "leftOver": rest}

        self.notes.change(_NAME, forget)
