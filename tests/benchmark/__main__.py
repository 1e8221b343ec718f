"""Runs all benchmarks: prints tables, writes JSON, draws plots. `--quick` is a short run of everything."""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmark import (
    archiving,
    counting,
    delivering,
    distance,
    draining,
    drawing,
    finding,
    limiting,
    pausing,
    peers,
    requesting,
    storing,
)

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer records and runs, and nothing kept")
    parser.add_argument(
        "--peers", action="store_true", help="beside pg-boss and graphile-worker, and nothing else"
    )
    given = parser.parse_args()
    if given.peers:
        _beside_peers(1 if given.quick else peers.RUNS)
        return
    quick = given.quick
    if quick:
        delivering.RUNS, delivering.LATENCIES = 1, (0, 100)
        requesting.RUNS, requesting.LATENCIES = 1, (0, 100)
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    }
    results["counting"] = counting.measure()
    _show("Round trips and calls", _counted(results["counting"]))
    results["storing"] = storing.measure()
    _show("Latency of /store, and cold starts", storing.table(results["storing"]))
    results["requesting"] = requesting.measure()
    _show("CPU time of a request", requesting.table(results["requesting"]))
    results["delivering"] = delivering.measure()
    _show("Deliveries per second, and CPU seconds per 1,000", delivering.table(results["delivering"]))
    results["distance"] = distance.measure(1 if quick else distance.RUNS)
    _show("With a database that is some way off", distance.table(results["distance"]))
    results["draining"] = draining.measure(0.2 if quick else 1.0)
    _show("Draining at 100 ms, 32 in flight in each process", draining.table(results["draining"]))
    results["finding"] = finding.measure(10_000 if quick else 1_000_000)
    _show("The next page", finding.table(results["finding"]))
    results["limiting"] = limiting.measure(200 if quick else 2_000)
    _show("A target that allows 20 requests a second", limiting.table(results["limiting"]))
    results["pausing"] = pausing.measure(5_000 if quick else 100_000)
    _show("Beside a target that is paused, or rests", pausing.table(results["pausing"]))
    results["archiving"] = archiving.measure(5_000 if quick else 100_000)
    _show("Maintenance while others store and deliver", archiving.table(results["archiving"]))
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        drawing.draw(results, RESULTS)


def _beside_peers(runs: int) -> None:
    missing = peers.missing()
    if missing:
        Console().print(f"Skipped what is measured beside other queues: not installed: {missing}.")
        return
    rows = peers.measure(runs)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.json").write_text(json.dumps(rows, indent=1) + "\n")
    _show("Deliveries per second, and CPU seconds per 1,000, 64 in flight", delivering.table(rows))


def _counted(counts: dict[str, Any]) -> list[list[str]]:
    vault = sum(counts["vault_calls"].values())
    return [
        ["", ""],
        ["round trips to store a record, one with a key", f"{counts['store']}, {counts['store_with_key']}"],
        [
            "round trips to store an array of 1,000, with keys",
            f"{counts['store_array']}, {counts['store_array_with_keys']}",
        ],
        ["round trips per delivered record", f"{counts['round_trips_per_record']:.3f}"],
        ["round trips of a call that finds nothing", str(counts["round_trips_of_an_idle_call"])],
        ["the same, with metrics and notifications", str(counts["round_trips_of_an_idle_call_that_tells"])],
        [f"Vault calls for {counts['records']:,} records of one token", str(vault)],
    ]


def _show(title: str, lines: list[list[str]]) -> None:
    table = Table(title=title)
    for name in lines[0]:
        table.add_column(name)
    for line in lines[1:]:
        table.add_row(*line)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
