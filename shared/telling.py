"""What operators are told of a call: metrics in Monitoring, a message through Notifications."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from shared import record, telemetry
from shared.collection import Records
from shared.errors import DependencyDown
from shared.metrics import Metrics
from shared.notices import Notices
from shared.observed import Observed
from shared.selections import due

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Telling:
    """Tells of calls; a failure to tell is logged, and harms nothing. One instance serves a process."""

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
        try:
            oldest = self.records.page(due(now), 1)
            backlog = self.records.count(due(now)) if oldest else 0
        except DependencyDown as error:
            log.warning("the metrics could not be posted: %s", error)
            return
        since = record.due_since(oldest[0].document) if oldest else now
        self.metrics.post(seen, backlog, int((now - since).total_seconds()))
