"""The operator's policies, as a call knows them: read with each page, so that a change soon holds."""

import logging
from collections.abc import Callable

from shared.drivers import clock, threads
from shared.model.errors import Misconfigured
from shared.model.lanes import Lane, Policies
from shared.model.policy import USUAL, Policy
from shared.model.record import Document

log = logging.getLogger(__name__)


class PolicyWatch:
    """The newest policies that were read; one for each call."""

    def __init__(self, read: Callable[[], Policies] = Policies):
        self._read = read
        self._is_read = False
        self.current = Policies()

    async def refresh(self) -> None:
        """Read the policies again. Raises Misconfigured if they were never readable in this call."""
        try:
            self.current = await threads.DATABASE.run(self._read)
        except Misconfigured as error:
            if not self._is_read:
                raise
            log.warning("the policies stay as they were: %s", error)
        self._is_read = True

    def lane(self, document: Document) -> Lane:
        """Return the lane of a record."""
        return self.current.lane(document)

    def named(self, name: str) -> Lane | None:
        """Return the lane with this name; None if there is none any more."""
        return self.current.named(name)

    def policy(self, document: Document) -> Policy:
        """Return the policy of a record."""
        return self.current.lane(document).policy

    def policy_of(self, lane: str) -> Policy:
        """Return the policy of the lane with this name."""
        found = self.current.named(lane)
        return USUAL if found is None else found.policy

    def is_paused(self, document: Document) -> bool:
        """Tell whether nothing is sent of what is in a record's lane."""
        return bool(self.current.entries) and self.policy(document).is_paused(clock.now())

    @property
    def is_any_paused(self) -> bool:
        """Whether some policy is paused now."""
        return bool(self.current.entries) and bool(self.current.paused(clock.now()))

    def paused_at(self, origin: str) -> list[Lane]:
        """Return the lanes of a host of which nothing is sent."""
        now = clock.now()
        return [lane for lane in self.current.lanes_at(origin) if lane.policy.is_paused(now)]
