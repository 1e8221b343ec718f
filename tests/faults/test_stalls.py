"""Workers that stand still, wrong clocks, targets that flap, a database that is locked for seconds."""

import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.bundle import Bundle, eventually
from tests.faults.trial import Trial, running, sample_target, two_machines


def delivering(bundle: Bundle) -> int:
    """The process that holds the lease: of several, the one that uses the processor."""

    def used(pid: int) -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = {pid: used(pid) for pid in bundle.pids("process-data")}
    time.sleep(0.3)
    return max(before, key=lambda pid: used(pid) - before[pid])


def suspend(bundle: Bundle, pid: int) -> None:
    """Suspend a process outside its transactions: on SQLite one of them would lock the whole database."""
    for _ in range(100):
        os.kill(pid, signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(bundle.database, isolation_level=None, timeout=0.2)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)
        else:
            return
    raise AssertionError("it is always in a transaction")


def test_a_worker_suspended_past_its_lease_sends_nothing_more_when_it_wakes(tmp_path: Path) -> None:
    with running(tmp_path / "home") as trial:
        ids = trial.store_many(500, "/slow/150")
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(trial.call)
            eventually(lambda: trial.own.count() > 50)
            sleeper = delivering(trial.bundle)
            suspend(trial.bundle, sleeper)
            asleep = trial.own.count()
            second = pool.submit(trial.deliver_all)
            try:
                eventually(lambda: trial.own.count() > asleep + 50)  # once the lease is over
            finally:
                os.kill(sleeper, signal.SIGCONT)
            assert first.result().status_code in (200, 503), (first.result().text, trial.bundle.logs())
            second.result()
        # What was on its way as the worker fell asleep, and written by nobody, was sent again: once.
        assert trial.assert_all_delivered(len(ids)) <= 128
        assert max(Counter(one.id for one in trial.received()).values()) <= 2


@pytest.mark.parametrize("seconds", [-420, 420])
def test_workers_whose_clocks_are_minutes_apart_share_without_doubling(tmp_path: Path, seconds: int) -> None:
    with two_machines(tmp_path, CLOCK=str(seconds)) as (target, right, wrong):
        right.store_many(800, f"{target.url}/slow/20")
        stop = threading.Event()

        def call_on_and_on(trial: Trial) -> None:
            while not stop.is_set():
                trial.process()

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(call_on_and_on, one) for one in (wrong, right, wrong, right)]
            eventually(lambda: target.count() > 600)
            stop.set()
            for call in calls:
                call.result()
        right.deliver_all()
        right.answers += wrong.answers
        assert right.assert_all_delivered() == 0


FLAPPING = {"RETRY_LIMIT": "1000", "RETRY_BACKOFF": "100ms..500ms", "TARGET_READ_TIMEOUT": "1s"}


def test_a_target_that_flaps_gets_everything_in_order(tmp_path: Path) -> None:
    """It stands still for longer than the time-outs, and goes on, again and again."""
    with (
        sample_target() as target,
        running(tmp_path / "home", target, **FLAPPING) as trial,
    ):
        pid = target_pid(target.url)
        trial.store_many(300, f"{target.url}/slow/30")
        stop = threading.Event()

        def flap() -> None:
            while not stop.wait(0.3):
                os.kill(pid, signal.SIGSTOP)
                stop.wait(1.3)
                os.kill(pid, signal.SIGCONT)

        with ThreadPoolExecutor(1) as pool:
            flapping = pool.submit(flap)
            for _ in range(8):
                trial.process()
            stop.set()
            flapping.result()
        eventually(lambda: trial.process()["endOfStream"] and finished(trial.bundle))
        trial.assert_all_delivered()


def finished(bundle: Bundle) -> bool:
    return all(one["status"] == "success" for one in bundle.documents())


def target_pid(url: str) -> int:
    """The process that listens at a URL."""
    port = int(url.rpartition(":")[2])
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if int(line.split()[1].split(":")[1], 16) == port and line.split()[3] == "0A"
    }
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            links = {str(link.readlink()) for link in (folder / "fd").iterdir()}
        except OSError:
            continue
        if links & {f"socket:[{inode}]" for inode in inodes}:
            return int(folder.name)
    raise AssertionError("nobody listens")


@contextmanager
def locked_now_and_then(database: Path, seconds: float) -> Iterator[None]:
    """Hold the database's write lock for `seconds`, and let go for half a second, again and again."""
    stop = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as connection:
            while not stop.wait(0.5):
                connection.execute("BEGIN IMMEDIATE")
                stop.wait(seconds)
                connection.rollback()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        try:
            yield
        finally:
            stop.set()
            holding.result()


def test_a_database_locked_for_seconds_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "home", LEASE="20s") as trial:
        trial.store_many(400)
        with locked_now_and_then(trial.bundle.database, 3), ThreadPoolExecutor(2) as pool:
            for call in [pool.submit(trial.call) for _ in range(4)]:
                assert call.result().status_code in (200, 503)
        trial.deliver_all()
        assert trial.assert_all_delivered() == 0
