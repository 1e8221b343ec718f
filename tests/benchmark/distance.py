"""What the way to the database costs: 0, 1 and 5 ms in every round trip, for storing and for delivering."""

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from local.emulators import soda
from tests.benchmark.delivering import store
from tests.benchmark.machine import SETTINGS, TARGETS, path, targets
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

MILLISECONDS = (0, 1, 5)
LATENCIES = (20, 100)
WORKERS = (1, 4)
RECORDS = 5000
RUNS = 3


def measure(runs: int = RUNS) -> list[dict[str, Any]]:
    """Rows of what is done, and per distance the records per second and round trips per record; medians."""
    rows = []
    for latency in LATENCIES:
        for workers in WORKERS:
            samples: dict[int, list[dict[str, float]]] = {one: [] for one in MILLISECONDS}
            for _ in range(runs):
                for distance in MILLISECONDS:  # in turn, so that all are measured on the same machine
                    samples[distance].append(_run(distance, latency, workers))
            for distance, found in samples.items():
                medians = {name: statistics.median(one[name] for one in found) for name in found[0]}
                rows.append({"distance_ms": distance, "latency_ms": latency, "workers": workers} | medians)
    return rows


def _run(distance: int, latency: int, workers: int) -> dict[str, float]:
    in_flight = 128 // workers
    settings = SETTINGS | {
        "CONCURRENCY": str(in_flight),
        "CONCURRENCY_PER_TARGET": str(in_flight // TARGETS),
        "FAN_OUT": str(workers),
    }
    with tempfile.TemporaryDirectory() as folder, targets() as urls:
        log = Path(folder) / "trips"
        settings["DATABASE_DSN"] = (
            f"sqlite:{Path(folder) / 'datasync.db'}?round_trip_ms={distance}&round_trips={log}"
        )
        with bundles.running(Path(folder), ALLOWED_TARGETS=",".join(urls), **settings) as bundle:
            store(bundle, urls, path(latency), 20)
            with ThreadPoolExecutor(workers) as calls:
                list(calls.map(lambda _: bundle.process(), range(workers)))
            log.write_text("")
            started = time.perf_counter()
            store(bundle, urls, path(latency), RECORDS)
            stored = time.perf_counter() - started
            log.write_text("")
            seconds = _drained(bundle)
            trips = soda.round_trips(log).total()
    return {
        "stored_per_second": RECORDS / stored,
        "per_second": RECORDS / seconds,
        "trips_per_record": trips / RECORDS,
    }


def _drained(bundle: Bundle) -> float:
    started = time.perf_counter()
    bundle.process(noOfMessagesToProcess=10_000)
    while bundle.call("GET", "/process").json()["counts"]["not_processed"]:
        time.sleep(0.02)
    return time.perf_counter() - started


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as a table: a line for each kind of work, distances beside each other."""
    lines = [["", *(f"{one} ms to the database" for one in MILLISECONDS)]]
    kinds = dict.fromkeys((row["latency_ms"], row["workers"]) for row in rows)
    for latency, workers in kinds:
        own = [row for row in rows if (row["latency_ms"], row["workers"]) == (latency, workers)]
        cells = [f"{row['per_second']:,.0f}/s, {row['trips_per_record']:.3f} trips" for row in own]
        lines.append([f"delivered, target at {latency} ms, {workers} worker(s)", *cells])
    by_distance = [[row for row in rows if row["distance_ms"] == one] for one in MILLISECONDS]
    stored = [statistics.median(row["stored_per_second"] for row in some) for some in by_distance]
    return [*lines, ["stored in arrays of 1,000", *(f"{rate:,.0f}/s" for rate in stored)]]
