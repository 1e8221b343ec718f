"""How much of what a target allows is used, and how much is sent in vain: by one worker, and by four."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

PER_SECOND = 20
WAYS = ("limited", "throttled")
"""Refusals with `Retry-After: 1`, and without."""
_BATCH = 500
_PAUSE_SECONDS = 0.5


def measure(number: int = 2_000) -> list[dict[str, Any]]:
    """Rows of how the target refuses and how many workers there are: requests, dead, the part of its rate."""
    return [_played(number, how, workers) for how in WAYS for workers in (1, 4)]


def _played(number: int, how: str, workers: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder,
        bundles.target() as target,
        bundles.running(
            Path(folder) / "home", ALLOWED_TARGETS=target, RETRY_BACKOFF="1s..1h", FAN_OUT=str(workers)
        ) as bundle,
    ):
        for first in range(0, number, _BATCH):
            url = f"{target}/{how}/{PER_SECOND}"
            bundle.store([bundle.record(url) for _ in range(min(_BATCH, number - first))])
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda _: _deliver_all(bundle, number), range(workers)))
        received = requests.get(f"{target}/_received", timeout=60).json()["requests"]
        times = sorted(one["started"] for one in received if one["status"] == 200)
        return {
            "refuses": how,
            "workers": workers,
            "records": number,
            "requests": len(received),
            "dead": bundle.call("GET", "/process").json()["counts"]["dead"],
            "used": len(times) / PER_SECOND / (times[-1] - times[0]),
        }


def _deliver_all(bundle: Bundle, number: int) -> None:
    while bundle.call("GET", "/process").json()["counts"]["success"] < number:
        bundle.process(noOfMessagesToProcess=number)
        time.sleep(_PAUSE_SECONDS)


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as a table."""
    lines = [["refuses", "workers", "requests for each record", "dead", "of its rate"]]
    for row in rows:
        each = row["requests"] / row["records"]
        lines.append(
            [row["refuses"], str(row["workers"]), f"{each:.3f}", str(row["dead"]), f"{row['used']:.0%}"]
        )
    return lines
