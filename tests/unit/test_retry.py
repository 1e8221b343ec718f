"""What a failure means: another try or none, when, and under which error stream it is filed."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from shared.model.retry import RetryPolicy, backoff, retry_after_seconds
from shared.settings import Settings

MOMENT = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
LOW, HIGH = 30.0, 6 * 3600.0
POLICY = RetryPolicy(frozenset({"503", "unexpectedError"}), 8, (LOW, HIGH), {})
SETTINGS = Settings(
    "sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment", error_mapping={"404": "team-a"}
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The bounds between which a delay was drawn; each time the lower one came out."""
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", uniform)
    return bounds


def delay(retry_after: float | None = None, attempts: int = 1) -> float:
    """Seconds until the next attempt."""
    following = POLICY.next_attempt(503, attempts, attempts, MOMENT, retry_after)
    assert following is not None
    return (following - MOMENT).total_seconds()


@pytest.mark.parametrize("code", [503, "503", "unexpectedError"])
def test_a_code_worth_retrying_is_tried_again_later(code: int | str) -> None:
    following = POLICY.next_attempt(code, 1, 1, MOMENT)
    assert following is not None
    assert following >= MOMENT + timedelta(seconds=LOW)


@pytest.mark.parametrize("code", [404, "404", 500, 50, "", "UnexpectedError"])
def test_another_code_is_not_tried_again(code: int | str) -> None:
    assert POLICY.next_attempt(code, 1, 1, MOMENT) is None
    assert POLICY.next_attempt(code, 1, 1, MOMENT, retry_after=5) is None


@pytest.mark.parametrize(("attempts", "dead"), [(1, False), (7, False), (8, True), (9, True)])
def test_a_record_is_dead_after_its_last_attempt(attempts: int, dead: bool) -> None:
    assert (POLICY.next_attempt(503, attempts, attempts, MOMENT) is None) == dead


def test_what_was_not_sent_counts_for_the_backoff_and_not_for_the_limit() -> None:
    drawn = [POLICY.next_attempt("unexpectedError", 0, tries, MOMENT) for tries in [1] * 200 + [99] * 200]
    delays = [(one - MOMENT).total_seconds() for one in drawn if one is not None]
    assert len(delays) == 400
    assert max(delays[:200]) <= 2 * LOW < max(delays[200:]) <= HIGH


def test_delays_are_drawn_from_the_whole_range_below_a_bound_that_doubles(
    asked: list[tuple[float, float]],
) -> None:
    for attempts in range(1, 13):
        backoff(attempts, LOW, HIGH)
    lows, highs = zip(*asked, strict=True)
    assert set(lows) == {LOW}
    assert highs[0] > LOW
    assert list(highs[1:]) == [min(HIGH, 2 * bound) for bound in highs[:-1]]
    assert highs[-1] == HIGH


@pytest.mark.parametrize("attempts", [1, 2, 5, 10, 1000, 10**6])
@pytest.mark.parametrize(("low", "high"), [(LOW, HIGH), (0.5, 0.5), (0.0, 0.0), (0.0, 60.0), (60.0, 60.0)])
def test_a_delay_is_between_the_operators_bounds(attempts: int, low: float, high: float) -> None:
    assert all(low <= backoff(attempts, low, high) <= high for _ in range(100))


def test_delays_differ() -> None:
    assert len({backoff(5, LOW, HIGH) for _ in range(100)}) > 90


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, LOW),
        (0.0, LOW),
        (5.0, LOW),
        (120.0, 120.0),
        (HIGH, HIGH),
        (HIGH + 1, HIGH),
        (999_999_999.0, HIGH),
    ],
)
@pytest.mark.usefixtures("asked")
def test_a_targets_wish_is_obeyed_up_to_the_upper_bound(retry_after: float | None, seconds: float) -> None:
    assert delay(retry_after) == seconds


def test_a_targets_wish_does_not_shorten_the_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, high: high)
    assert delay(retry_after=1.0, attempts=5) > 10 * LOW


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("007", 7.0),
        ("Mon, 23 Nov 2026 21:02:00 GMT", 120.0),
        ("Monday, 23-Nov-26 21:02:00 GMT", 120.0),
        ("Mon Nov 23 21:02:00 2026", 120.0),
        ("Mon, 23 Nov 2026 22:02:00 +0100", 120.0),
        ("Mon, 23 Nov 2026 20:59:00 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
    ],
)
def test_a_retry_after_header_is_a_number_of_seconds_or_a_date(header: str, seconds: float) -> None:
    assert retry_after_seconds(header, MOMENT) == seconds


@pytest.mark.parametrize("header", ["9" * 20, "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_retry_after_beyond_all_bounds_is_a_long_time(header: str) -> None:
    seconds = retry_after_seconds(header, MOMENT)
    assert seconds is not None
    assert HIGH < seconds < float("inf")
    assert delay(seconds) == HIGH


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", " ", "soon", "-5", "+5", "1.5", "1e3", "0x10", "5 s", "5, 10", "٣", "²", "NaN", "inf"),
        *(
            "Mon, 99 Nov 2026 21:00:00 GMT",
            "Mon, 23 Nov 99999 21:00:00 GMT",
            "Mon,",
            "::",
            "\x00",
            "GMT",
            "()",
        ),
        "Mon, 23 Nov 2026 25:00:00 GMT",
        "Mon, 23 Nov 2026 21:00:00 +99999999999999999999",
        "Mon, 23 Nov 2026 21:00:00 +2999999999999",
        "Mon, 23 Nov 2026 21:00:99999999999999999999 GMT",
        "Mon, 23 Nov 2026 99999999999:00:00 GMT",
    ],
)
def test_a_retry_after_that_says_nothing_is_no_wish(header: str | None) -> None:
    assert retry_after_seconds(header, MOMENT) is None


@pytest.mark.parametrize(
    ("code", "stream"),
    [
        (503, "recoverable"),
        ("unexpectedError", "recoverable"),
        (404, "unrecoverable"),
        (302, "unrecoverable"),
    ],
)
def test_without_a_mapping_codes_worth_retrying_are_recoverable_and_others_not(
    code: int | str, stream: str
) -> None:
    assert POLICY.error_stream(code) == stream


@pytest.mark.parametrize(
    ("code", "stream"), [(503, "team-a"), ("503", "team-a"), (404, "rest"), ("unexpectedError", "rest")]
)
def test_a_mapping_goes_before_and_its_unexpected_error_is_everything_else(
    code: int | str, stream: str
) -> None:
    mapping = {"503": "team-a", "unexpectedError": "rest"}
    assert RetryPolicy(POLICY.codes, 8, (LOW, HIGH), mapping).error_stream(code) == stream


def test_a_mapping_of_some_codes_leaves_the_others_as_they_are() -> None:
    policy = RetryPolicy(POLICY.codes, 8, (LOW, HIGH), {"404": "team-a"})
    assert [policy.error_stream(code) for code in (404, 503, 400)] == [
        "team-a",
        "recoverable",
        "unrecoverable",
    ]


def test_the_policy_is_the_operators_and_a_call_may_bring_its_own_mapping() -> None:
    policy = SETTINGS.retry_policy()
    assert (policy.codes, policy.limit, policy.backoff) == (SETTINGS.retry_codes, 20, (LOW, HIGH))
    assert policy.error_stream(404) == "team-a"
    assert SETTINGS.retry_policy({"404": "team-b"}).error_stream(404) == "team-b"
    assert SETTINGS.retry_policy({}).error_stream(404) == "unrecoverable"
