"""What operators are told of a call: metrics in Monitoring, a message through Notifications."""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared import record, telemetry
from shared.collection import Records
from shared.metrics import Metrics
from shared.notices import Notices
from shared.observed import Observed
from shared.selections import due


@dataclass(frozen=True)
class Telling:
    """Tells of calls; one instance serves a process."""

    records: Records
    metrics: Metrics
    notices: Notices

    def notify(self, seen: Observed, *, publishing: bool = True) -> None:
        """Notify of what is new in a call; without `publishing` leave it for another call to do."""
        self.notices.tell(seen, telemetry.call_id.get(), publishing=publishing)

    def post(self, seen: Observed) -> None:
        """Post a call's metrics, with the backlog that it leaves."""
        if not self.metrics.wanted:
            return
        now = datetime.now(UTC)
        oldest = self.records.page(due(now), 1)
        since = record.due_since(oldest[0].document) if oldest else now
        backlog = self.records.count(due(now)) if oldest else 0
        self.metrics.post(seen, backlog, int((now - since).total_seconds()))
