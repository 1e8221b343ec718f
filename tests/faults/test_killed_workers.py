"""Workers killed with -9 at every step of a page: nothing lost, no order broken, little sent twice."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.trial import running

# The step at which the worker dies, how many records may then count an interrupted attempt, and how many may
# be accepted twice.
STEPS = {
    "before the lease": (0, 0),
    "within the lease": (0, 0),
    "after the lease": (0, 0),
    "after noting what is in flight": (300, 0),
    "mid-delivery": (300, 128),
    "between answer and write": (300, 128),
    "mid-write": (300, 128),
    "after the write": (300, 128),
    "before the release": (300, 0),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_dies_at_a_step(tmp_path: Path, step: str) -> None:
    killed, (interrupted, twice) = tmp_path / "killed", STEPS[step]
    faults = {"KILL_AT": step, "KILLED": str(killed)}
    with running(tmp_path / "home", faults=faults) as trial:
        trial.store_many(300)
        assert trial.call().status_code == 502
        assert killed.exists()
        trial.deliver_all()
        assert trial.assert_all_delivered(interrupted) <= twice


def test_twenty_workers_die_at_random_times(tmp_path: Path) -> None:
    kills, stop = 0, threading.Event()
    dice = random.Random(20261124)
    with running(tmp_path / "home", RETRY_LIMIT="40") as trial:
        trial.store_many(1000)

        def call_on_and_on() -> None:
            while not stop.is_set():
                trial.call(noOfMessagesToProcess=200)

        with ThreadPoolExecutor(3) as pool:
            callers = [pool.submit(call_on_and_on) for _ in range(3)]
            try:
                while kills < 20:
                    time.sleep(dice.uniform(0.05, 0.4))
                    pids = trial.bundle.pids("process-data")
                    if pids:
                        os.kill(dice.choice(pids), signal.SIGKILL)
                        kills += 1
            finally:
                stop.set()
            for caller in callers:
                caller.result()
        trial.deliver_all()
        assert trial.assert_all_delivered(kills * 200) <= kills * 128


def test_a_record_that_kills_its_worker_ends_dead_and_the_others_are_delivered(tmp_path: Path) -> None:
    """Which of those in flight did it is not known at first: the third time it is sent alone."""
    with running(tmp_path / "home", faults={"POISON": "/poison"}) as trial:
        ids = trial.store_many(60, "/ok")
        poison, behind = trial.store(
            [trial.bundle.record(f"/ok/{name}", streamKey="poison") for name in ("poison", "behind")]
        )
        trial.deliver_all(20)
        trial.check(3 * 62)
        state = trial.bundle.state(poison)
        assert (state["status"], state["dead"], state["status_code"]) == ("failed", True, "unexpectedError")
        assert "3 time(s) in a row" in state["failure_reason"]
        assert {trial.bundle.state(one)["status"] for one in [*ids, behind]} == {"success"}
        assert poison not in {one.id for one in trial.received()}
