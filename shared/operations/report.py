"""The operators' view: how many records are in which state, what fails and why, which workers hold what."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from shared.drivers.documents import Content
from shared.model import record
from shared.model.history import HISTORY
from shared.model.ids import timestamp
from shared.model.lanes import Policies
from shared.model.members import USUAL_ON_PAGE
from shared.model.record import Document
from shared.operations.search import failures_query, report_query
from shared.storage import counters
from shared.storage.failure_queries import FailureQuery
from shared.storage.listing import Page
from shared.storage.queries import DUE, FAILED, HELD, REPLAY, Query, due
from shared.storage.records import Stored

_HIDDEN = ("targetRestApiPayload", "targetRestApiHeaders")


class Records(Protocol):
    """What is asked of the records."""

    def now(self) -> datetime:
        """Return the database's time."""

    def count(self, query: Query | None = None, /) -> int:
        """Count the records of a query."""

    def page(self, query: Query, limit: int, /) -> list[Stored]:
        """Return the first records of a query."""

    def failures_by(self, path: str, /) -> dict[str, int]:
        """Count failed records by a member."""


class Listing(Protocol):
    """What is asked of the lists."""

    def failures(self, query: FailureQuery, limit: int, after: str | None = None, /) -> Page:
        """Return a page of failed records."""


class Leases(Protocol):
    """What is asked of the table of workers."""

    def overview(self, now: datetime, /) -> tuple[list[dict[str, Any]], list[str], dict[str, str]]:
        """Return the workers with what they hold, and the targets whose circuits are open, or that rest."""


class Documents(Protocol):
    """What is asked of the small documents."""

    def all(self) -> dict[str, Content]:
        """Return every document's content by its name."""


class PausedPolicies(Protocol):
    """What is asked of the operators' policies."""

    def policies(self) -> Policies:
        """Return them as they are now."""


class Report:
    """What `GET /process` answers; one instance serves a process's calls."""

    def __init__(
        self,
        records: Records,
        listing: Listing,
        leases: Leases,
        documents: Documents,
        policies: PausedPolicies,
        *,
        with_payloads: bool = False,
    ):
        self._records = records
        self._listing = listing
        self._leases = leases
        self._documents = documents
        self._policies = policies
        self._with_payloads = with_payloads

    def read(self, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the report, whose cost has a bound: see `tests/contract/test_record_queries.py`.

        `query` chooses among the latest failures. The counts are read one after another: while records
        arrive they need not add up to the last one.
        """
        search = report_query(query or {})
        now = self._records.now()
        documents = self._documents.all()
        latest = self._listing.failures(search, USUAL_ON_PAGE)
        return {
            "time": timestamp(now),
            **self._counted(now, counters.finished(documents)),
            "lastDay": counters.last_day(documents, now),
            **self._work(now),
            "latestFailures": [self._shown(one) for one in latest.records],
            "failuresNext": latest.next,
        }

    def failures(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of failures, as `query` says, and what to ask for to go on."""
        page = self._listing.failures(*failures_query(query))
        return {"failures": [self._shown(one) for one in page.records], "next": page.next}

    def _counted(self, now: datetime, finished: Mapping[str, int]) -> dict[str, Any]:
        unfinished = self._records.count(Query(DUE))
        waiting = self._records.count(Query(REPLAY))
        failed = self._records.count(Query(FAILED))
        oldest = self._records.page(due(now), 1)
        since = record.due_since(oldest[0].document) if oldest else None
        return {
            "counts": {
                record.NOT_PROCESSED: max(0, unfinished - waiting),
                **finished,
                "failed": failed,
                "dead": max(0, failed - waiting),
                "held": self._records.count(Query(HELD)),
            },
            "due": self._records.count(due(now)),
            "oldestDueDate": timestamp(since) if since else None,
            "oldestDueSeconds": int((now - since).total_seconds()) if since else 0,
            "failed": {
                "byCode": self._records.failures_by("datasync.code"),
                "byStream": self._records.failures_by("error_stream"),
                "byTarget": self._records.failures_by("datasync.at"),
            },
        }

    def _work(self, now: datetime) -> dict[str, Any]:
        leases, circuits, rests = self._leases.overview(now)
        paused = {one.name: one.shown_until() for one in self._policies.policies().paused(now)}
        return {
            "leases": leases,
            "openCircuits": circuits,
            "restingTargets": rests,
            "pausedTargets": paused,
        }

    def _shown(self, document: Document) -> Document:
        shown = record.without_answers(record.public_view(document))
        if self._with_payloads:  # those that an edit has replaced, too
            shown |= {name: document[name] for name in (*_HIDDEN, HISTORY) if name in document}
        return shown
