"""How much is in flight in one call: in all, per target, and nothing more to one that does not connect."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.sender import Answer
from shared.settings import Settings

_CONNECTION_FAILURES = 5  # in a row, after which a target's circuit is open for the rest of the call


class PutOff(Exception):
    """A record is due, and is not sent in this call: nothing is written on it."""


class Bounds:
    """The places for requests, and the circuit of each target."""

    def __init__(self, settings: Settings):
        self._all = asyncio.Semaphore(settings.concurrency)
        self._per_target: dict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(settings.concurrency_per_target)
        )
        self._failures: dict[str, int] = defaultdict(int)

    @asynccontextmanager
    async def place(self, target: str) -> AsyncIterator[None]:
        """Wait for a place to send to `target`; PutOff where its circuit is open by then.

        The target's own bound comes first: who waits for a slow target holds no place of the others.
        """
        async with self._per_target[target], self._all:
            if self._is_open(target):
                raise PutOff
            yield

    def note(self, target: str, answer: Answer) -> None:
        """Count failures to connect in a row."""
        self._failures[target] = 0 if answer.connected else self._failures[target] + 1

    def open_circuits(self) -> list[str]:
        """Return the targets that get nothing more in this call."""
        return [target for target in self._failures if self._is_open(target)]

    def _is_open(self, target: str) -> bool:
        return self._failures[target] >= _CONNECTION_FAILURES
