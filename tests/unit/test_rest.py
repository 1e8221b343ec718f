"""A target that is overloaded rests for as long as it says, or longer each time."""

import pytest

from shared.delivery.rest import Rest


class Target:
    """A target in maintenance, and a clock."""

    def __init__(self, retry_after: float | None = None):
        self.now = 1000.0
        self.retry_after = retry_after
        self.rest = Rest(lambda: self.now)
        self.refused = 0

    def send(self) -> None:
        """Send one as soon as the target rests no more."""
        self.now += self.rest.seconds
        self.refused += 1
        assert self.rest.overloaded(self.retry_after, 3600)


def test_it_rests_for_as_long_as_it_says() -> None:
    target = Target(retry_after=7)
    target.send()
    assert target.rest.seconds == pytest.approx(7)


def test_what_is_refused_while_it_rests_tells_nothing_new() -> None:
    target = Target()
    target.send()
    before = target.rest.seconds
    assert not any(target.rest.overloaded(None, 3600) for _ in range(30))
    assert target.rest.seconds == before
    assert not target.rest.overloaded(5, 3600)
    assert target.rest.seconds == pytest.approx(5)


def test_each_time_that_nothing_was_accepted_it_rests_longer_up_to_a_bound() -> None:
    target = Target()
    rests = []
    for _ in range(20):
        target.send()
        rests.append(target.rest.seconds)
    assert rests[:5] == pytest.approx([1, 2, 4, 8, 16], rel=0.11)
    assert rests[-1] == 3600
    target.now += 3600
    target.rest.accepted()
    target.send()
    assert target.rest.seconds < 2


def test_a_target_in_maintenance_gets_few_requests_in_a_day() -> None:
    target = Target(retry_after=60)
    while target.now < 1000 + 24 * 3600:
        target.send()
    assert target.refused < 40


def test_what_it_took_within_a_second_is_known() -> None:
    target = Target()
    for _ in range(30):
        target.rest.accepted()
        target.now += 0.1
    assert target.rest.taken in (9, 10)


def test_a_target_that_may_not_rest_is_sent_to_as_before() -> None:
    rest = Rest()
    assert not rest.overloaded(60, 0)
    assert rest.seconds == 0
