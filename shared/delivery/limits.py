"""Limits of what is in flight in one call: in all, per target, and none to a target that does not connect."""

import asyncio
from collections import deque
from collections.abc import Collection, MutableMapping
from dataclasses import dataclass, field
from types import TracebackType

from shared.model.answer import Answer
from shared.model.errors import DependencyDown
from shared.settings import Settings

_CONNECTION_FAILURES = 5  # in a row, after which a target's circuit is open for the rest of the call
_FEW = 16  # the part of all places that a target has for sure, and begins with
_RESERVE = 4  # the part of all places that is kept for targets with few, and for those that answer
_ANSWERS_SECONDS = 1.0  # after its last answer, a target still counts as one that answers


class Skipped(Exception):
    """A record is due, and is not sent in this call: nothing is written on it.

    `cause` is the outage behind it, if there is one.
    """

    def __init__(self, cause: DependencyDown | None = None):
        super().__init__()
        self.cause = cause


@dataclass
class _Target:
    """What is known of a target: `window` is how many requests it may have in flight."""

    window: int
    in_flight: int = 0
    failures: int = 0
    answered_at: float = -_ANSWERS_SECONDS
    waiting: deque["asyncio.Future[None]"] = field(default_factory=deque)


class Limits:
    """The places for requests, and the circuit of each target.

    A target begins with a few places and gets one more with each answer; a request without an answer halves
    them. The last quarter of all places goes only to targets that have few, or that answer: however many
    accept and hang, others get places. A circuit that an earlier call left open lets one record through, the
    probe, and the others wait for what becomes of it.
    """

    def __init__(
        self,
        settings: Settings,
        suspects: Collection[str] = (),
        windows: MutableMapping[str, int] | None = None,
    ):
        """`suspects` are the targets whose circuits were open at the end of an earlier call.

        `windows` is what earlier calls have learnt of how much targets take; this one adds to it.
        """
        self._free = settings.concurrency
        self._most = settings.concurrency_per_target
        self._few = min(self._most, max(1, settings.concurrency // _FEW))
        self._reserve = settings.concurrency // _RESERVE
        self._windows: MutableMapping[str, int] = {} if windows is None else windows
        self._targets: dict[str, _Target] = {}
        self._crowded: dict[str, None] = {}  # targets for which somebody waits, in their turns
        self._suspects = set(suspects)
        self._probes: dict[str, asyncio.Future[None]] = {}
        self.connected: set[str] = set()

    def place(self, target: str) -> "_Place":
        """Wait for a place to send to `target`, by `async with`; Skipped if its circuit is open by then."""
        return _Place(self, target)

    async def enter(self, target: str) -> None:
        """Take a place as soon as there is one; `leave` gives it back. Raises Skipped as `place` does."""
        if target in self._suspects:
            await self._probed(target)
        else:
            await self._taken(target)
        if self.is_open(target):
            self.leave(target)
            raise Skipped

    async def _probed(self, target: str) -> None:
        """Take the place of the probe, or one once the probe has ended."""
        probe = self._probes.get(target)
        if probe is not None:
            await asyncio.shield(probe)
            await self._taken(target)
            return
        probe = self._probes[target] = asyncio.get_running_loop().create_future()
        try:
            await self._taken(target)
        except asyncio.CancelledError:
            self._end_probe(target, self._probes.pop(target, probe))
            raise

    async def _taken(self, name: str) -> None:
        target = self._of(name)
        if not target.waiting and self._may_have(target):
            self._give(target)
            return
        turn = asyncio.get_running_loop().create_future()
        target.waiting.append(turn)
        self._crowded.setdefault(name)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given one in the same moment
                self.leave(name)
            raise

    def leave(self, target: str) -> None:
        """Give a place back, and to whoever waits."""
        probe = self._probes.pop(target, None)
        if probe is not None:
            self._end_probe(target, probe)
        self._of(target).in_flight -= 1
        self._free += 1
        self._serve()

    def record(self, target: str, answer: Answer) -> None:
        """Note how a request ended; what this machine lacks says nothing about the target."""
        if answer.cause == "machine":
            return
        known = self._of(target)
        if answer.sent == "yes":
            known.answered_at = asyncio.get_running_loop().time()
            known.window = min(self._most, known.window + 1)
        elif answer.sent == "unknown":
            known.window = max(self._few, known.window // 2)
        self._windows[target] = known.window
        self._serve()
        if answer.connected:
            known.failures = 0
            self.connected.add(target)
        else:
            known.failures += 1

    def open_circuits(self) -> list[str]:
        """Return the targets that get nothing more in this call."""
        return [target for target in self._targets if self.is_open(target)]

    def is_open(self, target: str) -> bool:
        """Tell whether a target gets nothing more in this call."""
        known = self._targets.get(target)
        return known is not None and known.failures >= _CONNECTION_FAILURES

    def _of(self, name: str) -> _Target:
        target = self._targets.get(name)
        if target is None:
            window = max(self._few, min(self._most, self._windows.get(name, 0)))
            target = self._targets[name] = _Target(window)
        return target

    def _may_have(self, target: _Target) -> bool:
        if not self._free or target.in_flight >= target.window:
            return False
        if self._free > self._reserve or target.in_flight < self._few:
            return True
        return asyncio.get_running_loop().time() - target.answered_at < _ANSWERS_SECONDS

    def _give(self, target: _Target) -> None:
        target.in_flight += 1
        self._free -= 1

    def _serve(self) -> None:
        """Give free places to those that wait, a target after the other."""
        served = True
        while served and self._free and self._crowded:
            served = False
            for name in self._crowded:
                target = self._targets[name]
                while target.waiting and target.waiting[0].done():  # given up
                    target.waiting.popleft()
                served = not target.waiting or self._may_have(target)
                if served:
                    del self._crowded[name]  # the next turn is another's
                    if target.waiting:
                        self._give(target)
                        target.waiting.popleft().set_result(None)
                        self._crowded[name] = None
                    break

    def _end_probe(self, target: str, probe: "asyncio.Future[None]") -> None:
        self._suspects.discard(target)
        if target not in self.connected:
            self._of(target).failures = _CONNECTION_FAILURES
        if not probe.done():
            probe.set_result(None)


class _Place:
    """A place, taken and given back by an `async with`."""

    __slots__ = ("_limits", "_target")

    def __init__(self, limits: Limits, target: str):
        self._limits = limits
        self._target = target

    async def __aenter__(self) -> None:
        await self._limits.enter(self._target)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limits.leave(self._target)
