"""The promises of the contract hold whatever is drawn, and a seed plays the same each time."""

import json
import subprocess
import sys

import pytest

from tests.end_to_end.bundle import ROOT

SEEDS = 1200
PARTS = 8


def simulation(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_a_promise(part: int) -> None:
    number = SEEDS // PARTS
    played = simulation(str(number), "--first", str(part * number), "--jobs", "1")
    assert played.returncode == 0, played.stdout + played.stderr
    assert f"{number} seeds" in played.stdout


def test_a_target_in_maintenance_for_a_day_gets_few_requests_and_every_record_afterwards() -> None:
    command = [sys.executable, "-m", "tests.simulation.day", "300"]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stderr
    found = json.loads(played.stdout)
    assert found["requests in the day"] <= 300
    assert (found["delivered"], found["twice"], found["in order"]) == (300, 0, True)


def test_a_seed_plays_the_same_each_time() -> None:
    first, again = simulation("--seed", "77"), simulation("--seed", "77")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "sends" in first.stdout
    assert first.stdout == again.stdout
