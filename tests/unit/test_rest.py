"""A target that is overloaded rests for as long as it says, or a second."""

import pytest

from shared.delivery.rest import Rest


class Target:
    """A target in maintenance, and a clock."""

    def __init__(self, retry_after: float | None = None):
        self.now = 1000.0
        self.retry_after = retry_after
        self.rest = Rest(lambda: self.now)

    def send(self) -> None:
        """Send one as soon as the target rests no more."""
        self.now += self.rest.seconds
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


def test_without_a_word_it_rests_for_a_second() -> None:
    target = Target()
    target.send()
    assert target.rest.seconds == pytest.approx(1)


def test_whether_it_has_accepted_anything_since_is_known() -> None:
    target = Target()
    assert not target.rest.has_accepted
    target.rest.accepted()
    assert target.rest.has_accepted
    target.send()
    assert not target.rest.has_accepted


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
