"""One run of maintenance at a time; its steps go on where another run was interrupted."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.model import record, transitions
from shared.model.errors import DependencyDown
from shared.operations import maintenance
from shared.operations.lease import LeaseLost, MaintenanceLease
from shared.operations.maintenance import Done, Run
from shared.storage.failure_queries import FailureQuery
from shared.storage.listing import Listing
from tests.unit.maintaining import Work

NOTHING = {"archived": 0, "archivedDead": 0, "expired": 0, "secretsDeleted": 0}


class Time:
    """Monotonic seconds that pass where somebody sleeps; something may happen meanwhile."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.meanwhile: Callable[[], object] = bool

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.setattr(maintenance, "_PARTITIONS_SECONDS", 0.0)
    return Work(tmp_path / "records.db")


@pytest.fixture
def clock() -> Time:
    return Time()


def lease(work: Work, clock: Time, seconds: float = 60.0) -> MaintenanceLease:
    return MaintenanceLease(work.documents, seconds, clock, clock.sleep)


class Steps:
    """A step that does what it is told, part by part."""

    def __init__(self, *parts: Callable[[Run], Done]):
        self.parts = parts

    def count(self, run: Run) -> Done:
        return Done(archived=7)

    def run(self, run: Run) -> Iterator[Done]:
        for part in self.parts:
            yield part(run)


# The lease


def test_of_two_runs_one_has_the_lease_until_it_releases_it(work: Work, clock: Time) -> None:
    first, second = lease(work, clock), lease(work, clock)
    assert first.take(clock.now)
    assert not second.take(clock.now)
    first.release()
    assert second.take(clock.now)


def test_a_run_leaves_as_soon_as_the_other_shows_that_it_lives(work: Work, clock: Time) -> None:
    first, second = lease(work, clock), lease(work, clock)
    assert first.take(clock.now)
    clock.meanwhile = first.keep
    began = clock.now
    assert not second.take(clock.now + 300)
    assert 15 <= clock.now - began < 20  # it renews four times in the length of its lease


def test_a_run_takes_over_from_one_that_renews_nothing_for_the_length_of_its_own_lease(
    work: Work, clock: Time
) -> None:
    dead, second = lease(work, clock, 30), lease(work, clock, 90)
    assert dead.take(clock.now)
    began = clock.now
    assert not second.take(clock.now + 29)
    assert second.take(clock.now + 31)
    assert clock.now - began >= 30
    clock.now += 80
    assert not lease(work, clock).take(clock.now + 89)


def test_whoever_has_lost_the_lease_changes_nothing_more(work: Work, clock: Time) -> None:
    dead, second = lease(work, clock, 0), lease(work, clock)
    assert dead.take(clock.now)
    dead.remember(batch="mine")
    assert second.take(clock.now + 1)
    for change in (dead.keep, lambda: dead.remember(batch=None)):
        with pytest.raises(LeaseLost):
            change()
    dead.release()
    assert not lease(work, clock).take(clock.now + 1)
    second.remember(more=1)
    assert second.memory() == {"batch": "mine", "more": 1}


def test_what_runs_remember_outlives_them(work: Work, clock: Time) -> None:
    first = lease(work, clock)
    assert first.take(clock.now)
    first.remember(a=1, b=2)
    first.remember(a=None)
    first.release()
    later = lease(work, clock)
    assert later.memory() == {"b": 2}
    assert later.take(clock.now)
    assert later.memory() == {"b": 2}


# A run


def test_a_second_run_does_nothing_and_says_that_another_has_the_lease(work: Work) -> None:
    held = work.lease()
    assert held.take(0.0)
    watching = MaintenanceLease(work.another().documents, 60, sleep=lambda _: held.remember())
    second = maintenance.Maintenance(watching, [Steps(lambda _: pytest.fail("it runs"))], lambda: work.now)
    assert second.run(float("inf")) == NOTHING | {"endOfWork": False, "anotherRun": True}


def test_what_all_steps_did_is_added_up(work: Work) -> None:
    one = Steps(lambda _: Done(archived=2), lambda _: Done(archived=3, expired=1))
    other = Steps(lambda _: Done(endOfWork=False), lambda _: Done(archivedDead=4))
    assert work.run(one, other) == {
        "archived": 5,
        "archivedDead": 4,
        "expired": 1,
        "secretsDeleted": 0,
        "endOfWork": False,
        "anotherRun": False,
    }


