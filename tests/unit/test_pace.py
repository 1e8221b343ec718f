"""A target that was overloaded gets nearly what it took, and gradually more, from all workers together."""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from shared.model import pace
from shared.model.pace import Pace, Refusal

START = datetime(2026, 11, 27, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def refused(taken: int, retry_after: float | None = 1.0, *, has_accepted: bool = True) -> Refusal:
    return Refusal(taken, retry_after, 6 * 3600, has_accepted)


def first(taken: int) -> Pace:
    return pace.first(refused(taken), START)


@dataclass
class Worker:
    """One that sends at the moments that it has reserved, and rests when it is refused."""

    moments: deque[float] = field(default_factory=deque)
    rests_until: float = 0.0


class Target:
    """A target that takes so many requests within a second, and what its workers share."""

    def __init__(self, most: int):
        self.most = most
        self.taken: list[float] = []
        self.refused = 0
        self.pace = first(most)

    def send(self, worker: Worker, now: float) -> None:
        if sum(moment > now - 1 for moment in self.taken[-self.most :]) < self.most:
            self.taken.append(now)
            return
        self.refused += 1
        worker.moments.clear()
        worker.rests_until = now + 1
        self.pace = self.pace.slower(refused(self.most, 1.0), after(now))

    def play(self, seconds: float, workers: list[Worker]) -> None:
        """Let all workers send whatever they may."""
        for tick in range(int(seconds * 1000)):
            now = tick / 1000
            for worker in workers:
                if now >= worker.rests_until and not worker.moments:
                    faster = self.pace.faster(after(now))
                    assert faster is not None
                    number = max(4, round(0.5 / faster.interval))
                    begin = now + faster.ahead(after(now))
                    worker.moments.extend(begin + place * faster.interval for place in range(number))
                    self.pace = faster.reserved(number, after(now))
                while worker.moments and worker.moments[0] <= now:
                    worker.moments.popleft()
                    self.send(worker, now)


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("most", [20, 100])
def test_most_of_what_it_allows_is_used_and_little_is_refused(most: int, number: int) -> None:
    target = Target(most)
    target.play(120, [Worker() for _ in range(number)])
    assert len(target.taken) > 0.85 * 120 * most
    assert target.refused < 0.05 * len(target.taken)


def test_what_several_workers_hear_of_one_overload_makes_it_slower_once() -> None:
    known = replace(first(100), calm=60.0)
    later = after(30)
    once = known.slower(refused(20, 1.0), later)
    assert once.per_second == pytest.approx(0.95 * known.per_second)
    again = once.slower(refused(20, 5.0), later + timedelta(seconds=0.5))
    assert again.per_second == once.per_second
    assert again.rests_until == later + timedelta(seconds=5.5)


def test_what_several_workers_had_of_it_at_first_adds_up() -> None:
    known = first(5)
    assert known.per_second == 10  # at least: others may have had the whole second
    for _ in range(3):
        known = known.slower(refused(5, 1.0), after(0.5))
    assert known.per_second == pytest.approx(19)


def test_one_that_is_refused_soon_after_its_rest_gets_much_slower() -> None:
    known = first(100)
    paces = [known.per_second]
    for number in range(1, 100):
        known = known.slower(refused(100, 1.0), after(2 * number))
        paces.append(known.per_second)
    factors = [later / earlier for earlier, later in pairwise(paces[:8])]
    assert factors == pytest.approx([0.9025, 0.8145, 0.6634, 0.4401, 0.4401, 0.4401, 0.4401], rel=0.001)
    assert paces[-1] == 0.05


def test_one_that_accepts_nothing_rests_longer_each_time_up_to_ten_minutes() -> None:
    known, now, rests = pace.first(refused(0, None), START), START, []
    for _ in range(20):
        rests.append((known.rests_until - now).total_seconds())
        now = known.rests_until + timedelta(seconds=60)
        known = known.slower(refused(0, None, has_accepted=False), now)
    assert rests[:5] == pytest.approx([1, 2, 4, 8, 16], rel=0.11)
    assert rests[-1] == pytest.approx(600, rel=0.11)
    known = known.slower(refused(3, None), known.rests_until + timedelta(seconds=60))
    assert (known.rests_until - known.since).total_seconds() <= 1


def used(known: Pace, seconds: int) -> list[float]:
    """The pace, second by second, as it is used to the full."""
    paces = []
    for second in range(2, seconds):
        faster = known.faster(after(second))
        if faster is None:
            break
        known = replace(faster, next=after(second))
        paces.append(known.per_second)
    return paces


def test_it_grows_with_what_is_sent_the_longer_nothing_is_refused() -> None:
    paces = used(first(10), 60)
    assert paces == sorted(paces)
    assert 10 < paces[5] < 10.5
    assert paces[-1] > 20


def test_beyond_a_bound_there_is_no_pace() -> None:
    assert len(used(first(2100), 1000)) < 50


def test_it_does_not_grow_while_less_is_sent_than_it_allows() -> None:
    known = first(20).reserved(4, after(1))
    faster = known.faster(after(100))
    assert faster is not None
    assert faster.per_second == known.per_second


def test_what_is_reserved_is_nobody_elses() -> None:
    known = first(20)
    assert known.ahead(after(0.25)) == pytest.approx(0.75)  # it rests
    known = known.reserved(19, after(0.25))
    assert known.ahead(after(0.25)) == pytest.approx(1.75)


def test_it_is_kept_as_it_is_and_forgotten_after_an_hour() -> None:
    known = first(20).reserved(4, after(1))
    assert Pace.read(known.content(), after(10)) == known
    assert Pace.read(known.content(), after(3700)) is None
    assert Pace.read({}, START) is None
