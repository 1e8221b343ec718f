"""CPU time of the library's HTTP client beside aiohttp's: `python -m tests.benchmark.requesting`."""

import json
import statistics
from typing import Any

from tests.benchmark.machine import TARGETS, path, run_module, targets

LATENCIES = (0, 20, 100)  # milliseconds
RUNS = 5
REQUESTS = 4000
CONCURRENCY = 128


def measure() -> list[dict[str, Any]]:
    """Rows of latency, CPU microseconds per request of each, and their ratio: medians of runs in turn."""
    rows = []
    with targets() as urls:
        for latency in LATENCIES:
            job = {"targets": urls, "path": path(latency), "records": REQUESTS}
            job |= {"concurrency": CONCURRENCY, "per_target": CONCURRENCY // TARGETS}
            pairs = [(_microseconds("client", job), _microseconds("floor", job)) for _ in range(RUNS)]
            rows.append(
                {
                    "latency_ms": latency,
                    "client_us": statistics.median(own for own, _ in pairs),
                    "aiohttp_us": statistics.median(other for _, other in pairs),
                    "ratio": statistics.median(own / other for own, other in pairs),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def _microseconds(name: str, job: dict[str, Any]) -> float:
    result = json.loads(run_module("tests.benchmark.contenders", name, json.dumps(job)))
    return result["cpu"] / job["records"] * 1e6


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as a table."""
    lines = [["latency", "own client, µs", "aiohttp, µs", "ratio"]]
    for row in rows:
        own, other = f"{row['client_us']:.0f}", f"{row['aiohttp_us']:.0f}"
        lines.append([f"{row['latency_ms']} ms", own, other, f"{row['ratio']:.2f}"])
    return lines


if __name__ == "__main__":
    measure()
