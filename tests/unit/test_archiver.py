"""Of what is archived nothing is lost: whoever dies, wakes up, or replays a record meanwhile."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.delivery import leasing
from shared.model import ids, record, transitions
from shared.model.errors import DependencyDown
from shared.operations import archiver, maintenance
from shared.operations.archiver import Batch
from shared.storage.leases import LeaseTable
from tests.unit.maintaining import Work

Make = Callable[[Work, int], list[str]]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.setattr(maintenance, "_PARTITIONS_SECONDS", 0.0)
    return Work(tmp_path / "records.db")


def dies() -> None:
    raise DependencyDown("down")


def memory(work: Work) -> dict[str, Any]:
    found: dict[str, Any] = work.documents.read("maintenance")["memory"]
    return found


BOTH = pytest.mark.parametrize("make", [Work.finished, Work.dead])


@BOTH
def test_what_has_ended_stands_in_the_archive_and_no_more_in_the_database(work: Work, make: Make) -> None:
    ended = make(work, 20)
    answer = work.run()
    assert (answer["archived"] + answer["archivedDead"], answer["endOfWork"]) == (20, True)
    assert work.archive.ids() == [ended]
    assert work.left(ended) == set()
    assert work.counted() == 0
    assert "batch" not in memory(work)


def test_an_object_is_named_by_kind_day_first_and_last(work: Work) -> None:
    first, _, last = ended = work.finished(3)
    work.run()
    (name,) = work.archive.objects
    day = ids.stored_at(first).strftime("%Y/%m/%d")
    assert name.startswith(f"c/finished/{day}/{first}_{last}_")
    assert name.endswith(".jsonl.gz")
    assert work.archive.ids() == [ended]


def test_a_name_is_that_of_its_records_states(work: Work) -> None:
    found = work.stored(3)
    assert Batch.of("c", "dead", found) == Batch.of("c", "dead", list(found))
    work.fail([found[1].document["id"]])
    changed = work.records.with_ids([one.document["id"] for one in found])
    assert Batch.of("c", "dead", found).name != Batch.of("c", "dead", changed).name


def test_what_others_work_on_is_archived_once_they_have_ended(work: Work) -> None:
    gone = work.dead(40)
    other = work.leases.take(work.leases.snapshot_and_fence(), 32)
    assert other is not None
    busy = {one for one in gone if record.partition({"id": one}) in other.partitions}
    assert work.run()["endOfWork"] is False
    assert work.left(gone) == busy
    work.leases.release(other)
    assert work.run()["endOfWork"] is True
    assert sorted(one for found in work.archive.ids() for one in found) == sorted(gone)


# Interrupted


@BOTH
def test_an_interrupted_batch_is_put_again_under_its_name(work: Work, make: Make) -> None:
    ended = make(work, 20)
    put = work.archive.put

    def put_and_die(name: str, documents: Any) -> None:
        put(name, documents)
        dies()

    work.archive.put = put_and_die  # type: ignore[method-assign]  # the process ends here
    with pytest.raises(DependencyDown):
        work.run()
    work.archive.put = put  # type: ignore[method-assign]  # as above
    later = make(work, 3)
    assert work.left(ended) == set(ended)
    work.run()
    assert sorted(work.archive.ids()) == sorted([ended, later])
    assert work.left(ended + later) == set()


def test_an_interrupted_batch_waits_for_its_partitions_and_nothing_goes_before_it(work: Work) -> None:
    gone = work.dead(20)
    work.archive.meanwhile = dies
    with pytest.raises(DependencyDown):
        work.run()
    delivered = work.finished(3)
    other = work.leases.take(work.leases.snapshot_and_fence(), 32)
    assert other is not None
    assert work.run() == dict.fromkeys(("archived", "archivedDead", "expired", "secretsDeleted"), 0) | {
        "endOfWork": False,
        "anotherRun": False,
    }
    assert work.left(gone + delivered) == set(gone + delivered)
    work.leases.release(other)
    assert work.run()["archivedDead"] == 20
    assert work.archive.ids() == [gone, delivered]


def test_what_was_replayed_out_of_an_interrupted_batch_is_archived_later_beside_it(work: Work) -> None:
    gone = work.dead(3)
    work.archive.meanwhile = dies
    with pytest.raises(DependencyDown):
        work.run()
    replayed = [gone[0], gone[2]]
    work.fail(replayed, again=datetime.now(UTC))
    work.run()
    assert work.archive.ids() == [[gone[1]]]
    work.fail(replayed)
    work.run()
    assert work.archive.ids() == [[gone[1]], replayed]
    assert [work.archive.states(one) for one in gone] == [[3], [1], [3]]


def test_an_interrupted_batch_of_which_nothing_is_left_is_forgotten(work: Work) -> None:
    (one,) = work.dead(1)
    work.archive.meanwhile = dies
    with pytest.raises(DependencyDown):
        work.run()
    (found,) = work.records.with_ids([one])
    work.records.write([(found, transitions.succeeded(found.document, 200, datetime.now(UTC)))])
    assert work.run()["archived"] == 1
    assert work.archive.ids() == [[one]]  # among those that were delivered
    assert work.left([one]) == set()


# Taken for dead


def stands_still(work: Work) -> None:
    """Let a run's leases be over as soon as it has them."""
    work.lease_seconds, work.leases = 0.0, LeaseTable(work.database, work.database, "c", 0.0)


def takes_partitions_over(work: Work) -> None:
    """Let a process have watched for long enough that others' partitions are its own."""
    work.leases = LeaseTable(work.database, work.database, "c", 0.0)
    work.leases.snapshot_and_fence()


