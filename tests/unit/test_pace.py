"""A target that is overloaded rests, then gets nearly what it took, and gradually more."""

import pytest

from shared.delivery.pace import Pace


class Target:
    """A target that takes so many requests within a second, and a clock."""

    def __init__(self, most: int, per_second: float | None = None, retry_after: float | None = 1.0):
        self.now = 1000.0
        self.most = most
        self.retry_after = retry_after
        self.pace = Pace(per_second, lambda: self.now)
        self.taken: list[float] = []
        self.refused = 0

    def send(self) -> bool:
        """Send one as soon as the pace lets it; whether it was taken."""
        self.now += self.pace.wait
        self.pace.sent()
        if sum(moment > self.now - 1 for moment in self.taken) < self.most:
            self.taken.append(self.now)
            self.pace.accepted()
            return True
        self.refused += 1
        self.pace.overloaded(self.retry_after, 3600)
        return False


def test_a_target_that_was_never_overloaded_waits_for_nothing() -> None:
    target = Target(1000)
    assert all(target.send() for _ in range(100))
    assert (target.now, target.pace.per_second) == (1000.0, None)


def test_it_rests_for_as_long_as_it_says_and_then_gets_nearly_what_it_took() -> None:
    target = Target(20, retry_after=7)
    while target.send():
        target.now += 0.01
    assert target.pace.wait == pytest.approx(7)
    assert target.pace.per_second == pytest.approx(19)
    target.send()
    assert target.pace.wait == pytest.approx(1 / 19, rel=0.01)


@pytest.mark.parametrize("retry_after", [1.0, None])
def test_most_of_what_it_allows_is_used_and_little_is_refused(retry_after: float | None) -> None:
    target = Target(20, retry_after=retry_after)
    while len(target.taken) < 2000:
        target.send()
        target.now += 0.001
    assert 2000 / (target.now - 1000) > 0.85 * 20
    assert target.refused < 0.05 * 2000


def test_what_is_refused_while_it_rests_tells_nothing_new() -> None:
    target = Target(20)
    while target.send():
        target.now += 0.001
    before = target.pace.per_second, target.pace.wait
    for _ in range(30):
        target.pace.overloaded(None, 3600)
    assert (target.pace.per_second, target.pace.wait) == before
    target.pace.overloaded(5, 3600)
    assert target.pace.wait == pytest.approx(5)


def test_each_time_that_nothing_was_accepted_it_rests_longer_up_to_a_bound() -> None:
    target = Target(0, retry_after=None)
    rests = []
    for _ in range(20):
        target.send()
        rests.append(target.pace.resting)
    assert rests[:5] == pytest.approx([1, 2, 4, 8, 16], rel=0.11)
    assert rests[-1] == 3600
    assert target.now > 1000 + 3600


def test_a_target_in_maintenance_gets_few_requests_in_a_day() -> None:
    target = Target(0, retry_after=60)
    while target.now < 1000 + 24 * 3600:
        target.send()
    assert target.refused < 40


def test_the_pace_grows_with_what_is_accepted_the_longer_nothing_is_refused() -> None:
    target = Target(10**9, per_second=10.0)
    paces = []
    for _ in range(1200):
        target.send()
        paces.append(target.pace.per_second or 0)
    assert paces == sorted(paces)
    assert 10 < paces[50] < 10.5
    assert paces[-1] > 20


def test_beyond_a_bound_there_is_no_pace() -> None:
    target = Target(10**9, per_second=1999.99)
    for _ in range(1000):
        target.send()
    assert target.pace.per_second is None


def test_what_an_earlier_call_has_learnt_holds_from_the_first_request() -> None:
    target = Target(20, per_second=10)
    target.send()
    assert target.pace.wait == pytest.approx(0.1)


def test_a_target_that_may_not_rest_is_sent_to_as_before() -> None:
    target = Target(20)
    target.pace.overloaded(60, 0)
    assert (target.pace.per_second, target.pace.wait) == (None, 0)
