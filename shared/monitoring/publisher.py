"""What a call publishes: its metrics to Monitoring, and a summary of failures to Notifications."""

import time
from dataclasses import dataclass, field

from shared.drivers import logs
from shared.monitoring.call_stats import Backlog, CallStats
from shared.monitoring.metrics import Metrics
from shared.monitoring.notifications import Notifications

_REST_SECONDS = 60.0  # after a service that took too long, in which no call waits for it


@dataclass
class Publisher:
    """Publishes the statistics of calls; a failure to do so is logged, and ends no call."""

    metrics: Metrics
    notifications: Notifications
    _rests_until: float = field(default=0.0, init=False)

    @property
    def rests(self) -> bool:
        """Whether nothing is to be published now, since a service did not answer in time a while ago."""
        return time.monotonic() < self._rests_until

    def rest(self) -> None:
        """Publish nothing for a while."""
        self._rests_until = time.monotonic() + _REST_SECONDS

    def notify(self, stats: CallStats, *, publishing: bool = True) -> None:
        """Notify operators of new failures; without `publishing`, a later call does."""
        self.notifications.notify(stats, logs.call_id.get(), publishing=publishing)

    @property
    def wants_metrics(self) -> bool:
        """Return whether metrics are posted at all, so that the backlog is counted only if needed."""
        return self.metrics.wanted

    def post_metrics(self, stats: CallStats, backlog: Backlog) -> None:
        """Post a call's metrics, with the backlog that it leaves."""
        self.metrics.post(stats, backlog)
