"""Maintenance of a large collection, while others store and deliver: how long it takes, whom it holds up."""

import itertools
import statistics
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.drivers.database import Database
from shared.model import ids, record, transitions
from shared.operations.maintenance import BATCH
from shared.storage.records import Records
from tests.benchmark.finding import MEMBERS
from tests.benchmark.machine import SETTINGS
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import COLLECTION, Bundle

CALLS = 30  # before maintenance begins
STORED = 5  # records before each call
INSERTED = 5000  # at once


def measure(number: int = 100_000) -> dict[str, Any]:
    """Seconds of maintenance; milliseconds of a call to /process before and meanwhile; what was archived."""
    settings = SETTINGS | {"ARCHIVE_AFTER": "1h", "SECRETS_UNUSED_AFTER": "1h"}
    with tempfile.TemporaryDirectory() as folder, bundles.running(Path(folder), **settings) as bundle:
        bundle.process()
        old = _finished(bundle, number)
        new: list[str] = []
        before = [_call(bundle, new) for _ in range(CALLS)]
        meanwhile: list[float] = []
        seconds = _maintained(bundle, lambda: meanwhile.append(_call(bundle, new)))
        archived = Counter(one["id"] for records in bundle.archived().values() for one in records)
        received = Counter(one["idempotencyKey"] for one in bundle.received())
        left = {one["id"] for one in bundle.documents()}
    assert archived == Counter(old), "each that is old is in the archive, once"
    assert received == Counter(new), "each that is new was delivered, once"
    assert left == set(new), "nothing was lost"
    return {
        "records": number,
        "seconds": seconds,
        "batch": 1000 * seconds * BATCH / number,
        "before": 1000 * statistics.median(before),
        "meanwhile": 1000 * statistics.median(meanwhile),
        "longest": 1000 * max(meanwhile),
        "calls": len(meanwhile),
    }


def _finished(bundle: Bundle, number: int) -> list[str]:
    """Insert records that ended two hours ago; their ids."""
    database = Database(f"sqlite:{bundle.database}", "", str)
    records, moment = Records(database, COLLECTION), datetime.now(UTC) - timedelta(hours=2)
    made = [f"{ids.id_at(moment)[:24]}{place:012x}" for place in range(number)]
    documents = (transitions.succeeded(record.new(MEMBERS) | {"id": one}, 200, moment) for one in made)
    for _ in range(0, number, INSERTED):
        records.insert(list(itertools.islice(documents, INSERTED)))
    database.close()
    return made


def _call(bundle: Bundle, ids: list[str]) -> float:
    """Store some records and deliver them; seconds of the delivery."""
    ids += [bundle.stored("/ok", streamKey=f"key {place}") for place in range(STORED)]
    started = time.perf_counter()
    bundle.process()
    return time.perf_counter() - started


def _maintained(bundle: Bundle, meanwhile: Any) -> float:
    """Run maintenance to its end, doing something else over and over; the seconds that it took."""
    seconds: list[float] = []

    def maintain() -> None:
        started = time.perf_counter()
        assert bundle.maintain()["endOfWork"], "it came to its end"
        seconds.append(time.perf_counter() - started)

    maintaining = threading.Thread(target=maintain)
    maintaining.start()
    while maintaining.is_alive():
        meanwhile()
    maintaining.join()
    return seconds[0]


def table(result: dict[str, Any]) -> list[list[str]]:
    """The result as a table."""
    return [
        ["", ""],
        [f"{result['records']:,} records archived and deleted in", f"{result['seconds']:.1f} s"],
        [f"of which a batch of {BATCH} takes", f"{result['batch']:.0f} ms"],
        ["a call to /process before, median", f"{result['before']:.0f} ms"],
        [f"{result['calls']} calls meanwhile, median", f"{result['meanwhile']:.0f} ms"],
        ["the longest of them", f"{result['longest']:.0f} ms"],
    ]
