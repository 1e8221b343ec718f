"""Records per second and CPU per record, at several latencies of the target, contender beside contender."""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from local.emulators.oci.secret_store import put_secret
from tests.benchmark.machine import SETTINGS, TARGETS, cpu_seconds, path, run_module, targets
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

LATENCIES = (0, 20, 100)  # milliseconds
RUNS = 3
RECORDS = {"bundle": 5000, "bundle, 64 in flight": 5000, "floor": 5000, "floor, 64 in flight": 5000}
SEQUENTIAL_RECORDS = {0: 400, 20: 150, 100: 40}
TOKEN = "Bearer benchmark"


def measure() -> list[dict[str, Any]]:
    """Rows of contender, latency, records per second and CPU seconds per 1,000; medians of three runs."""
    rows = []
    for latency in LATENCIES:
        samples: dict[str, list[tuple[float, float]]] = {}
        for _ in range(RUNS):
            for name in (*RECORDS, "sequential"):
                samples.setdefault(name, []).append(_run(name, latency))
        for name, measured in samples.items():
            rows.append(
                {
                    "contender": name,
                    "latency_ms": latency,
                    "per_second": statistics.median(rate for rate, _ in measured),
                    "cpu_per_1000": statistics.median(cpu for _, cpu in measured),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def _run(name: str, latency: int) -> tuple[float, float]:
    """Records per second, and CPU seconds per 1,000 of them."""
    bound = 64 if "64" in name else 128
    settings = SETTINGS | {"CONCURRENCY": str(bound), "CONCURRENCY_PER_TARGET": str(bound // TARGETS)}
    with tempfile.TemporaryDirectory() as folder, targets() as urls:
        home = Path(folder)
        job: dict[str, Any] = {"targets": urls, "path": path(latency), "home": folder}
        job |= {"concurrency": bound, "per_target": bound // TARGETS}
        if name.startswith("floor"):
            return _contender("floor", job, RECORDS[name])
        allowed = ",".join(urls)
        with bundles.running(home, ALLOWED_TARGETS=allowed, **settings) as bundle:
            if name == "sequential":
                put_secret(home, "datasync-bench", TOKEN)
                return _contender(name, job | {"oci_url": bundle.oci_url}, SEQUENTIAL_RECORDS[latency])
            return _bundle(bundle, urls, path(latency), RECORDS[name])


def _contender(name: str, job: dict[str, Any], records: int) -> tuple[float, float]:
    printed = run_module("tests.benchmark.contenders", name, json.dumps(job | {"records": records}))
    result = json.loads(printed)
    return records / result["seconds"], result["cpu"] / records * 1000


def _bundle(bundle: Bundle, urls: list[str], where: str, number: int) -> tuple[float, float]:
    store(bundle, urls, where, 10)
    bundle.process()  # the processes are warm, as those of a busy function are
    store(bundle, urls, where, number)
    pids = bundle.pids("process-data")
    before, started = cpu_seconds(pids), time.perf_counter()
    delivered = bundle.process(noOfMessagesToProcess=10_000)["processedmessages"]
    seconds, cpu = time.perf_counter() - started, cpu_seconds(pids) - before
    assert delivered == number, "not every record was delivered"
    return number / seconds, cpu / number * 1000


def store(bundle: Bundle, urls: list[str], where: str, number: int) -> None:
    """Store records for all targets in turn, each with the same token's name."""
    records = [bundle.record(urls[one % len(urls)] + where, vaultSecretName="bench") for one in range(number)]
    for start in range(0, number, 1000):
        bundle.store(records[start : start + 1000], TOKEN)


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as a table: a contender in each line, latencies beside each other."""
    lines = [["", *(f"{latency} ms" for latency in LATENCIES)]]
    for name in dict.fromkeys(row["contender"] for row in rows):
        own = [row for row in rows if row["contender"] == name]
        lines.append([name, *(f"{row['per_second']:,.0f}/s, {row['cpu_per_1000']:.2f} s" for row in own)])
    return lines
