"""How long ten records of one target take while many of another wait: paused, or resting."""

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from shared.drivers.database import Database
from shared.model import record
from shared.storage.records import Records
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

RUNS = 9
_TEN = 10
_BATCH = 5000
_NAME = "datasync_records"


def measure(most: int = 100_000) -> list[dict[str, Any]]:
    """Rows of what waits, how many, and the milliseconds of a call that delivers ten others; medians.

    The bundles take turns, so that whatever slows the machine down slows all of them.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        quiet, other = (stack.enter_context(bundles.target()) for _ in range(2))
        cases = [("nothing", 0), ("paused", most), ("resting", most)]
        running = [
            (why, number, stack.enter_context(_bundle(folder / why, quiet, other))) for why, number in cases
        ]
        for why, number, bundle in running:
            _fill(bundle, f"{quiet}/retry-after/3600", number)
            if why == "paused":
                bundle.put_policies({"targetRestApi": f"{quiet}/", "paused": True})
            bundle.process()  # by which the target comes to rest, and everything is loaded
        times: dict[str, list[float]] = {why: [] for why, _ in cases}
        for _ in range(RUNS):
            for why, _, bundle in running:
                times[why].append(_seconds(bundle, other))
    return [
        {"waits": why, "records": number, "ms": statistics.median(times[why]) * 1000} for why, number in cases
    ]


def _bundle(home: Path, *targets: str) -> Any:
    return bundles.running(home, ALLOWED_TARGETS=",".join(targets), RETRY_BACKOFF="30s..6h")


def _fill(bundle: Bundle, url: str, number: int) -> None:
    database = Database(f"sqlite:{bundle.database}", "", str)
    records = Records(database, _NAME)
    members = {"targetRestApi": url, "targetRestApiOperation": "POST", "targetRestApiPayload": {"a": 1}}
    for start in range(0, number, _BATCH):
        records.insert([record.new(members) for _ in range(min(_BATCH, number - start))])
    database.close()


def _seconds(bundle: Bundle, other: str) -> float:
    bundle.store([bundle.record(f"{other}/ok") for _ in range(_TEN)])
    started = time.perf_counter()
    answer = bundle.process()
    seconds = time.perf_counter() - started
    assert answer["processedmessages"] == _TEN, answer
    return seconds


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as a table, with the ratio to a call beside which nothing waits."""
    alone = rows[0]["ms"]
    lines = [["of another target", "records", "a call for ten records"]]
    for row in rows:
        lines.append([row["waits"], f"{row['records']:,}", f"{row['ms']:.0f} ms ({row['ms'] / alone:.2f})"])
    return lines
