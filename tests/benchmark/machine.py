"""Processes on this machine: their CPU time, targets to send to."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.bundle import ROOT, target

TICKS = os.sysconf("SC_CLK_TCK")
TARGETS = 4

# As in production: what the tests shorten is long here.
SETTINGS = {
    "NOTIFICATION_TOPIC_OCID": "",  # counted apart: see counting.py
    "METRICS_NAMESPACE": "",
    "TARGET_CONNECT_TIMEOUT": "5s",
    "TARGET_READ_TIMEOUT": "30s",
    "LEASE": "60s",
    "RETRY_BACKOFF": "30s..6h",
    "RETRY_LIMIT": "8",
    "DATASYNC_SODA_TRACE": "",
}


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time, user and system, that processes have used so far; those that have ended count nothing."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def tree_cpu_seconds(pid: int) -> float:
    """CPU time that a process and its descendants have used so far, those that have ended included."""
    fields: dict[int, list[str]] = {}
    for found in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields[int(found.parent.name)] = found.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
    family = {pid}
    while more := {one for one, own in fields.items() if int(own[1]) in family} - family:
        family |= more
    return sum(int(ticks) for one in family & fields.keys() for ticks in fields[one][11:15]) / TICKS


@contextmanager
def targets() -> Iterator[list[str]]:
    """One process that is four targets, under as many addresses of this machine."""
    with target("--no-recording", "--host", "0.0.0.0") as url:  # noqa: S104 - this machine's addresses
        port = url.rpartition(":")[2]
        yield [f"http://127.0.0.{number + 1}:{port}" for number in range(TARGETS)]


def path(latency_ms: int) -> str:
    """The sample target's path that answers after so many milliseconds."""
    return f"/slow/{latency_ms}" if latency_ms else "/ok"


def run_module(name: str, *arguments: str) -> str:
    """Run a contender as a process of its own; what it printed."""
    command = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout
