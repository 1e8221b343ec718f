"""Every query that the library asks reads an index: what is finished costs it nothing."""

import functools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import oracledb
import pytest

import local.emulators.soda
from shared.delivery.fetcher import of_lane
from shared.delivery.requests import retry_request
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.model import record, transitions
from shared.model.ids import timestamp
from shared.model.lanes import Policies
from shared.model.policy import Area, Policy
from shared.model.transitions import Failure
from shared.operations.report import Report
from shared.settings import Settings
from shared.storage import listing as listing_module
from shared.storage import queries
from shared.storage import records as records_module
from shared.storage.failure_queries import FailureQuery
from shared.storage.leases import LeaseTable
from shared.storage.listing import Listing, RecordQuery
from shared.storage.policies import PolicyStore
from shared.storage.queries import FAILED, HELD, REPLAY, Query, due, of_host, waiting_of
from shared.storage.records import Records, Stored

NOW = datetime.now(UTC)
SETTINGS = Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment")
MEMBERS = {
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"orderid": "18jan"},
    "streamKey": "k",
}
KEY = record.key_digest(MEMBERS)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:{tmp_path / 'records.db'}", "", str)


@pytest.fixture
def listing(database: Database) -> Listing:
    return Listing(database, "datasync_records")


@pytest.fixture
def records(database: Database) -> Records:
    """Waiting, finished, failed and dead records."""
    records = Records(database, "datasync_records")
    for _ in range(20):
        waiting = [record.new(MEMBERS) for _ in range(4)]
        records.insert(waiting)
        _, one, another, last = records.with_ids([document["id"] for document in waiting])
        finished = transitions.succeeded(one.document, 200, NOW)
        failed = transitions.failed(another.document, Failure(503, "why", "recoverable", NOW), NOW)
        dead = transitions.failed(last.document, Failure(404, "why", "unrecoverable", None), NOW)
        records.write([(one, finished), (another, failed), (last, dead)])
    return records


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The query plans of all operations from now on."""
    seen: list[str] = []

    def explained(original: Callable[..., Any]) -> Callable[..., Any]:
        def ask(operation: oracledb.SodaOperation, *arguments: Any) -> Any:
            seen.append("; ".join(local.emulators.soda.explain(operation)))
            return original(operation, *arguments)

        return ask

    for name in ("getCursor", "getDocuments", "getOne", "count"):
        original = getattr(oracledb.SodaOperation, name)
        monkeypatch.setattr(oracledb.SodaOperation, name, explained(original))
    return seen


def questions(records: Records, listing: Listing) -> Iterator[tuple[str, Callable[[], Any]]]:
    moment = datetime.now(UTC)
    yield "due", lambda: records.page(due(moment), 10)
    yield "due", lambda: records.page(replace(due(moment), partitions=frozenset([1, 2, 3])), 10)
    passing = replace(due(moment), without_keys=["a"], without_targets=["b"])
    yield "due", lambda: records.page(passing, 10)
    yield "queue", lambda: records.page(replace(due(moment), target="erp.example.com:443"), 10)
    yield "due", lambda: records.reaches(due(moment), 10)
    yield "keyed", lambda: records.first_waiting([KEY], {"$in": ["a:443"]}, "02", bool)
    yield "ingest", lambda: records.received("0" * 64)
    yield "due", lambda: records.count(due(moment))
    yield "replay", lambda: records.page(Query(REPLAY), 10)
    yield "replay", lambda: records.count(Query(REPLAY))
    yield "failed", lambda: records.page(Query(FAILED), 10)
    yield "failed", lambda: records.count(Query(FAILED))
    yield "blocks", lambda: records.holding_back([record.key_digest(MEMBERS)])
    yield "id", lambda: records.get("nobody")
    some = [{"streamKey": {"$in": ["k"]}}]
    yield "lately", lambda: listing.failures(FailureQuery(some), 10)
    yield "lately", lambda: listing.failures(FailureQuery(some), 10, timestamp(moment))
    yield "failed", lambda: listing.failures(FailureQuery(some, since=NOW, until=moment), 10)
    yield "lately", lambda: listing.failures(FailureQuery(), 10)
    yield "code", lambda: listing.failures(FailureQuery(some, equal={"datasync.code": "503"}), 10, "7")
    yield "reference", lambda: listing.failures(FailureQuery(some, equal={"reference": "4711"}), 10, "7")
    yield "naming", lambda: listing.failures(FailureQuery(some, equal={"vaultSecretName": "erp"}), 10)
    yield "reference", lambda: records.page(Query("id", indexed={"reference": "4711"}), 10)
    for caller in (None, "", "mobile"):
        yield "reference", functools.partial(listing.search, RecordQuery("reference", "4711", caller), 10)
        yield "named", functools.partial(listing.search, RecordQuery("streamKey", "k", caller), 10, "7")
        expected = "own" if caller else "status"
        yield expected, functools.partial(listing.search, RecordQuery("status", "failed", caller, NOW), 10)
    yield "failed", lambda: records.page(Query(FAILED, ids=frozenset("abc")), 10)
    yield "failed", lambda: records.count(Query(FAILED, ids=frozenset(map(str, range(100)))))
    yield "held", lambda: records.count(Query(HELD))
    yield "queue", lambda: records.hosts_waiting(10)
    for entries in ([], [Policy("orders", Area("https://erp.example.com/orders", "POST"))]):
        for lane in Policies(entries).lanes_at("erp.example.com:443"):
            yield "queue", functools.partial(records.page, of_lane(due(moment), lane), 10)
            yield "queue", functools.partial(records.count, waiting_of(lane))
            yield "at", functools.partial(records.count, of_host(lane))


@pytest.mark.parametrize("number", range(44))
def test_a_query_reads_its_index(records: Records, listing: Listing, plans: list[str], number: int) -> None:
    index, ask = list(questions(records, listing))[number]
    ask()
    assert plans
    for plan in plans:
        assert "SEARCH" in plan, plan
        assert f"datasync_records_{index}" in plan, plan
        assert "SCAN" not in plan, plan
        assert "TEMP B-TREE" not in plan, plan


@pytest.fixture
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records are more than is read of a key at once."""
    monkeypatch.setattr(records_module, "PAGE_BYTES", 500)
    monkeypatch.setattr(records_module, "_LARGE_BYTES", 500)


def stored_of(records: Records, key: str) -> list[Stored]:
    """Ten records of a key, as they stand in the database."""
    documents = [record.new({**MEMBERS, "streamKey": key}) for _ in range(10)]
    records.insert(documents)
    return records.with_ids([document["id"] for document in documents])


@pytest.mark.usefixtures("_large")
def test_of_a_key_with_large_failures_the_oldest_are_read_and_it_is_said_how_far(
    records: Records, plans: list[str]
) -> None:
    stored = stored_of(records, "large")
    failure = Failure(503, "why", "recoverable", NOW)
    records.write([(one, transitions.failed(one.document, failure, NOW)) for one in stored])
    key, ids = record.key_digest(stored[0].document), [one.document["id"] for one in stored]
    plans.clear()
    found, beyond = records.holding_back([key])
    read = [one.document["id"] for one in found]
    assert read == ids[: len(read)]
    assert 0 < len(read) < 10
    assert beyond == {key: read[-1]}
    assert all("SEARCH" in plan and "TEMP B-TREE" not in plan for plan in plans), plans


@pytest.mark.usefixtures("_large")
@pytest.mark.parametrize("begun", [0, 1])
def test_the_oldest_of_a_key_that_is_not_begun_is_found_among_large_ones(
    records: Records, plans: list[str], begun: int
) -> None:
    stored = stored_of(records, "large")
    key, ids = record.key_digest(stored[0].document), [one.document["id"] for one in stored]
    plans.clear()
    everywhere = {"$ne": "nowhere:443"}
    assert records.first_waiting([key], everywhere, ids[-1], ids[:begun].__contains__) == (
        {key: ids[begun]},
        set(),
    )
    assert records.first_waiting([key], everywhere, ids[-1], lambda _: True) == ({}, {key})
    assert records.first_waiting([key], everywhere, ids[0], lambda _: False) == ({}, set())
    assert all("SEARCH" in plan and "TEMP B-TREE" not in plan for plan in plans), plans


def test_what_is_begun_is_not_the_oldest_of_its_key_that_waits(records: Records) -> None:
    stored = stored_of(records, "small")
    key, ids = record.key_digest(stored[0].document), [one.document["id"] for one in stored]
    found = records.first_waiting([key], {"$ne": "nowhere:443"}, ids[-1], ids[:4].__contains__)
    assert found == ({key: ids[4]}, set())


def report_of(database: Database, records: Records) -> Report:
    name = "datasync_records"
    leases = LeaseTable(database, database, name, 60)
    listing = Listing(database, name)
    return Report(records, listing, leases, SmallDocuments(database, name), PolicyStore(database, name))


def test_the_report_scans_nothing(database: Database, records: Records, plans: list[str]) -> None:
    report = report_of(database, records).read()
    counts = {
        "not_processed": 20,
        "success": 20,
        "filtered": 0,
        "cancelled": 0,
        "failed": 40,
        "dead": 20,
        "held": 0,
    }
    assert report["counts"] == counts
    assert report["failed"] == {
        "byCode": {"404": 20, "503": 20},
        "byStream": {"recoverable": 20, "unrecoverable": 20},
        "byTarget": {"erp.example.com:443": 40},
    }
    assert report["lastDay"][-1] | {"hour": ""} == {"hour": "", "delivered": 20, "failed": 40, "dead": 20}
    assert len(report["latestFailures"]) == 40
    scans = {plan for plan in plans if "SCAN" in plan}
    # A document for each worker, and nothing else, stands in these.
    assert scans == {"SCAN soda:datasync_records_notes", "SCAN soda:datasync_records_leases"}


