"""The report adds up what the records, the workers and the counters say, and hides what it must."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from shared.drivers.documents import Content
from shared.model import record, transitions
from shared.model.ids import timestamp
from shared.model.lanes import Policies
from shared.model.members import USUAL_ON_PAGE
from shared.model.policy import FOREVER, Policy
from shared.model.record import Document
from shared.model.transitions import Failure
from shared.operations.report import Report
from shared.storage.failure_queries import FailureQuery
from shared.storage.listing import Page
from shared.storage.queries import DUE, FAILED, HELD, REPLAY, Query
from shared.storage.records import Stored

MEMBERS = {
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"order": "secret"},
    "targetRestApiHeaders": {"X-Order": "secret"},
    "vaultSecretName": "erp",
}


NOON = datetime(2099, 1, 1, 12, tzinfo=UTC)


def failed(*, dead: bool = False) -> Document:
    again = None if dead else datetime.now(UTC)
    failure = Failure(503, "no", "recoverable", again)
    return transitions.failed(record.new(MEMBERS), failure, datetime.now(UTC))


@dataclass
class Records:
    """How many records each query matches, and what else is asked of them."""

    unfinished: int = 0
    waiting: int = 0
    failed: int = 0
    held: int = 0
    due: int = 0
    oldest: list[Document] = field(default_factory=list)
    latest: list[Document] = field(default_factory=list)
    next: str | None = None
    asked: Counter[Any] = field(default_factory=Counter)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def count(self, query: Query | None = None, /) -> int:
        assert query is not None
        if query.before is not None:
            return self.due
        return {DUE: self.unfinished, REPLAY: self.waiting, FAILED: self.failed, HELD: self.held}[query.order]

    def page(self, query: Query, limit: int, /) -> list[Stored]:
        assert (query.order, limit) == (DUE, 1)
        return [Stored("key", "version", one) for one in self.oldest]

    def failures(self, query: FailureQuery, limit: int, after: str | None = None, /) -> Page:
        self.asked[query.since, limit, after] += 1
        return Page(self.latest, self.next)

    def failures_by(self, path: str, /) -> dict[str, int]:
        return {path: 1}


class Leases:
    def overview(self, now: datetime, /) -> tuple[list[dict[str, Any]], list[str], dict[str, str]]:
        assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)
        return [{"worker": "a"}], ["erp.example.com:443"], {"crm.example.com:443": "2026-11-23T21:00:00Z"}


@dataclass
class Documents:
    contents: dict[str, Content] = field(default_factory=dict)

    def all(self) -> dict[str, Content]:
        return self.contents


def report(
    records: Records, documents: dict[str, Content] | None = None, *, with_payloads: bool = False
) -> Report:
    policies = Policies([Policy("erp", paused_until=FOREVER), Policy("crm", paused_until=NOON), Policy("hr")])
    return Report(
        *(records, records, Leases(), Documents(documents or {}), SimpleNamespace(policies=lambda: policies)),
        with_payloads=with_payloads,
    )


def test_records_are_counted_by_their_states() -> None:
    counted = {"finished": {"success": 7, "filtered": 2}, "hours": {}}
    it = report(
        Records(unfinished=10, waiting=4, failed=9, held=1), {"tally-00": counted, "tally-32": counted}
    )
    assert it.read()["counts"] == {
        "not_processed": 6,
        "success": 14,
        "filtered": 4,
        "cancelled": 0,
        "failed": 9,
        "dead": 5,
        "held": 1,
    }


def test_counts_that_were_read_while_records_came_are_never_below_zero() -> None:
    counts = report(Records(unfinished=1, waiting=3, failed=2)).read()["counts"]
    assert (counts["not_processed"], counts["dead"]) == (0, 0)


def test_what_is_paused_is_shown_with_its_end() -> None:
    paused = report(Records()).read()["pausedTargets"]
    assert paused == {"erp": None, "crm": "2099-01-01T12:00:00.000000Z"}


def test_the_oldest_record_that_is_due_is_shown_by_its_time() -> None:
    old = record.new(MEMBERS)
    since = datetime.now(UTC) - timedelta(minutes=5)
    old["datasync"]["due"] = f"{timestamp(since)} {old['id']}"
    shown = report(Records(due=3, oldest=[old])).read()
    assert (shown["due"], shown["oldestDueDate"]) == (3, timestamp(since))
    assert 300 <= shown["oldestDueSeconds"] < 400


def test_where_nothing_is_due_there_is_no_oldest() -> None:
    shown = report(Records()).read()
    assert (shown["due"], shown["oldestDueDate"], shown["oldestDueSeconds"]) == (0, None, 0)


def test_failures_are_filed_by_code_stream_and_target() -> None:
    assert report(Records()).read()["failed"] == {
        "byCode": {"datasync.code": 1},
        "byStream": {"error_stream": 1},
        "byTarget": {"datasync.at": 1},
    }


def test_workers_and_open_circuits_are_those_of_the_lease_table() -> None:
    shown = report(Records()).read()
    assert (shown["leases"], shown["openCircuits"]) == ([{"worker": "a"}], ["erp.example.com:443"])
    assert shown["restingTargets"] == {"crm.example.com:443": "2026-11-23T21:00:00Z"}


def test_the_latest_failures_show_neither_payload_nor_headers_nor_machinery() -> None:
    one = failed()
    (shown,) = report(Records(latest=[one])).read()["latestFailures"]
    assert shown.keys() == one.keys() - {"datasync", "targetRestApiPayload", "targetRestApiHeaders"}
    assert "secret" not in str(shown)


def test_an_operator_may_want_payloads_and_headers_shown() -> None:
    one, other = failed(), {name: value for name, value in failed(dead=True).items() if "Payload" not in name}
    shown, without = report(Records(latest=[one, other]), with_payloads=True).read()["latestFailures"]
    assert (shown["targetRestApiPayload"], shown["targetRestApiHeaders"]) == (
        MEMBERS["targetRestApiPayload"],
        MEMBERS["targetRestApiHeaders"],
    )
    assert "targetRestApiPayload" not in without
    change = {"targetRestApiPayload": "new"}
    edited = transitions.edited(one, change, (), "olga", datetime(2026, 11, 24, tzinfo=UTC))
    for is_shown in (True, False):
        (shown_,) = report(Records(latest=[edited]), with_payloads=is_shown).read()["latestFailures"]
        assert ("targetRestApiPayload" in shown_["history"][0]["was"]) is is_shown
    assert "datasync" not in shown


def test_a_search_is_handed_on_and_says_how_to_go_on() -> None:
    records, since = Records(), datetime(2026, 11, 24, tzinfo=UTC)
    assert report(records).read()["failuresNext"] is None
    records.next = "behind"
    assert report(records).read({"from": "2026-11-24T00:00:00Z"})["failuresNext"] == "behind"
    query = {"from": "2026-11-24T00:00:00Z", "limit": "7", "after": "behind"}
    assert report(records).failures(query) == {"failures": [], "next": "behind"}
    assert records.asked == {
        (None, USUAL_ON_PAGE, None): 1,
        (since, USUAL_ON_PAGE, None): 1,
        (since, 7, "behind"): 1,
    }


def test_the_last_day_has_an_hour_for_each_of_its_hours() -> None:
    now = datetime.now(UTC)
    hour = timestamp(now)[:13]
    counted = {"finished": {}, "hours": {hour: {"delivered": 3, "dead": 1}}}
    last_day = report(Records(), {"tally-00": counted}).read()["lastDay"]
    assert len(last_day) == 24
    assert sum(one["delivered"] for one in last_day) == 3
    assert [one["hour"] for one in last_day] == sorted(one["hour"] for one in last_day)
