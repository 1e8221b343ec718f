"""The secrets that the records of a call name: each looked up once, however many records wait for it."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from shared.delivery.limits import Skipped
from shared.drivers import threads
from shared.model.errors import DependencyDown


class ReadsTokens(Protocol):
    """Where secrets are read: `storage/tokens.py`."""

    def token(self, name: str) -> str | None:
        """Return what a secret holds; None if there is none."""


class Secrets:
    """The secrets of one call."""

    def __init__(self, tokens: ReadsTokens, stop_at: float, monotonic: Callable[[], float] = time.monotonic):
        """`stop_at`: monotonic seconds at which no record waits any longer."""
        self._tokens = tokens
        self._stop_at = stop_at
        self._monotonic = monotonic
        self._lookups: dict[str, asyncio.Future[str | None]] = {}
        self._outage: DependencyDown | None = None

    async def get(self, name: str) -> str | None:
        """Return what a secret holds; None if there is none.

        Raises Skipped if Vault does not answer, or not in time: records without a token go on.
        """
        if name not in self._lookups:
            if self._outage is not None:
                raise Skipped(self._outage)
            self._lookups[name] = asyncio.ensure_future(threads.VAULT.run(self._tokens.token, name))
        try:
            async with asyncio.timeout(max(0.0, self._stop_at - self._monotonic())):
                return await asyncio.shield(self._lookups[name])
        except TimeoutError:
            raise Skipped from None
        except DependencyDown as error:
            self._outage = error
            raise Skipped(error) from None
