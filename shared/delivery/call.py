"""What travels through one call under one lease."""

import time
from dataclasses import dataclass

from shared.delivery.requests import DeliveryRequest
from shared.monitoring.call_stats import CallStats
from shared.settings import Settings
from shared.storage.leases import Lease

WRAP_UP_SECONDS = 2.0  # kept to write outcomes and to answer before the deadline


@dataclass(frozen=True)
class Call:
    """A running call: what it was asked for, what it owns, and until when it may act."""

    settings: Settings
    request: DeliveryRequest
    lease: Lease
    stats: CallStats
    stop_at: float
    """Monotonic seconds after which no delivery begins."""

    @classmethod
    def begun(cls, settings: Settings, request: DeliveryRequest, lease: Lease, stats: CallStats) -> "Call":
        """Return a call that begins a delivery only if it has the whole of its time-outs left."""
        stop_at = request.deadline - settings.longest_delivery - WRAP_UP_SECONDS
        return cls(settings, request, lease, stats, stop_at)

    def may_begin(self) -> bool:
        """Tell whether a delivery may begin: it must outlast neither the lease nor the deadline."""
        now = time.monotonic()
        return now <= self.stop_at and now + self.settings.longest_delivery < self.lease.valid_until

    def seconds_for_delivery(self) -> float:
        """Return how long a delivery that begins now may take."""
        now = time.monotonic()
        until = min(self.request.deadline - WRAP_UP_SECONDS, self.lease.valid_until)
        return min(self.settings.longest_delivery, until - now)

    @property
    def write_until(self) -> float:
        """Monotonic seconds until which outcomes may be written: lease and answer still hold."""
        return min(self.lease.valid_until, self.request.deadline - WRAP_UP_SECONDS / 2)
