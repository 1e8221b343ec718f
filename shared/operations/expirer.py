"""The expirer: ends records that were not delivered for too long, as dead ones."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from shared.model import ids, record, transitions
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.monitoring.call_stats import Backlog, CallStats
from shared.monitoring.publisher import Publisher
from shared.operations.maintenance import Done, Run, is_leased, leased_partitions
from shared.settings import Settings
from shared.storage.leases import LeaseTable
from shared.storage.queries import DUE, Query
from shared.storage.records import Records, Stored

log = logging.getLogger(__name__)

_MICROSECOND = timedelta(microseconds=1)  # between two that expire: the report orders them by their times


class Expirer:
    """Ends what was stored longer than EXPIRE_AFTER ago, and is in no delivery's partitions meanwhile."""

    def __init__(self, settings: Settings, records: Records, leases: LeaseTable, publisher: Publisher):
        self._after = timedelta(seconds=settings.expire_after)
        self._stream = settings.retry_policy().error_stream(UNEXPECTED_ERROR)
        self._records = records
        self._leases = leases
        self._publisher = publisher

    def count(self, run: Run) -> Done:
        """Count what would expire."""
        return Done(expired=self._records.count(self._overdue(run)))

    def run(self, run: Run) -> Iterator[Done]:
        """End them, a page at a time, and publish that as a delivery's outcomes are published."""
        stats, moments = CallStats(), (run.now + place * _MICROSECOND for place in itertools.count())
        try:
            for page in run.pages(self._records, self._overdue(run)):
                waiting, ended = self._end(page, moments)
                for before, after in ended:
                    stats.record_expiry(before, after)
                yield Done(expired=len(ended), endOfWork=len(ended) == waiting)
            yield Done(endOfWork=run.goes_on())
        finally:
            self._publish(run, stats)

    def _overdue(self, run: Run) -> Query:
        return Query(DUE, conditions=[{"id": {"$lt": ids.id_at(run.now - self._after)}}])

    def _end(
        self, page: Sequence[Stored], moments: Iterator[datetime]
    ) -> tuple[int, list[tuple[Document, Document]]]:
        """End what is free of a page; return how many records waited, and those ended, before and after."""
        with leased_partitions(self._leases) as lease:
            fresh = self._records.with_ids([one.document["id"] for one in page])
            waiting = [one for one in fresh if record.is_unfinished(one.document)]
            changes = [
                (one, transitions.expired(one.document, self._stream, next(moments)))
                for one in waiting
                if is_leased(one.document, lease)
            ]
            written = self._records.write(changes) if changes else []
        ended = zip(changes, written, strict=True)
        return len(waiting), [(before.document, after) for (before, after), is_written in ended if is_written]

    def _publish(self, run: Run, stats: CallStats) -> None:
        self._publisher.notify(stats)
        if not self._publisher.wants_metrics:
            return
        try:
            backlog = Backlog(*self._records.backlog(run.now), self._leases.rests(run.now))
        except DependencyDown as error:
            log.warning("the metrics could not be posted: %s", error)
            return
        self._publisher.post_metrics(stats, backlog)
