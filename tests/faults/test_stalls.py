"""Workers that stand still, wrong clocks, targets that flap, a database that is locked for seconds."""

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle, eventually
from tests.faults.observed import assert_all_delivered, deliver_all, received, running, stored

FLAPPING = {
    "TARGET_CONNECT_TIMEOUT": "500ms",
    "TARGET_READ_TIMEOUT": "1s",
    "LEASE": "20s",
    "RETRY_LIMIT": "1000",
    "RETRY_BACKOFF": "100ms..500ms",
}


def suspend(bundle: Bundle, pid: int) -> None:
    """Suspend a process outside its transactions: on SQLite one of them would lock the whole database."""
    for _ in range(1000):
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
    with bundles.target() as url, running(tmp_path / "home", url, {}) as bundle:
        ids = stored(bundle, url, 500, "/slow/400")
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(bundle.call, "POST", "/process")
            eventually(lambda: bundles.count(url) > 50)
            [sleeper] = bundle.pids("process-data")
            suspend(bundle, sleeper)
            asleep = bundles.count(url)
            second = pool.submit(deliver_all, bundle)
            eventually(lambda: bundles.count(url) > asleep + 50)  # once its lease is over
            os.kill(sleeper, signal.SIGCONT)
            assert first.result().status_code in (200, 503), (first.result().text, bundle.logs())
            second.result()
        # What was on its way as the worker fell asleep, and written by nobody, was sent again: once.
        assert assert_all_delivered(bundle, url, ids) <= 128
        assert (
            max(len([1 for one in received(url) if one["idempotencyKey"] == identity]) for identity in ids)
            <= 2
        )


@pytest.mark.parametrize("seconds", [-420, 420])
def test_workers_whose_clocks_are_minutes_apart_share_without_doubling(tmp_path: Path, seconds: int) -> None:
    """Two bundles on one database: one of them has a wrong clock."""
    home = tmp_path / "home"
    with (
        bundles.target() as url,
        running(home, url, {}, LEASE="60s") as right,
        running(home, url, {"CLOCK": str(seconds)}, LEASE="60s") as wrong,
    ):
        ids = stored(right, url, 800)
        stop = threading.Event()

        def call_on_and_on(bundle: Bundle) -> None:
            while not stop.is_set():
                assert bundle.call("POST", "/process").status_code == 200

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(call_on_and_on, one) for one in (wrong, right, wrong, right)]
            try:
                eventually(lambda: finished(right), pause=0.5)
            finally:
                stop.set()
            for call in calls:
                call.result()
        assert assert_all_delivered(right, url, ids) == 0


def test_a_target_that_flaps_gets_everything_in_order(tmp_path: Path) -> None:
    """It stands still for longer than the time-outs, and goes on, again and again."""
    with (
        bundles.target() as url,
        running(tmp_path / "home", url, {}, **FLAPPING) as bundle,
    ):
        target = target_pid(url)
        ids = stored(bundle, url, 300, "/slow/30")
        stop = threading.Event()

        def flap() -> None:
            while not stop.wait(0.3):
                os.kill(target, signal.SIGSTOP)
                stop.wait(1.3)
                os.kill(target, signal.SIGCONT)

        with ThreadPoolExecutor(1) as pool:
            flapping = pool.submit(flap)
            for _ in range(8):
                bundle.process()
            stop.set()
            flapping.result()
        eventually(lambda: bundle.process()["endOfStream"] and finished(bundle), pause=0.5)
        assert_all_delivered(bundle, url, ids)


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
    with bundles.target() as url, running(tmp_path / "home", url, {}, LEASE="60s") as bundle:
        ids = stored(bundle, url, 400)
        with locked_now_and_then(bundle.database, 3), ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(bundle.call, "POST", "/process") for _ in range(4)]
            assert {call.result().status_code for call in calls} <= {200, 503}
        deliver_all(bundle)
        assert assert_all_delivered(bundle, url, ids) == 0
