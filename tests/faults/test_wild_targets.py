"""Targets that do to connections what they should not: no record is lost, doubled or dead for it."""

from collections import Counter
from pathlib import Path

from tests.faults import wild_target
from tests.faults.trial import Trial, running
from tests.faults.wild_target import WildTarget

RECORDS = 2000
HEALTHY = 640
MOST_BYTES = 200 * 2**20

# How often each record is accepted: an answer that was given is read, whatever becomes of the connection.
BEHAVIOURS = ("closing-after", "closing-before", "closing-amid", "surplus", "twice")


def test_thousands_of_records_for_targets_that_misuse_connections(tmp_path: Path) -> None:
    """Each is accepted once: all answers are heard, and only what had none is sent again."""
    with (
        wild_target.running(len(BEHAVIOURS)) as targets,
        running(tmp_path / "home", *targets, RETRY_LIMIT="40") as trial,
    ):
        pairs = list(zip(targets, BEHAVIOURS, strict=True))
        for target, behaviour in pairs:
            trial.store(
                [
                    trial.bundle.record(f"{target.url}/{behaviour}/{number}", streamKey=key(number))
                    for number in range(RECORDS)
                ]
            )
        trial.deliver_all(200, noOfMessagesToProcess=10_000)
        assert trial.assert_all_delivered(retry_limit=40) == 0
        for target, behaviour in pairs:
            accepted = Counter(one.id for one in target.received() if one.status)
            assert len(accepted) == accepted.total() == RECORDS, behaviour


def key(number: int) -> str:
    """Every tenth record has one of ten keys."""
    return "" if number % 10 else f"key-{number % 100}"


def memory(pid: int, of: str = "VmHWM") -> int:
    """Return the bytes that a process has had in memory at most, or has (`VmRSS`)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{of}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("it has ended")


def test_targets_that_flood_harm_themselves_only(tmp_path: Path) -> None:
    """32 connections of endless informational answers, and 128 of endless heads, beside a healthy target."""
    with (
        wild_target.running(6) as (healthy, informational, *heads),
        running(tmp_path / "home", healthy, informational, *heads, CONCURRENCY="192", **LONG) as trial,
    ):
        alone = seconds_for(trial, healthy)
        (pid,) = trial.bundle.pids("process-data")
        before = memory(pid)
        floods = [(informational, "informational"), *((target, "head") for target in heads)]
        for target, behaviour in floods:
            trial.store([trial.bundle.record(f"{target.url}/{behaviour}") for _ in range(320)])
        beside = seconds_for(trial, healthy)
        assert beside < 2 * alone + 1, (alone, beside)
        assert memory(pid) < MOST_BYTES, (before, memory(pid))
        trial.check()
        failed = Counter(
            one["failure_reason"] for one in trial.bundle.documents() if one["status"] == "failed"
        )
        assert failed.keys() == {
            "the target sent more than 16 informational answers",
            "the head of the target's answer is longer than 256 KiB",
        }


LONG = {"RETRY_BACKOFF": "1h..1h", "TARGET_READ_TIMEOUT": "10s", "LEASE": "60s"}


def seconds_for(trial: Trial, healthy: WildTarget) -> float:
    """Deliver to the healthy target, with whatever else is due; the seconds from its first to its last."""
    known = len(healthy.received())
    trial.store([trial.bundle.record(f"{healthy.url}/slow") for _ in range(HEALTHY)])
    trial.process(noOfMessagesToProcess=10_000)
    received = healthy.received()[known:]
    assert len(received) == HEALTHY
    return max(one.ended or 0.0 for one in received) - min(one.began for one in received)
