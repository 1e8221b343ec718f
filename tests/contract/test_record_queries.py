"""Every query that the library asks reads an index: what is finished costs it nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import oracledb
import pytest

import local.soda
from shared import record
from shared.collection import FAILED, REPLAY, Records, Selection, due
from shared.database import Database
from shared.leases import LeaseTable
from shared.record import Failure
from shared.report import report

NOW = datetime.now(UTC)
MEMBERS = {
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"orderid": "18jan"},
    "streamKey": "k",
}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:{tmp_path / 'records.db'}", "", str)


@pytest.fixture
def records(database: Database) -> Records:
    """Waiting, finished, failed and dead records."""
    records = Records(database, "datasync_collection")
    for _ in range(20):
        waiting = [record.stored(MEMBERS, 100) for _ in range(4)]
        finished = record.succeeded(waiting[1], 200, NOW)
        failed = record.failed(waiting[2], Failure(503, "why", "recoverable", NOW), NOW)
        dead = record.failed(waiting[3], Failure(404, "why", "unrecoverable", None), NOW)
        records.insert([waiting[0], finished, failed, dead])
    return records


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The query plans of all operations from now on."""
    seen: list[str] = []

    def explained(original: Callable[..., Any]) -> Callable[..., Any]:
        def ask(operation: oracledb.SodaOperation, *arguments: Any) -> Any:
            seen.append("; ".join(local.soda.explain(operation)))
            return original(operation, *arguments)

        return ask

    for name in ("getCursor", "getDocuments", "getOne", "count"):
        original = getattr(oracledb.SodaOperation, name)
        monkeypatch.setattr(oracledb.SodaOperation, name, explained(original))
    return seen


def questions(records: Records) -> Iterator[tuple[str, Callable[[], Any]]]:
    moment = datetime.now(UTC)
    yield "due", lambda: records.page(due(moment), 10)
    yield "due", lambda: records.page(replace(due(moment), partitions=frozenset([1, 2, 3])), 10)
    passing = replace(due(moment), without_lanes=["a"], without_targets=["b"])
    yield "due", lambda: records.page(passing, 10)
    yield "due", lambda: records.page(replace(due(moment), target="erp.example.com:443"), 10)
    yield "due", lambda: records.reaches(due(moment), 10)
    yield "keyed", lambda: records.first_waiting([record.lane(MEMBERS)], {"$in": ["a:443"]}, "02")
    yield "ingest", lambda: records.received("0" * 64)
    yield "due", lambda: records.count(due(moment))
    yield "replay", lambda: records.page(Selection(REPLAY), 10)
    yield "replay", lambda: records.count(Selection(REPLAY))
    yield "failed", lambda: records.page(Selection(FAILED), 10)
    yield "failed", lambda: records.count(Selection(FAILED))
    yield "blocks", lambda: records.holding_back([record.lane(MEMBERS)])
    yield "id", lambda: records.get("nobody")


@pytest.mark.parametrize("number", range(14))
def test_a_query_reads_its_index(records: Records, plans: list[str], number: int) -> None:
    index, ask = list(questions(records))[number]
    ask()
    assert plans
    for plan in plans:
        assert "SEARCH" in plan, plan
        assert f"datasync_collection_{index}" in plan, plan
        assert "SCAN" not in plan, plan
        assert "TEMP B-TREE" not in plan, plan


def test_the_report_scans_nothing_but_to_count_everything(records: Records, plans: list[str]) -> None:
    counts = report(records)
    assert counts["counts"] == {"not_processed": 20, "success": 20, "failed": 40, "dead": 20}
    assert counts["failed"] == {
        "byCode": {"404": 20, "503": 20},
        "byStream": {"recoverable": 20, "unrecoverable": 20},
    }
    assert len([plan for plan in plans if "SCAN" in plan]) == 1


def test_a_lease_is_found_by_its_index(database: Database, records: Records, plans: list[str]) -> None:
    leases = LeaseTable(database, "datasync_collection", 60)
    lease = leases.take(leases.look(), 64)
    assert lease is not None
    assert leases.renew(lease, {"an-id": 0})
    by_name = [plan for plan in plans if "leases_name" in plan]
    looks = [plan for plan in plans if "SCAN" in plan]  # reads all workers: nothing else is in there
    assert by_name
    assert len(by_name) + len(looks) == len(plans)
