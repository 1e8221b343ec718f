"""What a call may use is bounded: records, bytes, files, and calls until nothing is left to send."""

import os
import resource
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.emulators.soda.connection import connect
from tests.end_to_end.bundle import eventually
from tests.faults.trial import Trial, peak_memory, running, sample_target

MOST_BYTES = 200 * 2**20
KILOBYTES_200 = "x" * 200_000


def loop(trial: Trial, most: int) -> None:
    """Call `/process` until it says that nothing is left to send, as a scheduler's script does."""
    for _ in range(most):
        if trial.process()["endOfStream"]:
            return
    raise AssertionError(f"after {most} calls it still says that there is something: {trial.answers[-1]}")


# Files


def test_files_that_run_out_put_records_off_and_harm_none(tmp_path: Path) -> None:
    """It is this machine's fault: no attempt is counted, and no circuit opens."""
    with sample_target() as target, running(tmp_path, target, CONCURRENCY_PER_TARGET="128") as trial:
        trial.store([trial.bundle.record(f"{target.url}/ok")])
        trial.process()  # everything is loaded
        (pid,) = trial.bundle.pids("process-data")
        files = max(int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()) + 20
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, files))
        trial.store(
            [
                trial.bundle.record(f"{target.url}/slow/50", streamKey="" if number % 10 else "k")
                for number in range(400)
            ]
        )
        first = trial.process()
        assert first["skippedMessages"] > 0
        assert (first["failedMessages"], first["endOfStream"]) == (0, False)
        assert trial.report()["openCircuits"] == []
        trial.deliver_all(100)
        assert trial.assert_all_delivered() == 0
        assert {len(one["attempts"]) for one in trial.bundle.documents()} == {1}


# Memory


def test_large_records_of_one_key_do_not_fill_the_memory(tmp_path: Path) -> None:
    """They go to a quick target behind a slow one with a queue of its own, so each must be looked for."""
    with sample_target() as slow, running(tmp_path, slow, BODY_LIMIT="6MiB") as trial:
        trial.store([trial.bundle.record(f"{slow.url}/slow/100") for _ in range(100)])
        for start in range(0, 256, 16):
            trial.store(
                [
                    trial.bundle.record(
                        f"{slow.url}/slow/5" if number % 2 else "/ok",
                        streamKey="k",
                        targetRestApiPayload=KILOBYTES_200,
                    )
                    for number in range(start, start + 16)
                ]
            )
        trial.deliver_all()
        (pid,) = trial.bundle.pids("process-data")
        assert peak_memory(pid) < MOST_BYTES
        assert trial.assert_all_delivered() == 0


def test_large_records_of_one_key_that_were_interrupted_are_delivered_all_the_same(tmp_path: Path) -> None:
    """All that were noted hold back the key: more than is read at once."""
    with running(tmp_path, BODY_LIMIT="6MiB") as trial:
        for _ in range(8):
            record = trial.bundle.record("/hang", streamKey="k", targetRestApiPayload=KILOBYTES_200)
            trial.store([record] * 16)
        kill_amid(trial, 1)
        direct(trial, "/ok")
        trial.deliver_all(100)
        assert trial.assert_all_delivered(128) == 0


# Numbers


@pytest.mark.parametrize("key", ["", "one key"])
def test_a_call_for_one_record_handles_one_however_many_were_interrupted(tmp_path: Path, key: str) -> None:
    with running(tmp_path) as trial:
        trial.store([trial.bundle.record("/hang", streamKey=key) for _ in range(41)])
        for _ in range(2):
            kill_amid(trial, 1 if key else 41)
        direct(trial, "/ok")
        known = trial.own.count()
        answer = trial.process(noOfMessagesToProcess=1)
        assert (answer["processedmessages"], answer["failedMessages"]) == (1, 0)
        assert trial.own.count() == known + 1
        trial.deliver_all(100)
        trial.assert_all_delivered(2 * 41)


def kill_amid(trial: Trial, number: int) -> None:
    """Kill the worker as it waits for answers of a target that has so many requests."""
    known = trial.own.count()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(trial.call)
        eventually(lambda: trial.own.count() >= known + number)
        for pid in trial.bundle.pids("process-data"):
            os.kill(pid, signal.SIGKILL)
        assert call.result().status_code == 502


def direct(trial: Trial, path: str) -> None:
    """Let all records go to another path of the bundle's own target."""
    with connect(trial.bundle.database) as connection:
        connection.autocommit = True
        collection = connection.getSodaDatabase().openCollection("datasync_records")
        for found in collection.find().getDocuments():
            content = found.getContent()
            content.pop("_id", None)
            content["targetRestApi"] = trial.own.url + path
            collection.find().key(found.key).replaceOne(content)


# Calls


@pytest.mark.parametrize("backoff", ["0s..0s", "30s..6h"])
def test_a_loop_until_the_end_of_the_stream_ends_soon_where_a_target_is_down(
    tmp_path: Path, backoff: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        down = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with running(tmp_path, Down(down), RETRY_BACKOFF=backoff) as trial:
        trial.store(
            [
                trial.bundle.record(f"{down}/x", streamKey="" if number % 10 else f"k-{number % 40}")
                for number in range(300)
            ]
        )
        for _ in range(3):
            loop(trial, 4)
        assert len(trial.answers) < 12
        assert not any(one["datasync"]["attempts"] for one in trial.bundle.documents())
        trial.check()


def test_a_loop_until_the_end_of_the_stream_ends_soon_where_a_key_waits_for_its_first_record(
    tmp_path: Path,
) -> None:
    with running(tmp_path, RETRY_BACKOFF="1h..1h") as trial:
        (first, *_) = trial.store(
            [trial.bundle.record(path, streamKey="k") for path in ("/status/503", *["/ok"] * 9)]
        )
        trial.store([trial.bundle.record("/ok") for _ in range(10)])
        for _ in range(3):
            loop(trial, 2)
        assert [one.id for one in trial.received()].count(first) == 1
        assert len(trial.received()) == 11
        trial.check()


class Down:
    """A target that is down."""

    def __init__(self, url: str):
        self.url = url

    def received(self) -> list[object]:
        return []
