"""Whatever machines' clocks say: keys keep their order, what is stored is due, nothing is sent twice."""

from pathlib import Path

import pytest

from tests.faults.trial import two_machines

PAIRS = 1000
KEYS = 50


@pytest.mark.parametrize("seconds", [60, -60])
def test_a_key_keeps_its_order_though_two_store_data_take_the_time_a_minute_apart(
    tmp_path: Path, seconds: int
) -> None:
    with two_machines(tmp_path, MEASURED=str(seconds)) as (target, right, wrong):
        where = f"{target.url}/ok"
        for number in range(PAIRS):
            first, second = (wrong, right) if number % 2 else (right, wrong)
            key = f"key {number % KEYS}"
            earlier = first.bundle.stored(where, streamKey=key)
            later = second.bundle.stored(where, streamKey=key)
            assert earlier < later


def test_what_a_store_data_whose_clock_is_ahead_has_stored_is_due_at_once(tmp_path: Path) -> None:
    with two_machines(tmp_path, CLOCK="300") as (target, right, ahead):
        stored = [ahead.bundle.stored(f"{target.url}/ok") for _ in range(20)]
        assert right.bundle.process()["processedmessages"] == 20
        assert {right.bundle.state(one)["status"] for one in stored} == {"success"}


def test_a_process_data_an_hour_ahead_fences_nobody_and_sends_what_is_due(tmp_path: Path) -> None:
    with two_machines(tmp_path, CLOCK="3600") as (target, right, ahead):
        right.store_many(300, f"{target.url}/slow/20")
        for _ in range(3):
            ahead.process()
            right.process()
        right.deliver_all()
        right.answers += ahead.answers
        assert right.assert_all_delivered() == 0


def test_maintenance_archives_by_the_databases_time_also_as_a_process_first_does_something(
    tmp_path: Path,
) -> None:
    with two_machines(tmp_path, CLOCK=str(40 * 24 * 3600)) as (target, right, ahead):
        stored = right.bundle.stored(f"{target.url}/ok")
        right.process()
        assert ahead.bundle.maintain()["archived"] == 0
        assert right.bundle.state(stored)["status"] == "success"