def test_the_report_asks_a_bounded_number_of_queries(
    database: Database, records: Records, plans: list[str]
) -> None:
    """Whatever number of codes, streams and targets there is."""
    documents = [record.new(MEMBERS | {"targetRestApi": f"https://t{n}.example.com/"}) for n in range(90)]
    records.insert(documents)
    found = records.with_ids([document["id"] for document in documents])
    failures = [Failure(400 + n, "why", f"team {n}", NOW) for n in range(90)]
    records.write([(s, transitions.failed(s.document, f, NOW)) for s, f in zip(found, failures, strict=True)])
    plans.clear()
    report = report_of(database, records).read()
    assert [len(counts) for counts in report["failed"].values()] == [50, 50, 50]
    assert len(plans) <= 3 * (8 + 2 * 50 * 1.5)  # getDocuments is seen twice: it uses a cursor


def test_a_filter_looks_at_a_bounded_number_of_failures(
    monkeypatch: pytest.MonkeyPatch, records: Records, listing: Listing
) -> None:
    monkeypatch.setattr(listing_module, "SEARCHED", 50)
    time.sleep(0.005)  # ids tell milliseconds: these are of others than those above
    documents = [
        record.new(MEMBERS | {"streamKey": "early"}),
        *(record.new(MEMBERS) for _ in "ab"),
    ]
    records.insert(documents)
    early = documents[0]["id"]
    for one in records.with_ids([document["id"] for document in documents]):
        moment = NOW + timedelta(seconds=1 + (one.document["id"] != early))
        after = transitions.failed(one.document, Failure(404, "why", "unrecoverable", None), moment)
        records.write([(one, after)])
    of_key = [{"streamKey": {"$in": ["early"]}}]

    def found(query: FailureQuery) -> tuple[list[str], int]:
        ids, after = [], None
        for pages in range(1, 100):
            page = listing.failures(query, 50, after)
            ids += [document["id"] for document in page.records]
            if (after := page.next) is None:
                return ids, pages
        raise AssertionError("it does not end")

    assert found(FailureQuery(of_key)) == ([early], 1)  # the third of 43
    assert len(found(FailureQuery())[0]) == 43
    for looked_at, pages in ((1, 4), (2, 3), (3, 3), (43, 2), (44, 1)):
        monkeypatch.setattr(listing_module, "SEARCHED", looked_at)
        assert found(FailureQuery(of_key)) == ([early], pages)
    stored = datetime.fromisoformat(documents[0]["createdDate"])
    assert found(FailureQuery(of_key, since=stored, until=stored)) == ([early], 1)
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert len(found(FailureQuery(since=first, until=last))[0]) == 43
    assert (
        found(FailureQuery(since=first, until=first))
        == found(FailureQuery(since=last, until=last))
        == ([], 1)
    )


def test_a_lease_is_found_by_its_index(database: Database, records: Records, plans: list[str]) -> None:
    leases = LeaseTable(database, database, "datasync_records", 60)
    lease = leases.take(leases.snapshot_and_fence(), 64)
    assert lease is not None
    assert leases.renew(lease, {"an-id": 0})
    by_name = [plan for plan in plans if "leases_name" in plan]
    looks = [plan for plan in plans if "SCAN" in plan]  # reads all workers: nothing else is in there
    assert by_name
    assert len(by_name) + len(looks) == len(plans)


@pytest.mark.parametrize(
    ("body", "index"),
    [
        ({}, "replay"),
        ({"retryCodes": ["503", "429"]}, "failed"),
        ({"force": True}, "failed"),
        ({"retryCodes": "503"}, "code"),
        ({"streamOCIDToRetry": "team-a"}, "stream"),
        ({"streamOCIDToRetry": "team-a", "force": True, "retryCodes": "503"}, "stream"),
        ({"targetRestApi": "https://erp.example.com/orders"}, "at"),
        ({"targetRestApi": "https://erp.exam"}, "replay"),
        ({"from": "2026-11-23T21:00:00Z", "to": "2026-11-23T22:00:00Z"}, "replay"),
    ],
)
def test_an_index_finds_what_a_replay_asks_for_and_no_other_serves_it(
    tmp_path: Path, body: dict[str, Any], index: str
) -> None:
    """Where few of many match, a page and a count cost what these few do."""
    records = Records(Database(f"sqlite:{tmp_path / 'records.db'}", "", str), "records")
    query = retry_request(json.dumps(body).encode(), SETTINGS, 1.0).query.at(datetime.now(UTC))
    ordered = {"$query": query.as_filter(), "$orderby": [queries.ascending(query.order)]}
    with records._database.collection(records._spec) as collection:
        for asked in (query.as_filter(), ordered):
            (step,) = local.emulators.soda.explain(collection.find().filter(asked))
            assert f"USING INDEX records_{index} (" in step
            assert ("from" in body) == ("<?" in step)


def test_an_outcome_whose_commit_lost_its_answer_is_not_taken_for_somebody_elses(records: Records) -> None:
    (stored, *_) = stored_of(records, "small")
    after = transitions.succeeded(stored.document, 200, NOW)
    assert records.write([(stored, after)]) == [True]
    assert records.write([(stored, after)]) == [True]
    again = transitions.succeeded(stored.document, 200, NOW + timedelta(microseconds=1))
    assert records.write([(stored, again)]) == [False]