def test_a_run_that_loses_the_lease_says_what_it_did_before(work: Work) -> None:
    def lost(run: Run) -> Done:
        work.lease_seconds = 0.0
        taken = work.documents.find("maintenance")
        assert taken is not None
        assert work.documents.replace("maintenance", taken, {**taken.content, "by": "another"})
        run.lease.remember()
        return Done(archived=100)

    steps = Steps(lambda _: Done(archived=2), lost, lambda _: pytest.fail("it goes on"))
    assert work.run(steps) == NOTHING | {"archived": 2, "endOfWork": False, "anotherRun": True}


def test_a_run_that_a_service_ends_gives_the_lease_up(work: Work) -> None:
    def down(_run: Run) -> Done:
        raise DependencyDown("down")

    with pytest.raises(DependencyDown):
        work.run(Steps(down))
    assert work.lease().take(0.0)


def test_a_dry_run_counts_and_takes_no_lease(work: Work) -> None:
    assert work.lease().take(0.0)
    answer = work.run(Steps(lambda _: pytest.fail("it runs")), Steps(), dry_run=True)
    assert answer == NOTHING | {"archived": 14, "endOfWork": True, "anotherRun": False}


def test_no_batch_is_begun_without_the_time_for_it(work: Work) -> None:
    held = work.lease()
    assert held.take(0.0)
    assert not Run(work.now, 0.0, held).goes_on()
    assert Run(work.now, float("inf"), held).goes_on()


# What expires


def test_what_others_work_on_does_not_expire_before_they_have_ended(work: Work) -> None:
    waiting = [one.document["id"] for one in work.stored(40)]
    other = work.leases.take(work.leases.snapshot_and_fence(), 32)
    assert other is not None
    busy = {one for one in waiting if record.partition({"id": one}) in other.partitions}
    done = work.run(work.expirer)
    assert done["endOfWork"] is False
    assert done["expired"] == work.published.dead == len(set(waiting) - busy) > 0
    work.leases.release(other)
    done = work.run(work.expirer)
    assert (done["endOfWork"], done["expired"]) == (True, len(busy))


def test_what_expires_at_once_can_be_told_apart_by_its_time(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "BATCH", 7)
    work.stored(20)
    assert work.run(work.expirer)["expired"] == 20
    found = Listing(work.database, "c").failures(FailureQuery(), 50).records
    assert len({one["datasync"]["lately"] for one in found}) == 20


def test_what_was_delivered_meanwhile_is_no_work_left(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = work.stored(3)
    original = work.records.page

    def page(*arguments: object) -> object:
        found = original(*arguments)  # type: ignore[arg-type]  # as they came
        work.records.write([(first, transitions.succeeded(first.document, 200, datetime.now(UTC)))])
        return found

    monkeypatch.setattr(work.records, "page", page)
    done = work.run(work.expirer)
    assert (done["expired"], done["endOfWork"]) == (2, True)


def test_what_others_changed_in_that_moment_has_not_expired(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.stored(3)
    original = work.records.with_ids

    def with_ids(identities: list[str]) -> object:
        found = original(identities)
        work.records.write([(found[0], transitions.succeeded(found[0].document, 200, datetime.now(UTC)))])
        return found

    monkeypatch.setattr(work.records, "with_ids", with_ids)
    done = work.run(work.expirer)
    assert (done["expired"], done["endOfWork"]) == (2, False)
    assert work.published.dead == 2


def test_what_expired_is_published_though_the_run_ends_early(work: Work) -> None:
    work.stored(3)
    original = work.records.write

    def write(changes: object) -> object:
        original(changes[:1])  # type: ignore[index]  # a list
        raise DependencyDown("down")

    work.records.write = write  # type: ignore[assignment]  # as above
    with pytest.raises(DependencyDown):
        work.run(work.expirer)
    assert work.published.dead == 0  # what was not written for sure is not told
    work.records.write = original  # type: ignore[method-assign]  # as above
    assert work.run(work.expirer)["expired"] == work.published.dead == 2


def test_what_is_young_or_has_no_time_left_stays(work: Work) -> None:
    work.stored(3)
    work.now = datetime.now(UTC) - timedelta(hours=1)
    assert work.run(work.expirer)["expired"] == work.run(work.expirer, dry_run=True)["expired"] == 0
    work.now = datetime.now(UTC) + timedelta(hours=1)
    assert work.run(work.expirer, dry_run=True)["expired"] == 3
