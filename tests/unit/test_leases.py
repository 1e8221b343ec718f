"""Who owns which partitions: one worker each, until it leaves or stands still, whatever the clocks say."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.drivers.database import Database
from shared.model.record import PARTITIONS
from shared.storage.leases import Lease, LeaseTable

ALL = frozenset(range(PARTITIONS))
SECONDS = 60.0
MOMENT = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
MOST_APART = timedelta(minutes=14, seconds=59)


@dataclass
class Machine:
    """A process with a database connection and clocks of its own, which go when they are told to."""

    path: Path
    now: float = 1000.0
    today: datetime = MOMENT
    seconds: float = SECONDS
    table: LeaseTable = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:{self.path}", "", str)
        self.table = LeaseTable(
            self.database, self.database, "records", self.seconds, lambda: self.now, lambda: self.today
        )

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.today += timedelta(seconds=seconds)

    def lease(self, most: int = PARTITIONS) -> Lease | None:
        return self.table.take(self.table.snapshot_and_fence(), most)

    def owner(self, most: int = PARTITIONS) -> Lease:
        lease = self.lease(most)
        assert lease is not None
        return lease

    def documents(self) -> list[dict[str, Any]]:
        with self.database.collection(self.table._spec) as collection:
            return [found.getContent() for found in collection.find().getDocuments()]


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    """Make machines that share one database."""
    return lambda **clocks: Machine(tmp_path / "x.db", **clocks)


@pytest.fixture
def mine(machine: Callable[..., Machine]) -> Machine:
    return machine()


@pytest.fixture
def other(machine: Callable[..., Machine]) -> Machine:
    """A machine whose monotonic clock began at another time."""
    return machine(now=7.5)


def test_in_a_new_table_everything_is_free(mine: Machine) -> None:
    snapshot = mine.table.snapshot_and_fence()
    assert snapshot.free == ALL
    assert (snapshot.owners, snapshot.heartbeats, snapshot.orphaned) == ({}, {}, {})


def test_what_one_owns_no_other_gets(mine: Machine, other: Machine) -> None:
    assert mine.owner().partitions == ALL
    assert other.table.snapshot_and_fence().free == frozenset()
    assert other.lease() is None


@pytest.mark.parametrize("most", [PARTITIONS, 40])
def test_of_two_who_saw_the_same_partitions_free_one_wins_each(
    mine: Machine, other: Machine, most: int
) -> None:
    seen, too = mine.table.snapshot_and_fence(), other.table.snapshot_and_fence()
    first, second = mine.table.take(seen, most), other.table.take(too, most)
    assert first is not None
    assert first.partitions | (second.partitions if second else frozenset()) == ALL
    assert not first.partitions & (second.partitions if second else frozenset())
    assert (second is None) == (most == PARTITIONS)


def test_four_workers_share_evenly_and_a_fifth_gets_nothing(machine: Callable[..., Machine]) -> None:
    leases = [machine().owner(PARTITIONS // 4) for _ in range(4)]
    assert [len(lease.partitions) for lease in leases] == [16] * 4
    assert frozenset().union(*(lease.partitions for lease in leases)) == ALL
    assert len({lease.worker for lease in leases}) == 4
    fifth = machine()
    assert fifth.lease(PARTITIONS // 4) is None
    assert len(fifth.documents()) == 1 + 4  # it left nothing of itself behind


def test_what_is_released_is_free_at_once(mine: Machine, other: Machine) -> None:
    lease = mine.owner()
    mine.table.release(lease)
    assert other.table.snapshot_and_fence().free == ALL
    assert other.owner().partitions == ALL
    assert not mine.table.renew(lease)


def test_a_released_share_leaves_the_others_owners_alone(mine: Machine, other: Machine) -> None:
    gone, stays = mine.owner(16), other.owner(16)
    mine.table.release(gone)
    assert mine.table.snapshot_and_fence().owners == {stays.worker: sorted(stays.partitions)}
    assert other.table.renew(stays)


def test_many_calls_leave_no_documents_behind(mine: Machine) -> None:
    for _ in range(5):
        mine.table.release(mine.owner())
    assert len(mine.documents()) == 1


def test_a_lease_is_valid_for_its_length_from_the_moment_it_was_asked_for(mine: Machine) -> None:
    lease = mine.owner()
    assert lease.valid_until == 1000.0 + SECONDS
    mine.wait(10)
    assert mine.table.renew(lease)
    assert lease.valid_until == 1010.0 + SECONDS


def test_every_renewal_changes_the_beat_that_others_see(mine: Machine, other: Machine) -> None:
    lease = mine.owner()
    beats = []
    for _ in range(3):
        beats.append(other.table.snapshot_and_fence().heartbeats[lease.worker])
        assert mine.table.renew(lease)
    assert len(set(beats)) == 3


def test_an_unrenewed_lease_is_taken_over_after_exactly_its_length_as_watched(
    mine: Machine, other: Machine
) -> None:
    lease = mine.owner()
    assert other.lease() is None  # from here on it watches
    other.wait(SECONDS - 0.001)
    assert other.lease() is None
    other.wait(0.001)
    assert other.owner().partitions == ALL
    assert not mine.table.renew(lease)
    assert lease.valid_until <= mine.now


def test_who_has_just_begun_to_watch_takes_nothing_over(mine: Machine, other: Machine) -> None:
    mine.owner()
    other.wait(10 * SECONDS)  # not with its eyes on the table
    assert other.lease() is None


def test_a_renewed_lease_is_never_taken_over(mine: Machine, other: Machine) -> None:
    lease = mine.owner()
    for _ in range(10):
        assert other.lease() is None
        other.wait(SECONDS - 1)
        mine.wait(SECONDS - 1)
        assert mine.table.renew(lease)
    assert lease.partitions == ALL


def test_time_is_counted_anew_after_each_beat(mine: Machine, other: Machine) -> None:
    lease = mine.owner()
    other.table.snapshot_and_fence()
    other.wait(SECONDS - 1)
    assert mine.table.renew(lease)
    other.table.snapshot_and_fence()
    other.wait(SECONDS - 1)
    assert other.lease() is None
    other.wait(1)
    assert other.lease() is not None


@pytest.mark.parametrize("apart", [MOST_APART, -MOST_APART, timedelta(minutes=5), -timedelta(minutes=5)])
def test_wall_clocks_minutes_apart_neither_kill_nor_keep_a_worker(
    mine: Machine, machine: Callable[..., Machine], apart: timedelta
) -> None:
    far = machine(today=MOMENT + apart)
    lease = mine.owner()
    assert far.lease() is None
    assert mine.table.renew(lease)
    assert far.lease() is None
    far.wait(SECONDS)
    assert far.owner().partitions == ALL


def test_a_wall_clock_that_jumps_back_keeps_nobody_alive(mine: Machine, other: Machine) -> None:
    mine.owner()
    other.table.snapshot_and_fence()
    other.wait(SECONDS)
    other.today -= timedelta(days=365)
    assert other.lease() is not None


@pytest.mark.parametrize("apart", [timedelta(hours=1), timedelta(days=365)])
def test_a_worker_whose_heartbeat_was_seen_moving_is_alive_whatever_any_clock_says(
    mine: Machine, machine: Callable[..., Machine], apart: timedelta
) -> None:
    lease, far = mine.owner(), machine()
    far.table.snapshot_and_fence()
    far.today += apart
    for _ in range(3):
        assert mine.table.renew(lease)
        assert far.lease() is None
        far.wait(SECONDS - 1)
        mine.wait(SECONDS - 1)
    assert mine.table.renew(lease)


def test_a_worker_lives_as_long_as_its_own_lease_lasts_whatever_the_others_setting(
    mine: Machine, machine: Callable[..., Machine]
) -> None:
    lease, newer = mine.owner(), machine(seconds=SECONDS / 10)
    newer.table.snapshot_and_fence()
    newer.wait(SECONDS - 1)
    assert newer.lease() is None
    assert mine.table.renew(lease)
    newer.table.snapshot_and_fence()
    newer.wait(SECONDS)
    assert newer.owner().partitions == ALL


def test_a_lease_that_nobody_could_watch_ends_long_after_by_the_databases_time(
    mine: Machine, machine: Callable[..., Machine]
) -> None:
    lease = mine.owner()
    assert machine(today=MOMENT + timedelta(minutes=15)).lease() is None
    assert machine(today=MOMENT + timedelta(minutes=16, seconds=1)).owner().partitions == ALL
    assert not mine.table.renew(lease)


def test_eight_who_lease_at_once_never_share_a_partition(machine: Callable[..., Machine]) -> None:
    owned: set[int] = set()
    taken: list[int] = []
    guard, start = threading.Lock(), threading.Barrier(8)

    def work(worker: Machine) -> None:
        start.wait(timeout=120)
        for _ in range(3):
            lease = worker.lease(12)
            if lease is None:
                continue
            with guard:
                assert not owned & lease.partitions
                owned.update(lease.partitions)
                taken.append(len(lease.partitions))
            with guard:
                owned.difference_update(lease.partitions)
            worker.table.release(lease)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [machine() for _ in range(8)]))
    assert taken
    assert machine().table.snapshot_and_fence().free == ALL


def test_what_was_sent_and_could_not_be_written_is_left_to_whoever_takes_over(
    mine: Machine, other: Machine
) -> None:
    lease = mine.owner()
    lease.unsettled["sent"] = 2
    assert mine.table.renew(lease, {"sent": 2, "written": 0})
    mine.table.release(lease)
    snapshot = other.table.snapshot_and_fence()  # at once, since nobody has to wait for a worker that left
    assert snapshot.orphaned == {"sent": 2}
    assert snapshot.free == ALL
    assert other.table.take(snapshot, PARTITIONS) is not None
    assert [one for one in other.documents() if one["name"] == lease.worker] == []


def test_a_worker_that_left_something_behind_can_not_come_back(mine: Machine) -> None:
    lease = mine.owner()
    lease.unsettled["sent"] = 0
    mine.table.release(lease)
    assert not mine.table.renew(lease)


def test_a_target_that_rests_is_known_to_the_next_worker_until_its_time_has_come(
    mine: Machine, other: Machine
) -> None:
    mine.table.release(mine.owner(), rests={"erp:443": 30.0, "crm:443": 5.0})
    other.wait(10)
    lease = other.owner()
    assert lease.rests == {"erp:443": pytest.approx(20)}
    assert other.table.overview(other.today)[2] == {"erp:443": "2026-11-23T21:00:30.000000Z"}
    other.table.release(lease)
    other.wait(21)
    assert other.owner().rests == {}
    assert other.table.overview(other.today)[2] == {}


def test_workers_that_run_tell_each_other_which_targets_rest(mine: Machine, other: Machine) -> None:
    lease = mine.owner()
    assert mine.table.share_rests({"erp:443": 30.0}) == {}
    assert other.table.share_rests({"crm:443": 9.0}) == {"erp:443": pytest.approx(30)}
    assert mine.table.rests(mine.today) == pytest.approx({"erp:443": 30, "crm:443": 9})
    mine.table.release(lease)  # what it was told stays
    other.wait(10)
    assert other.table.rests(other.today) == {"erp:443": pytest.approx(20)}


def test_only_news_of_a_rest_is_written(mine: Machine, other: Machine) -> None:
    mine.owner()
    mine.table.share_rests({"erp:443": 30.0})
    (before,) = [one for one in mine.documents() if one["name"] == "partitions"]
    other.table.share_rests({"erp:443": 29.0})
    assert before in mine.documents()
    other.table.share_rests({"erp:443": 60.0})
    assert mine.table.rests(mine.today) == {"erp:443": pytest.approx(60)}


def test_a_worker_that_leaves_shortens_no_rest_that_others_told(mine: Machine, other: Machine) -> None:
    lease = mine.owner()
    other.table.share_rests({"erp:443": 60.0})
    mine.table.release(lease, rests={"erp:443": 5.0})
    assert other.table.rests(other.today) == {"erp:443": pytest.approx(60)}
