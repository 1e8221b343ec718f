"""Limits of what is in flight in one call: in all, per target, and none to a target that does not connect."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from shared.model.answer import Answer
from shared.model.errors import DependencyDown
from shared.settings import Settings

_CONNECTION_FAILURES = 5  # in a row, after which a target's circuit is open for the rest of the call
_UNPROVEN_PART = 16  # of all places: what a target gets until it has answered once


class Skipped(Exception):
    """A record is due, and is not sent in this call: nothing is written on it.

    `cause` is the outage behind it, if there is one.
    """

    def __init__(self, cause: DependencyDown | None = None):
        super().__init__()
        self.cause = cause


class Limits:
    """The places for requests, and the circuit of each target.

    A target gets a few places until it has answered once, so that some that accept and hang leave places to
    others. A circuit that an earlier call left open lets one record through, the probe, and the others wait
    for what becomes of it.
    """

    def __init__(self, settings: Settings, suspects: Collection[str] = ()):
        """`suspects` are the targets whose circuits were open at the end of an earlier call."""
        self._all = asyncio.Semaphore(settings.concurrency)
        self._most = settings.concurrency_per_target
        self._unproven = min(self._most, max(1, settings.concurrency // _UNPROVEN_PART))
        self._per_target: dict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(self._unproven)
        )
        self._proven: set[str] = set()
        self._failures: dict[str, int] = defaultdict(int)
        self._suspects = set(suspects)
        self._probes: dict[str, asyncio.Future[None]] = {}
        self.connected: set[str] = set()

    @asynccontextmanager
    async def place(self, target: str) -> AsyncIterator[None]:
        """Wait for a place to send to `target`; Skipped if its circuit is open by then.

        The target's own limit comes first: a record that waits for a slow target takes no place from the
        others.
        """
        if target in self._suspects:
            probe = self._probes.get(target)
            if probe is None:
                async with self._probe(target), self._all:
                    yield
                return
            await asyncio.shield(probe)
        async with self._per_target[target], self._all:
            if self.is_open(target):
                raise Skipped
            yield

    def record(self, target: str, answer: Answer) -> None:
        """Count failures to connect in a row; what this machine lacks says nothing about the target."""
        if answer.cause == "machine":
            return
        if answer.sent == "yes" and target not in self._proven:
            self._proven.add(target)
            for _ in range(self._most - self._unproven):
                self._per_target[target].release()
        if answer.connected:
            self._failures[target] = 0
            self.connected.add(target)
        else:
            self._failures[target] += 1

    def open_circuits(self) -> list[str]:
        """Return the targets that get nothing more in this call."""
        return [target for target in self._failures if self.is_open(target)]

    def is_open(self, target: str) -> bool:
        """Tell whether a target gets nothing more in this call."""
        return self._failures[target] >= _CONNECTION_FAILURES

    @asynccontextmanager
    async def _probe(self, target: str) -> AsyncIterator[None]:
        probe = self._probes[target] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            self._suspects.discard(target)
            if target not in self.connected:
                self._failures[target] = _CONNECTION_FAILURES
            probe.set_result(None)
