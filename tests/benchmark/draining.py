"""Draining a backlog with one, two and four process-data processes, 32 deliveries in flight in each."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.benchmark.delivering import store
from tests.benchmark.machine import SETTINGS, path, targets
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

RECORDS = {1: 5_000, 2: 10_000, 4: 20_000}  # each process has about as much to do
LATENCY = 100
IN_FLIGHT = 32


def measure(scale: float = 1.0) -> list[dict[str, Any]]:
    """Rows of processes and records per second."""
    rows = []
    for processes, full in RECORDS.items():
        number = int(full * scale)
        with tempfile.TemporaryDirectory() as folder, targets() as urls:
            settings = SETTINGS | {
                "CONCURRENCY": str(IN_FLIGHT),
                "CONCURRENCY_PER_TARGET": str(IN_FLIGHT),
                "FAN_OUT": str(processes),
            }
            allowed = ",".join(urls)
            with bundles.running(Path(folder), ALLOWED_TARGETS=allowed, **settings) as bundle:
                _warm(bundle, urls, processes)
                store(bundle, urls, path(LATENCY), number)
                started = time.perf_counter()
                bundle.process(noOfMessagesToProcess=10_000)
                while bundle.call("GET", "/process").json()["counts"]["not_processed"]:
                    time.sleep(0.05)
                seconds = time.perf_counter() - started
                assert len(bundle.pids("process-data")) == max(processes, 1), "each had its share"
        rows.append({"processes": processes, "records": number, "per_second": number / seconds})
    return rows


def _warm(bundle: Bundle, urls: list[str], processes: int) -> None:
    """Start the processes: calls that overlap each get one."""
    store(bundle, urls, path(LATENCY), 20)
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(lambda _: bundle.process(), range(processes)))


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as a table, with the ratio to one process."""
    lines = [["processes", "records", "per second", "ratio"]]
    for row in rows:
        ratio = row["per_second"] / rows[0]["per_second"]
        lines.append(
            [str(row["processes"]), f"{row['records']:,}", f"{row['per_second']:,.0f}", f"{ratio:.2f}"]
        )
    return lines
