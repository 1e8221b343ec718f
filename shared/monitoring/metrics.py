"""Metrics in OCI Monitoring, one post per call."""

import logging
from typing import Any

from shared.drivers import clock
from shared.drivers.oci import OciClients, Refused
from shared.model.errors import DependencyDown
from shared.monitoring.call_stats import Backlog, CallStats, percentile
from shared.settings import Settings

log = logging.getLogger(__name__)

METRICS = {
    "delivered": "records delivered in the call",
    "failed": "attempts that failed in the call",
    "dead": "records that became dead in the call",
    "skipped": "records that were due, and skipped",
    "backlog": "records that are due when the call ends",
    "oldest_due_seconds": "how long the oldest of them has been due",
    "resting_targets": "targets that get nothing for a while when the call ends, since they were overloaded",
    "latency_p50_ms": "median duration of an attempt",
    "latency_p95_ms": "95th percentile of the duration of an attempt",
    "latency_p99_ms": "99th percentile of the duration of an attempt",
    "target_delivered": "`delivered` by target (dimension `target`); all but the fifteen busiest as `others`",
    "target_failed": "`failed` by target, likewise",
    "target_rest_seconds": "for how long a target still rests (dimension `target`); of the eight longest",
}
"""Every metric and its meaning; each has the dimension `collection`."""


class Metrics:
    """Posts the statistics of calls; a failure is logged and has no other effect."""

    def __init__(self, clients: OciClients, settings: Settings):
        self._clients = clients
        self._settings = settings

    @property
    def wanted(self) -> bool:
        """Tell whether the operator has named a namespace."""
        return bool(self._settings.metrics_namespace)

    def post(self, stats: CallStats, backlog: Backlog) -> None:
        """Post one call's metrics."""
        values = _values(stats, backlog)
        try:
            from oci.monitoring.models import Datapoint, MetricDataDetails, PostMetricDataDetails

            compartment, now = self._clients.compartment(), clock.now()
            posted = [
                MetricDataDetails(
                    namespace=self._settings.metrics_namespace,
                    compartment_id=compartment,
                    name=name,
                    dimensions={"collection": self._settings.collection, **dimensions},
                    datapoints=[Datapoint(timestamp=now, value=float(value), count=1)],
                )
                for name, dimensions, value in values
            ]
            details = PostMetricDataDetails(metric_data=posted)
            self._clients.call("monitoring", "MonitoringClient", "post_metric_data", details)
        except (Refused, DependencyDown) as error:
            log.warning("the metrics could not be posted: %s", error)


def _values(stats: CallStats, backlog: Backlog) -> list[tuple[str, dict[str, Any], float]]:
    times = sorted(stats.seconds)
    whole: dict[str, float] = {
        "delivered": stats.delivered.total(),
        "failed": stats.failed.total(),
        "dead": stats.dead,
        "skipped": stats.skipped,
        "backlog": backlog.due,
        "oldest_due_seconds": backlog.oldest_seconds,
        "resting_targets": len(backlog.rests),
    }
    if times:
        whole |= {f"latency_p{share}_ms": 1000 * percentile(times, share / 100) for share in (50, 95, 99)}
    values: list[tuple[str, dict[str, Any], float]] = [(name, {}, value) for name, value in whole.items()]
    for target, (delivered, failed) in stats.by_target().items():
        values.append(("target_delivered", {"target": target}, delivered))
        values.append(("target_failed", {"target": target}, failed))
    for target, seconds in backlog.longest_rests().items():
        values.append(("target_rest_seconds", {"target": target}, seconds))
    return values
