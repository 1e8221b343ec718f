"""Time to find and lease the next page, and to report, in small and large collections."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.model import record, transitions
from shared.model.record import PARTITIONS, Document
from shared.model.transitions import Failure
from shared.operations.report import Report
from shared.storage.leases import LeaseTable
from shared.storage.queries import FailureQuery, due
from shared.storage.records import Records

PAGE = 256
LOOKS = 25
REPORTS = 5
BATCH = 5000
MEMBERS = {
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"orderid": "18jan"},
}
NOW = datetime.now(UTC)
NOBODY = FailureQuery([{"streamKey": {"$eq": "nobody"}}])  # matches no failure, and has no index

Kind = Callable[[], Document]


def _waiting() -> Document:
    return record.new(MEMBERS)


def _finished() -> Document:
    return transitions.succeeded(_waiting(), 200, NOW)


def _dead() -> Document:
    dead = Failure(404, "the target answered 404", "unrecoverable", None)
    return transitions.failed(_waiting(), dead, datetime.now(UTC))


def _later() -> Document:
    after = Failure(503, "the target answered 503", "recoverable", NOW + timedelta(hours=6))
    return transitions.failed(_waiting(), after, datetime.now(UTC))


# What the collection holds beside 1,000 records that are due.
CASES: tuple[tuple[str, Kind, tuple[int, ...]], ...] = (
    ("finished", _finished, (1_000, 100_000, 1_000_000)),
    ("waiting", _waiting, (1_000, 100_000, 1_000_000)),
    ("dead", _dead, (1_000, 100_000, 1_000_000)),
    ("not yet due", _later, (1_000, 100_000)),
)


def measure(most: int = 1_000_000) -> list[dict[str, Any]]:
    """Rows of what else is there, how many, and milliseconds for the lease and a page of 256; medians."""
    rows = []
    for name, kind, sizes in CASES:
        with tempfile.TemporaryDirectory() as folder:
            database = Database(f"sqlite:{Path(folder) / 'records.db'}", "", str)
            records = Records(database, "datasync_records")
            leases = LeaseTable(database, database, "datasync_records", 60)
            report = Report(records, leases, SmallDocuments(database, "datasync_records"))
            _fill(records, _waiting, 1_000)
            there = 0
            for size in sizes:
                if size <= most:
                    _fill(records, kind, size - there)
                    there = size
                    looked, reported = _looked(records, leases), _reported(report)
                    filtered = _reported(report, NOBODY)
                    row = {"beside": name, "records": size, "milliseconds": looked}
                    rows.append(row | {"report": reported, "filtered": filtered})
            database.close()
    return rows


def _fill(records: Records, kind: Kind, number: int) -> None:
    for start in range(0, number, BATCH):
        records.insert(list(_made(kind, min(BATCH, number - start))))


def _made(kind: Kind, number: int) -> Iterable[Document]:
    return (kind() for _ in range(number))


def _looked(records: Records, leases: LeaseTable) -> float:
    """Median of what a call does before it sends: look, lease, read a page."""
    times = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        lease = leases.take(leases.snapshot_and_fence(), PARTITIONS)
        page = records.page(due(datetime.now(UTC)), PAGE)
        times.append(time.perf_counter() - started)
        assert lease is not None, "nobody else leases"
        assert len(page) == PAGE, "enough is due"
        leases.release(lease)
    return statistics.median(times) * 1000


def _reported(report: Report, search: FailureQuery | None = None) -> float:
    """Median of what `GET /process` costs in the function."""
    times = []
    for _ in range(REPORTS):
        started = time.perf_counter()
        report.read(search)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as a table, with the ratio to the smallest collection of its kind."""
    lines = [["beside 1,000 due", "records", "lease and page", "ratio", "report", "report, filtered"]]
    for row in rows:
        smallest = next(one for one in rows if one["beside"] == row["beside"])
        ratio = row["milliseconds"] / smallest["milliseconds"]
        times = f"{row['milliseconds']:.1f} ms", f"{ratio:.2f}", f"{row['report']:.0f} ms"
        times += (f"{row['filtered']:.0f} ms",)
        lines.append([row["beside"], f"{row['records']:,}", *times])
    return lines
