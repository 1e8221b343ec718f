"""What others work on is left alone, and of what is archived nothing is lost, however many runs there are."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.delivery import leasing
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.model import record, transitions
from shared.model.errors import DependencyDown
from shared.model.transitions import Failure
from shared.monitoring.call_stats import Backlog, CallStats
from shared.operations import turns
from shared.operations.maintenance import Maintenance
from shared.settings import Settings
from shared.storage import counters
from shared.storage.leases import LeaseTable
from shared.storage.queries import FailureQuery
from shared.storage.records import Records

CONFIG = {"DATABASE_DSN": "sqlite:x", "VAULT_OCID": "v", "VAULT_KEY_OCID": "k", "VAULT_COMPARTMENT_OCID": "c"}


class Published:
    """What operators are told, taken down."""

    def __init__(self) -> None:
        self.dead = 0

    def notify(self, seen: CallStats) -> None:
        self.dead += seen.dead

    wants_metrics = False

    def post_metrics(self, seen: CallStats, backlog: Backlog) -> None:
        """Post nothing."""


class Archived:
    """An archive in memory; something may happen while a batch is put there."""

    def __init__(self) -> None:
        self.objects: dict[str, list[str]] = {}
        self.meanwhile: Callable[[], object] = bool

    def put(self, name: str, documents: list[Any]) -> None:
        self.meanwhile()
        self.objects[name] = [document["id"] for document in documents]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maintenance:
    """Maintenance of a real collection, in which everything is old at once, and which waits for nobody."""
    monkeypatch.setattr(turns, "_LEASE_SECONDS", 0.0)
    database = Database(f"sqlite:{tmp_path / 'records.db'}", "", str)
    ages = {
        "EXPIRE_AFTER": "1ms",
        "SECRETS_UNUSED_AFTER": "0s",
        "ARCHIVE_BUCKET": "b",
        "ARCHIVE_AFTER": "1ms",
    }
    settings = Settings.from_config(CONFIG | ages)
    leases, notes = LeaseTable(database, database, "c", 60), SmallDocuments(database, "c")
    later = datetime.now(UTC) + timedelta(hours=1)
    parts = Records(database, "c"), leases, notes, None, Archived(), Published()
    return Maintenance(settings, *parts, later, sleep=lambda _: None)  # type: ignore[arg-type]  # as above


def stored(work: Maintenance, number: int) -> list[Any]:
    members = {"targetRestApi": "https://a.example.com/", "targetRestApiOperation": "DELETE"}
    documents = [record.new(members) for _ in range(number)]
    work.records.insert(documents)
    return work.records.with_ids([document["id"] for document in documents])


def dead(work: Maintenance, number: int) -> list[str]:
    found = stored(work, number)
    failure = Failure(404, "why", "unrecoverable", None)
    outcomes = [(one, transitions.failed(one.document, failure, datetime.now(UTC))) for one in found]
    work.records.write(outcomes)
    return [one.document["id"] for one in found]


def test_what_others_work_on_neither_expires_nor_is_archived(work: Maintenance) -> None:
    waiting, gone = [one.document["id"] for one in stored(work, 40)], dead(work, 40)
    other = work.leases.take(work.leases.snapshot_and_fence(), 32)
    assert other is not None
    done = work.run(time.monotonic() + 60)
    busy = {one for one in waiting + gone if record.partition({"id": one}) in other.partitions}
    assert done["endOfWork"] is False
    assert done["expired"] == work.publisher.dead == len(set(waiting) - busy) > 0  # type: ignore[attr-defined]  # as above
    left = {one.document["id"] for one in work.records.with_ids(waiting + gone)}
    assert left == busy | set(waiting)  # what has just expired is young
    work.leases.release(other)
    done = work.run(time.monotonic() + 60)
    assert (done["endOfWork"], done["expired"]) == (True, len(set(waiting) & busy))
    archived = [one for ids in work.archive.objects.values() for one in ids]  # type: ignore[attr-defined]  # as above
    assert sorted(archived) == sorted(gone)


def test_an_interrupted_batch_of_the_dead_waits_for_its_partitions(work: Maintenance) -> None:
    ids = dead(work, 20)
    work.notes.change("archive", lambda _: {"object": "interrupted", "kind": "dead", "ids": ids})
    other = work.leases.take(work.leases.snapshot_and_fence(), 32)
    assert other is not None
    assert work.run(time.monotonic() + 60)["endOfWork"] is False
    assert len(work.records.with_ids(ids)) == 20
    work.leases.release(other)
    assert work.run(time.monotonic() + 60)["archivedDead"] == 20
    assert objects(work) == [ids]
    assert work.notes.read("archive") == {"name": "archive", "leftOver": []}
    assert work.archive.objects["interrupted"] == []  # type: ignore[attr-defined]  # as above


def finished(work: Maintenance, number: int, later: timedelta = timedelta()) -> list[str]:
    found = stored(work, number)
    outcomes = [(one, transitions.succeeded(one.document, 200, datetime.now(UTC) + later)) for one in found]
    work.records.write(outcomes)
    return [one.document["id"] for one in found]


def another(work: Maintenance, later: timedelta = timedelta()) -> Maintenance:
    """A second run, in a process of its own."""
    database = work.records._database
    parts = {"records": Records(database, "c"), "leases": LeaseTable(database, database, "c", 60)}
    return replace(work, **parts, notes=SmallDocuments(database, "c"), now=work.now + later)  # type: ignore[arg-type]  # these


def objects(work: Maintenance) -> list[list[str]]:
    """What the archive holds, by object; one that was left over holds nothing."""
    return [ids for ids in work.archive.objects.values() if ids]  # type: ignore[attr-defined]  # as above


def once(monkeypatch: pytest.MonkeyPatch, target: object, name: str, meanwhile: Callable[[], object]) -> None:
    """Let something happen after the first call of a method, before its caller goes on."""
    original, done = getattr(target, name), []

    def called(*arguments: Any) -> Any:
        result = original(*arguments)
        if not done:
            done.append(True)
            meanwhile()
        return result

    monkeypatch.setattr(target, name, called)


def counted(work: Maintenance) -> int:
    return counters.finished(work.notes.all())["success"]


@pytest.fixture
def quiet(work: Maintenance) -> Maintenance:
    """Maintenance in which nothing expires."""
    return replace(work, settings=replace(work.settings, expire_after=0.0))


def test_two_runs_at_once_archive_each_record_once(
    quiet: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, other = finished(quiet, 20), another(quiet)
    once(monkeypatch, quiet.records, "finished", lambda: other.run(time.monotonic() + 60))
    quiet.run(time.monotonic() + 60)
    assert objects(quiet) == [ids]
    assert counted(quiet) == 0


def test_a_run_with_an_old_page_writes_over_nothing_of_another(
    quiet: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run began later, and so found one more between the first and the last."""
    first, late, last = (
        finished(quiet, 1),
        finished(quiet, 1, timedelta(hours=1, seconds=1)),
        finished(quiet, 1),
    )
    other = another(quiet, timedelta(seconds=2))
    once(monkeypatch, quiet.records, "finished", lambda: other.run(time.monotonic() + 60))
    quiet.run(time.monotonic() + 60)
    assert objects(quiet) == [[*first, *late, *last]]
    assert counted(quiet) == 0


