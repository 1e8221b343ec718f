"""What a page, a new record, the report, a search and a replay cost in small and large collections."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.delivery.requests import retry_request
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.model import record, transitions
from shared.model.record import PARTITIONS, Document
from shared.model.transitions import Failure
from shared.operations.report import Report
from shared.operations.search import report_query
from shared.settings import Settings
from shared.storage.leases import LeaseTable
from shared.storage.listing import Listing
from shared.storage.policies import PolicyStore
from shared.storage.queries import due
from shared.storage.records import Records

PAGE = 256
REPEATED = 15
BATCH = 5000
MEMBERS = {
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"orderid": "18jan"},
}
NOW = datetime.now(UTC)
FEW = {"streamKey": "few", "retryCodes": "409"}
SETTINGS = Settings.from_config(
    dict.fromkeys(("VAULT_OCID", "VAULT_KEY_OCID", "VAULT_COMPARTMENT_OCID"), "x")
    | {"DATABASE_DSN": "sqlite:x"}
)
OPERATIONS = ("page", "store", "report", "search", "retry")

Kind = Callable[[], Document]


def _waiting() -> Document:
    return record.new(MEMBERS)


def _finished() -> Document:
    return transitions.succeeded(_waiting(), 200, NOW)


def _dead() -> Document:
    dead = Failure(404, "the target answered 404", "unrecoverable", None)
    return transitions.failed(_waiting(), dead, datetime.now(UTC))


def _few() -> Document:
    """A failure that filters choose among all others."""
    conflict = Failure(409, "the target answered 409", "unrecoverable", None)
    return transitions.failed(record.new(MEMBERS | {"streamKey": "few"}), conflict, datetime.now(UTC))


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
    """Rows of what else is there, how many, and milliseconds for each operation; medians.

    A page is leased and read; the record that is stored has a key; search and replay choose 20 failures by
    key and by code.
    """
    rows = []
    for name, kind, sizes in CASES:
        with tempfile.TemporaryDirectory() as folder:
            database = Database(f"sqlite:{Path(folder) / 'records.db'}", "", str)
            records = Records(database, "datasync_records")
            listing = Listing(database, "datasync_records")
            leases = LeaseTable(database, database, "datasync_records", 60)
            report = Report(
                *(records, listing, leases, SmallDocuments(database, "datasync_records")),
                PolicyStore(database, "datasync_records"),
            )
            _fill(records, _waiting, 1_000)
            _fill(records, _few, 20)
            there = 0
            for size in sizes:
                if size <= most:
                    _fill(records, kind, size - there)
                    there = size
                    rows.append({"beside": name, "records": size, **_costs(records, listing, leases, report)})
                    print(rows[-1], flush=True)
            database.close()
    return rows


def _costs(records: Records, listing: Listing, leases: LeaseTable, report: Report) -> dict[str, float]:
    """Milliseconds that each operation takes; each is seen to find what it should."""

    def page() -> None:
        lease = leases.take(leases.snapshot_and_fence(), PARTITIONS)
        found = records.page(due(datetime.now(UTC)), PAGE)
        assert lease is not None, "nobody else leases"
        assert len(found) == PAGE, "enough is due"
        leases.release(lease)

    def store() -> None:
        new = record.new(MEMBERS | {"streamKey": "kept"})
        records.newest_waiting([record.key_digest(new)], new["id"])
        records.insert([new])

    def search() -> None:
        for name, value in FEW.items():
            assert len(listing.failures(report_query({name: value}), 50).records) == 20, "the few are found"

    def retry() -> None:
        for name, value in FEW.items():
            wanted = retry_request(json.dumps({name: value, "retryCodes": "409"}).encode(), SETTINGS, 1e9)
            assert records.count(wanted.query.at(NOW)) == 20, "the few are found"

    work = dict(zip(OPERATIONS, (page, store, report.read, search, retry), strict=True))
    return {name: _median(operation) for name, operation in work.items()}


def _median(operation: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATED):
        started = time.perf_counter()
        operation()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def _fill(records: Records, kind: Kind, number: int) -> None:
    for start in range(0, number, BATCH):
        records.insert(list(_made(kind, min(BATCH, number - start))))


def _made(kind: Kind, number: int) -> Iterable[Document]:
    return (kind() for _ in range(number))


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The rows as a table, with the ratio to the smallest collection of its kind."""
    lines = [["beside 1,000 due", "records", *OPERATIONS]]
    for row in rows:
        smallest = next(one for one in rows if one["beside"] == row["beside"])
        costs = [f"{row[name]:.1f} ms ({row[name] / smallest[name]:.2f})" for name in OPERATIONS]
        lines.append([row["beside"], f"{row['records']:,}", *costs])
    return lines
