"""What a call publishes: its metrics to Monitoring, and a summary of failures to Notifications."""

from dataclasses import dataclass

from shared.drivers import logs
from shared.monitoring.call_stats import Backlog, CallStats
from shared.monitoring.metrics import Metrics
from shared.monitoring.notifications import Notifications


@dataclass(frozen=True)
class Publisher:
    """Publishes the statistics of calls; a failure to do so is logged, and ends no call."""

    metrics: Metrics
    notifications: Notifications

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