@BOTH
def test_a_run_that_was_taken_for_dead_and_wakes_up_deletes_nothing_and_loses_nothing(
    work: Work, make: Make
) -> None:
    """It wakes up as its object is put, after another run has finished its batch and one of its own."""
    ended, other = make(work, 20), work.another()
    later: list[str] = []

    def meanwhile() -> None:
        takes_partitions_over(other)
        assert other.run()["endOfWork"] is True
        later.extend(make(other, 3))
        assert other.run()["endOfWork"] is True
        later.extend(make(other, 1))

    stands_still(work)
    work.archive.meanwhile = meanwhile
    answer = work.run()
    assert (answer["anotherRun"], answer["endOfWork"]) == (True, False)
    assert answer["archived"] == answer["archivedDead"] == 0
    assert work.archive.ids() == [ended, later[:3]]
    assert work.left(ended + later) == {later[3]}
    assert work.counted() == (1 if make is Work.finished else 0)


def test_what_it_puts_late_holds_no_less_than_what_the_other_deleted(work: Work) -> None:
    """Two of three are replayed before the other finishes the batch, and die again, to be archived anew."""
    gone, other = work.dead(3), work.another()
    replayed = [gone[0], gone[2]]

    def meanwhile() -> None:
        takes_partitions_over(other)
        other.fail(replayed)
        assert other.run()["endOfWork"] is True

    stands_still(work)
    work.archive.meanwhile = meanwhile
    assert work.run()["anotherRun"] is True
    assert work.left(gone) == set()
    states = {one: work.archive.states(one) for one in gone}
    assert states[gone[1]] == [1]
    assert all(2 in states[one] for one in replayed)


def test_a_run_that_wakes_up_before_it_has_put_anything_notes_nothing(work: Work) -> None:
    ended, other = work.finished(20), work.another()
    original = work.records.finished

    def finished(*arguments: Any) -> Any:
        page = original(*arguments)
        other.run()
        return page

    work.records.finished = finished  # type: ignore[assignment]  # it stands still after it
    stands_still(work)
    assert work.run()["anotherRun"] is True
    assert work.archive.ids() == [ended]
    assert "batch" not in memory(work)


# Changed meanwhile


@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_dead_record_that_was_replayed_meanwhile_is_not_deleted(work: Work, is_delivered: bool) -> None:
    """A put took so long that the lease on the partitions was over, and a forced replay has handled it."""
    (one,) = work.dead(1)
    work.leases = LeaseTable(work.database, work.database, "c", 0.0)

    def replayed() -> None:
        other = work.another()
        takes_partitions_over(other)
        assert other.leases.take(other.leases.snapshot_and_fence(), record.PARTITIONS)
        if is_delivered:
            (found,) = work.records.with_ids([one])
            work.records.write([(found, transitions.succeeded(found.document, 200, datetime.now(UTC)))])
        else:
            work.fail([one])

    work.archive.meanwhile = replayed
    assert work.run()["endOfWork"] is False
    assert work.left([one]) == {one}


def test_nothing_of_a_batch_is_deleted_where_one_record_was_changed(work: Work) -> None:
    gone = work.dead(3)
    held = work.lease()
    assert held.take(0.0)
    found = work.records.with_ids(gone)
    work.fail(gone[1:2])
    assert not held.remember_by(lambda *fence: work.records.remove(found, *fence), batch=None)
    assert work.left(gone) == set(gone)
    held.remember()  # it is still held
    again = work.records.with_ids(gone)
    assert held.remember_by(lambda *fence: work.records.remove(again, *fence), batch=None)
    assert work.left(gone) == set()


def test_nothing_of_a_batch_is_deleted_where_the_lease_is_lost(work: Work) -> None:
    ended = work.finished(3)
    found = work.records.with_ids(ended)
    held = work.lease()
    assert held.take(0.0)
    known = work.documents.find("maintenance")
    assert work.documents.replace("maintenance", known, known.content)  # type: ignore[union-attr]  # it is there
    assert not held.remember_by(lambda *fence: work.records.remove(found, *fence), batch=None)
    assert work.left(ended) == set(ended)
    assert work.counted() == 3


# Others


def test_between_two_batches_under_a_lease_deliveries_have_time_to_look(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "BATCH", 10)
    pauses: list[float] = []
    work.dead(25)
    work.sleep = pauses.append
    assert work.run()["archivedDead"] == 25
    assert len(pauses) == 2  # of three batches
    assert min(pauses) > leasing._LOOK_AGAIN_SECONDS[1]


def test_many_batches_go_one_after_the_other(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiver, "BATCH", 10)
    ended = work.finished(25)
    assert work.run()["archived"] == 25
    assert work.archive.ids() == [ended[:10], ended[10:20], ended[20:]]


def test_what_is_young_stays(work: Work) -> None:
    ended = work.finished(2) + work.dead(2)
    work.now = datetime.now(UTC) - timedelta(hours=1)
    assert work.run(dry_run=True)["archived"] == work.run()["archived"] == 0
    assert work.left(ended) == set(ended)
    work.now = datetime.now(UTC) + timedelta(hours=1)
    dry = work.run(dry_run=True)
    assert (dry["archived"], dry["archivedDead"]) == (2, 2)
    assert work.left(ended) == set(ended)


def test_uses_of_tokens_are_remembered_as_their_records_leave(work: Work) -> None:
    work.finished(2, vaultSecretName="erp")
    (last,) = work.stored(1, vaultSecretName="erp")
    work.records.write([(last, transitions.succeeded(last.document, 200, datetime.now(UTC)))])
    work.finished(1)
    work.run()
    assert memory(work)["lastUses"] == {"erp": last.document["createdDate"]}
    work.finished(1, vaultSecretName="crm")
    work.run()
    assert sorted(memory(work)["lastUses"]) == ["crm", "erp"]
    assert json.loads(json.dumps(memory(work))) == memory(work)
