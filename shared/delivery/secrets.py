"""The secrets that the records of a call name: each looked up once, however many records wait for it."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from shared.delivery.limits import Skipped
from shared.drivers import threads
from shared.model import record
from shared.model.errors import DependencyDown
from shared.model.record import Document, Proof
from shared.storage.vault import Secret, Unreadable


class ReadsTokens(Protocol):
    """What reads secrets: `storage/tokens.py`."""

    def for_record(self, document: Document, *, adopt: bool = False, since: float = 0.0) -> Secret | None:
        """Return the secret to send a record with, read at or after `since`; NoToken if it has none."""


class Secrets:
    """The secrets of one call.

    Once Vault has failed to answer a lookup, nothing more waits for it in this call.
    """

    def __init__(
        self,
        tokens: ReadsTokens,
        stop_at: float,
        *,
        adopt: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        """`stop_at`: monotonic seconds at which no record waits any longer; `adopt`: whatever binds them."""
        self._tokens = tokens
        self._stop_at = stop_at
        self._adopt = adopt
        self._monotonic = monotonic
        self._lookups: dict[tuple[str, Proof | None], asyncio.Task[Secret | None]] = {}
        self._outage: asyncio.Future[DependencyDown] = asyncio.get_running_loop().create_future()

    async def get(self, document: Document) -> Secret | None:
        """Return the secret to send a record with; None if it names none.

        Raises NoToken if there is none to send it with, Skipped if Vault does not answer, or not in time:
        records without a token go on.
        """
        if "vaultSecretName" not in document:
            return None
        key = document["vaultSecretName"], record.proof(document)
        lookup = self._lookups.get(key)
        if lookup is None:
            if self._outage.done():
                raise Skipped(self._outage.result())
            lookup = self._lookups[key] = asyncio.create_task(self._look_up(document))
        if not lookup.done():
            seconds = max(0.0, self._stop_at - self._monotonic())
            await asyncio.wait((lookup, self._outage), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if lookup.done() and not lookup.cancelled():
            return _result(lookup)
        raise Skipped(self._outage.result() if self._outage.done() else None)

    async def again(self, document: Document) -> Secret | None:
        """Read again a secret that a target has refused; None if it can't be read now. Raises NoToken too."""
        try:
            return await threads.VAULT.run(
                self._tokens.for_record, document, adopt=self._adopt, since=self._monotonic()
            )
        except DependencyDown:
            return None

    async def _look_up(self, document: Document) -> Secret | None:
        try:
            return await threads.VAULT.run(self._tokens.for_record, document, adopt=self._adopt)
        except Unreadable:
            raise
        except DependencyDown as error:
            self._note_outage(error)
            raise

    def _note_outage(self, error: DependencyDown) -> None:
        """Stop waiting for Vault, and start no further lookups."""
        if self._outage.done():
            return
        self._outage.set_result(error)
        for lookup in self._lookups.values():
            if lookup is not asyncio.current_task():
                lookup.cancel()


def _result(lookup: "asyncio.Task[Secret | None]") -> Secret | None:
    try:
        return lookup.result()
    except DependencyDown as error:
        raise Skipped(error) from None
