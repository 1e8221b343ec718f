"""The records that a worker may be sending, written into its lease before they are sent.

Whoever takes over from a dead worker finds there what to count an interrupted attempt on.
"""

import asyncio

from shared.drivers import threads
from shared.model import record
from shared.model.record import Document
from shared.storage.leases import Lease, LeaseTable


class InFlight:
    """Writes records down in groups: all that come while one write is running go into the next."""

    def __init__(self, leases: LeaseTable, lease: Lease):
        self._leases = leases
        self._lease = lease
        self._tries: dict[str, int] = {}
        self._next: asyncio.Task[bool] | None = None
        self._writing = asyncio.Lock()

    async def add(self, document: Document) -> bool:
        """Return once a record is written down; False if the lease is lost, and nothing may be sent.

        Raises DependencyDown if the database did not answer.
        """
        self._tries[document["id"]] = record.tries(document)
        if self._next is None:
            self._next = asyncio.create_task(self._write())
        return await asyncio.shield(self._next)

    def remove(self, document: Document) -> None:
        """Forget a record: the next write no longer names it, unless it is unsettled."""
        if document["id"] not in self._lease.unsettled:
            self._tries.pop(document["id"], None)

    def keep(self, document: Document) -> None:
        """Keep a record for whoever takes over: it may have been sent, and its outcome can't be written."""
        if document["id"] in self._tries:
            self._lease.unsettled[document["id"]] = self._tries[document["id"]]

    async def _write(self) -> bool:
        async with self._writing:
            self._next = None
            return await threads.RENEWALS.run(self._leases.renew, self._lease, dict(self._tries))
