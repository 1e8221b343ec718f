"""What travels through one call under one lease."""

import time
from dataclasses import dataclass

from shared.delivery.policy_watch import PolicyWatch
from shared.delivery.requests import DeliveryRequest
from shared.model.answer import Terms
from shared.model.policy import USUAL, Policy
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
    policies: PolicyWatch

    @classmethod
    def begun(
        cls,
        settings: Settings,
        request: DeliveryRequest,
        lease: Lease,
        stats: CallStats,
        policies: PolicyWatch | None = None,
    ) -> "Call":
        """Return a call that begins a delivery only if it has the whole of its time-outs left."""
        stop_at = request.deadline - settings.longest_delivery - WRAP_UP_SECONDS
        return cls(settings, request, lease, stats, stop_at, policies or PolicyWatch())

    def may_begin(self, policy: Policy = USUAL) -> bool:
        """Tell whether a delivery may begin: with the whole of its time-outs, under a lease that is renewed.

        It may outlast the lease as it is now. Where that is not renewed, less is begun and cut off.
        """
        now, longest = time.monotonic(), self.longest(policy)
        least = min(longest, self.settings.lease / 2)
        in_time = now <= min(self.stop_at, self.request.deadline - longest - WRAP_UP_SECONDS)
        return in_time and now + least < self.lease.valid_until

    def is_too_short(self, policy: Policy) -> bool:
        """Tell whether not even the whole call is long enough for a delivery with a policy's time-outs."""
        return self.request.begun_at + self.longest(policy) + WRAP_UP_SECONDS > self.request.deadline

    def longest(self, policy: Policy) -> float:
        """Return how many seconds a delivery can take at the most."""
        return sum(self._timeouts(policy))

    def _timeouts(self, policy: Policy) -> tuple[float, float]:
        """Return the seconds for connecting, and for sending and reading."""
        settings = self.settings
        return (
            policy.connect_timeout or settings.target_connect_timeout,
            policy.read_timeout or settings.target_read_timeout,
        )

    def terms(self, policy: Policy) -> Terms:
        """Return how a delivery that begins now is made."""
        left = self.request.deadline - WRAP_UP_SECONDS - time.monotonic()
        return Terms(
            min(self.longest(policy), left),
            *self._timeouts(policy),
            keeps_successes=policy.answers == "all",
            keeps_failures=policy.answers != "none",
            reads_body=policy.success is not None,
        )

    @property
    def write_until(self) -> float:
        """Monotonic seconds until which outcomes may be written: lease and answer still hold."""
        return min(self.lease.valid_until, self.request.deadline - WRAP_UP_SECONDS / 2)