def test_two_runs_with_one_batch_noted_leave_it_to_one(
    quiet: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, other = finished(quiet, 20), another(quiet)
    once(monkeypatch, quiet.notes, "change", lambda: other.run(time.monotonic() + 60))
    assert quiet.run(time.monotonic() + 60)["endOfWork"] is False
    assert objects(quiet) == [ids]
    assert counted(quiet) == 0


def test_what_was_replayed_out_of_an_interrupted_batch_is_archived_later_beside_it(
    quiet: Maintenance,
) -> None:
    ids, archive = dead(quiet, 3), quiet.archive
    archive.meanwhile = lambda: (_ for _ in ()).throw(DependencyDown("down"))  # type: ignore[attr-defined]
    with pytest.raises(DependencyDown):
        quiet.run(time.monotonic() + 60)
    archive.meanwhile = bool  # type: ignore[attr-defined]

    def fails(failure: Failure) -> None:
        found = quiet.records.with_ids([ids[0], ids[2]])
        quiet.records.write(
            [(one, transitions.failed(one.document, failure, datetime.now(UTC))) for one in found]
        )

    fails(Failure(503, "why", "recoverable", datetime.now(UTC)))
    quiet.run(time.monotonic() + 60)
    fails(Failure(503, "why", "recoverable", None))
    quiet.run(time.monotonic() + 60)
    assert sorted(objects(quiet)) == sorted([[ids[1]], [ids[0], ids[2]]])


def test_an_interrupted_batch_of_which_nothing_is_left_leaves_nothing_behind(quiet: Maintenance) -> None:
    (one,) = dead(quiet, 1)
    quiet.archive.objects["c/dead/x"] = [one]  # type: ignore[attr-defined]  # as above
    quiet.notes.change("archive", lambda _: {"object": "c/dead/x", "kind": "dead", "ids": [one]})
    (found,) = quiet.records.with_ids([one])
    quiet.records.write([(found, transitions.succeeded(found.document, 200, datetime.now(UTC)))])
    quiet.run(time.monotonic() + 60)
    assert objects(quiet) == [[one]]  # among those that were delivered


@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_dead_record_that_another_took_over_is_not_deleted(quiet: Maintenance, is_delivered: bool) -> None:
    """A batch took so long that its lease was over, and a forced replay has handled the record."""
    (one,) = dead(quiet, 1)
    lease = LeaseTable(quiet.records._database, quiet.records._database, "c", 0.0)
    slow = replace(quiet, leases=lease)

    def replayed() -> None:
        taker = LeaseTable(quiet.records._database, quiet.records._database, "c", 0.0)
        taker.snapshot_and_fence()
        assert taker.take(taker.snapshot_and_fence(), record.PARTITIONS)
        (found,) = quiet.records.with_ids([one])
        failure = Failure(404, "why", "unrecoverable", None)
        after = (
            transitions.succeeded(found.document, 200, datetime.now(UTC))
            if is_delivered
            else transitions.failed(found.document, failure, datetime.now(UTC))
        )
        assert quiet.records.write([(found, after)]) == [True]

    quiet.archive.meanwhile = replayed  # type: ignore[attr-defined]  # as above
    assert slow.run(time.monotonic() + 60)["endOfWork"] is False
    assert [found.document["id"] for found in quiet.records.with_ids([one])] == [one]


def test_a_deletion_removes_nothing_where_a_record_was_changed(quiet: Maintenance) -> None:
    ids = dead(quiet, 2)
    quiet.notes.change("archive", lambda _: {"object": "o", "kind": "dead", "ids": ids})
    read = [one.document for one in quiet.records.with_ids(ids)]
    (found,) = quiet.records.with_ids(ids[:1])
    quiet.records.write([(found, transitions.succeeded(found.document, 200, datetime.now(UTC)))])
    assert quiet.records.remove(read, "archive", "o") is False
    assert len(quiet.records.with_ids(ids)) == 2
    assert quiet.notes.read("archive")["ids"] == ids
    assert counted(quiet) == 1


def test_between_two_batches_under_a_lease_deliveries_have_time_to_look(
    quiet: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "BATCH", 10)
    pauses: list[float] = []
    dead(quiet, 25)
    work = replace(quiet, sleep=pauses.append)
    assert work.run(time.monotonic() + 60)["archivedDead"] == 25
    assert len(pauses) == 2  # of three batches
    assert min(pauses) > leasing._LOOK_AGAIN_SECONDS[1]


class Watched(SmallDocuments):
    """Documents of which a batch to be finished is looked at until something else happened."""

    def __init__(self, database: Database, until: threading.Event):
        super().__init__(database, "c")
        self.was_read = threading.Event()
        self._until = until
        self._reads = 0

    def read(self, name: str) -> dict[str, Any]:
        found = super().read(name)
        self._reads += 1
        if found.get("ids") and self._reads == 2:  # at first it is asked whether something was left over
            self.was_read.set()
            self._until.wait(5)
        return found


@pytest.mark.parametrize("make", [finished, dead])
def test_a_living_run_that_is_taken_for_an_interrupted_one_loses_nothing(
    quiet: Maintenance, make: Callable[..., list[str]]
) -> None:
    """Another reads the note of its batch, and goes on when that batch is already archived and deleted."""
    ids, ended = make(quiet, 20), threading.Event()
    notes = Watched(quiet.records._database, ended)
    other = replace(another(quiet), notes=notes)
    answers: list[Any] = []
    second = threading.Thread(target=lambda: answers.append(other.run(time.monotonic() + 60)))

    def meanwhile() -> None:
        quiet.archive.meanwhile = bool  # type: ignore[attr-defined]  # as above
        second.start()
        assert notes.was_read.wait(5)

    quiet.archive.meanwhile = meanwhile  # type: ignore[attr-defined]  # as above
    quiet.run(time.monotonic() + 60)
    ended.set()
    second.join()
    assert [one["endOfWork"] for one in answers] == [True]
    assert objects(quiet) == [ids]
    assert quiet.records.with_ids(ids) == []
    assert counted(quiet) == 0


@pytest.mark.parametrize("make", [finished, dead])
def test_a_slow_run_whose_batch_another_finishes_writes_over_nothing(
    quiet: Maintenance, make: Callable[..., list[str]]
) -> None:
    ids, other = make(quiet, 20), another(quiet)
    quiet.leases._seconds = 0.0  # it is so slow that its lease is over

    def meanwhile() -> None:
        quiet.archive.meanwhile = bool  # type: ignore[attr-defined]  # as above
        other.leases._seconds = 0.0
        other.leases.snapshot_and_fence()
        other.run(time.monotonic() + 60)

    quiet.archive.meanwhile = meanwhile  # type: ignore[attr-defined]  # as above
    assert quiet.run(time.monotonic() + 60)["endOfWork"] is False
    assert objects(quiet) == [ids]
    assert quiet.records.with_ids(ids) == []


def test_what_expires_at_once_can_be_told_apart_by_its_time(work: Maintenance) -> None:
    stored(work, 20)
    assert work.run(time.monotonic() + 60)["expired"] == 20
    found, _ = work.records.latest_failures(FailureQuery(), 50)
    assert len({one["datasync"]["lately"] for one in found}) == 20


def test_what_was_delivered_meanwhile_is_no_work_left(
    work: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = stored(work, 3)
    after = transitions.succeeded(first.document, 200, datetime.now(UTC) + timedelta(hours=1))
    once(monkeypatch, work.records, "page", lambda: work.records.write([(first, after)]))
    done = work.run(time.monotonic() + 60)
    assert (done["expired"], done["endOfWork"]) == (2, True)
