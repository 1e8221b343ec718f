"""Workers killed with -9 at every step of a page: nothing lost, no order broken, little sent twice."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.end_to_end import bundle as bundles
from tests.faults.observed import assert_all_delivered, deliver_all, received, running, stored

# A dead worker's partitions are free after 4 s, and not after 10: it takes three deaths.
QUICK = {"TARGET_CONNECT_TIMEOUT": "500ms", "TARGET_READ_TIMEOUT": "2s", "LEASE": "4s"}

# The step at which the worker dies, and how many records may then be sent twice.
STEPS = {
    "before the lease": 0,
    "within the lease": 0,
    "after the lease": 0,
    "after noting what is in flight": 0,
    "mid-delivery": 128,
    "between answer and write": 128,
    "mid-write": 128,
    "after the write": 128,
    "before the release": 0,
}


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_dies_at_a_step(tmp_path: Path, step: str) -> None:
    killed = tmp_path / "killed"
    with (
        bundles.target() as url,
        running(tmp_path / "home", url, {"KILL_AT": step, "KILLED": str(killed)}) as bundle,
    ):
        ids = stored(bundle, url, 300)
        assert bundle.call("POST", "/process").status_code == 502
        assert killed.exists()
        deliver_all(bundle)
        assert assert_all_delivered(bundle, url, ids) <= STEPS[step]


def test_twenty_workers_die_at_random_times(tmp_path: Path) -> None:
    kills, stop = 0, threading.Event()
    dice = random.Random(20261124)
    with bundles.target() as url, running(tmp_path / "home", url, {}) as bundle:
        ids = stored(bundle, url, 1000)

        def call_on_and_on() -> None:
            while not stop.is_set():
                bundle.call("POST", "/process", {"noOfMessagesToProcess": 200})

        with ThreadPoolExecutor(3) as pool:
            callers = [pool.submit(call_on_and_on) for _ in range(3)]
            try:
                while kills < 20:
                    time.sleep(dice.uniform(0.05, 0.4))
                    pids = bundle.pids("process-data")
                    if pids:
                        os.kill(dice.choice(pids), signal.SIGKILL)
                        kills += 1
            finally:
                stop.set()
            for caller in callers:
                caller.result()
        deliver_all(bundle)
        twice = assert_all_delivered(bundle, url, ids)
        assert twice <= kills * 128


def test_a_record_that_kills_its_worker_ends_dead_and_the_others_are_delivered(tmp_path: Path) -> None:
    """Which of those in flight did it is not known at first: the third time it is sent alone."""
    with (
        bundles.target() as url,
        running(tmp_path / "home", url, {"POISON": "/poison"}, **QUICK) as bundle,
    ):
        ids = stored(bundle, url, 60, "/ok")
        poison = bundle.stored(f"{url}/ok/poison", streamKey="poison")
        behind = bundle.stored(f"{url}/ok/behind", streamKey="poison")
        deliver_all(bundle)
        state = bundle.state(poison)
        assert (state["status"], state["dead"], state["status_code"]) == ("failed", True, "unexpectedError")
        assert "3 time(s) in a row" in state["failure_reason"]
        assert {bundle.state(one)["status"] for one in [*ids, behind]} == {"success"}
        assert len([one for one in received(url) if one["idempotencyKey"] == poison]) == 0
