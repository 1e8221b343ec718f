"""Limits of one call: what is in flight in all and per target, and none to a target that rests or is down."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from shared.delivery.memory import Memory
from shared.delivery.rates import Rates, SharedRate
from shared.delivery.rest import Rest
from shared.model.answer import Answer
from shared.model.errors import DependencyDown
from shared.model.pace import Refusal
from shared.model.policy import USUAL, Policy
from shared.settings import Settings

_CONNECTION_FAILURES = 5  # in a row, after which a target's circuit is open for the rest of the call
_FEW = 16  # the part of all places that a target has for sure, and begins with
_RESERVE = 4  # the part of all places that is kept for targets with few, and for those that answer
_ANSWERS_SECONDS = 1.0  # after its last answer, a target still counts as one that answers
_PATIENCE_SECONDS = 5.0  # a record waits that long for a target that rests, and not longer


class Skipped(Exception):
    """A record is due, and is not sent in this call: nothing is written on it.

    `cause` is the outage behind it, if there is one.
    """

    def __init__(self, cause: DependencyDown | None = None):
        super().__init__()
        self.cause = cause


@dataclass
class _Target:
    """What is known of a target: `window` is how many requests it may have in flight now, `most` ever."""

    window: int
    most: int
    rest: Rest = field(default_factory=Rest)
    rate: SharedRate | None = None
    """Its policy's, or the pace that it has taught."""
    in_flight: int = 0
    failures: int = 0
    answered_at: float = -_ANSWERS_SECONDS
    waiting: deque["asyncio.Future[None]"] = field(default_factory=deque)


class Limits:
    """The places for requests, and the circuit of each target.

    A target begins with a few places and gets one more with each answer; a request without an answer halves
    them. The last quarter of all places goes only to targets that have few, or that answer: however many
    accept and hang, others get places. A target that says it is overloaded rests, and then gets requests at a
    pace that all workers share: see `model/pace.py`. A circuit that an earlier call left open lets one record
    through, the probe, and the others wait for what becomes of it.
    """

    def __init__(
        self,
        settings: Settings,
        suspects: Collection[str] = (),
        rests: Mapping[str, float] | None = None,
        memory: Memory | None = None,
        until: float = math.inf,
        policy_of: Callable[[str], Policy] = lambda _: USUAL,
        rates: Rates | None = None,
    ):
        """`suspects` are the targets whose circuits were open at the end of an earlier call.

        `rests` are the seconds for which targets still rest; `memory` is what earlier calls have learnt of
        how much targets take, and this one adds to it. `until` (monotonic seconds) ends the call's sending:
        then nobody waits for a pace any more. `policy_of` tells a target's policy.
        """
        self._policy_of = policy_of
        self._rates = rates or Rates()
        self._until = until
        self._free = settings.concurrency
        self._most = settings.concurrency_per_target
        self._few = min(self._most, max(1, settings.concurrency // _FEW))
        self._reserve = settings.concurrency // _RESERVE
        self._longest_rest = settings.retry_backoff[1]
        self._memory = memory or Memory()
        self._targets: dict[str, _Target] = {}
        self._crowded: dict[str, None] = {}  # targets for which somebody waits, in their turns
        self._alarm: asyncio.TimerHandle | None = None
        self._are_paced = bool(self._memory.paced)  # some targets
        self._suspects = set(suspects)
        self._probes: dict[str, asyncio.Future[None]] = {}
        self.connected: set[str] = set()
        self.hear_of(rests or {})

    def place(self, target: str) -> "_Place":
        """Wait for a place to send to `target`, by `async with`; Skipped if it rests or does not connect."""
        return _Place(self, target)

    async def enter(self, target: str) -> None:
        """Take a place as soon as there is one; `leave` gives it back. Raises Skipped as `place` does."""
        if target in self._suspects:
            await self._probed(target)
        else:
            await self._taken(target)
        if self.is_unavailable(target):
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
        except BaseException:  # nothing is sent, so nothing is known
            del self._probes[target]
            probe.set_result(None)
            raise

    async def _taken(self, name: str) -> None:
        target = self._of(name)
        if _is_put_off(target):
            raise Skipped
        if not target.waiting and self._may_have(target):
            self._give(target)
            return
        turn = asyncio.get_running_loop().create_future()
        target.waiting.append(turn)
        self._crowded.setdefault(name)
        self._set_alarm()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():  # it was given one meanwhile
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
        if answer.overloaded:
            known.window = max(1, known.window // 2)
            self._overloaded(target, known, answer)
        elif answer.sent == "yes":
            known.answered_at = asyncio.get_running_loop().time()
            known.window = min(known.most, known.window + 1)
            known.rest.accepted()
        elif answer.sent == "unknown":
            known.window = max(self._few, known.window // 2)
        self._memory.windows[target] = known.window
        if answer.connected:
            known.failures = 0
            self.connected.add(target)
        else:
            known.failures += 1
        if known.rest.seconds > _PATIENCE_SECONDS:
            self._send_away(known)
        self._serve()

    def _overloaded(self, name: str, target: _Target, answer: Answer) -> None:
        refusal = Refusal(target.rest.taken, answer.retry_after, self._longest_rest, target.rest.has_accepted)
        self._are_paced = True
        if not target.rest.overloaded(answer.retry_after, self._longest_rest):
            return
        if target.rate is not None:
            target.rate.forget()
        self._rates.slow_down(name, refusal, self.hear_of)
        if target.rate is None:
            target.rate = self._rates.paced(name)
            self._memory.paced.add(name)

    def _send_away(self, target: _Target) -> None:
        """Let nobody wait for a target that rests for long."""
        while target.waiting:
            turn = target.waiting.popleft()
            if not turn.done():
                turn.set_exception(Skipped())

    def hear_of(self, rests: Mapping[str, float]) -> None:
        """Let targets rest for so many seconds, as other workers were told."""
        for name, seconds in rests.items():
            target = self._of(name)
            target.rest.extend(seconds)
            self._are_paced = True
            if target.rest.seconds > _PATIENCE_SECONDS:
                self._send_away(target)
        self._set_alarm()

    def adapt(self) -> None:
        """Take the policies as they are now."""
        for name, target in self._targets.items():
            policy = self._policy_of(name)
            target.most = policy.concurrency or self._most
            target.window = min(target.window, target.most)
            target.rate = self._rate_of(name, policy, target.rate)
            self._are_paced = self._are_paced or target.rate is not None
        self._serve()

    def rest(self, target: str) -> float:
        """Return for how many seconds a target rests."""
        known = self._targets.get(target)
        return 0.0 if known is None else known.rest.seconds

    def rests(self) -> dict[str, float]:
        """Return the targets that rest, and for how many seconds."""
        return {name: target.rest.seconds for name, target in self._targets.items() if target.rest.seconds}

    def unavailable(self) -> list[str]:
        """Return the targets that get nothing now: they rest for long, or their circuits are open."""
        return [target for target in self._targets if self.is_unavailable(target)]

    def is_unavailable(self, target: str) -> bool:
        """Tell whether a target gets nothing now."""
        known = self._targets.get(target)
        return known is not None and (self.is_open(target) or _is_put_off(known))

    def open_circuits(self) -> list[str]:
        """Return the targets that get nothing more in this call, since they don't connect."""
        return [target for target in self._targets if self.is_open(target)]

    def is_open(self, target: str) -> bool:
        """Tell whether a target gets nothing more in this call, since it doesn't connect."""
        known = self._targets.get(target)
        return known is not None and known.failures >= _CONNECTION_FAILURES

    def _of(self, name: str) -> _Target:
        target = self._targets.get(name)
        if target is None:
            known = self._memory.windows.get(name, self._few)
            policy = self._policy_of(name)
            most, rate = policy.concurrency or self._most, self._rate_of(name, policy, None)
            target = self._targets[name] = _Target(max(1, min(most, known)), most, rate=rate)
            self._are_paced = self._are_paced or rate is not None
        return target

    def _rate_of(self, name: str, policy: Policy, known: SharedRate | None) -> SharedRate | None:
        """Return the rate of a target: its policy's, or else the pace that it has taught, if any."""
        rate = self._rates.of(policy)
        if rate is not None or name not in self._memory.paced:
            return rate
        is_paced = known is not None and known.policy is None
        return known if is_paced else self._rates.paced(name)

    def _may_have(self, target: _Target) -> bool:
        if not self._free or target.in_flight >= target.window or self._wait(target):
            return False
        if self._free > self._reserve or target.in_flight < self._few:
            return True
        return asyncio.get_running_loop().time() - target.answered_at < _ANSWERS_SECONDS

    def _wait(self, target: _Target) -> float:
        """Return the seconds until a target's pace allows the next request, or until the sending ends."""
        wait = target.rest.seconds
        if target.rate is not None and not wait:
            target.rate.want(max(1, len(target.waiting)), self._look_again)
            wait = target.rate.wait
        return max(0.0, min(wait, self._until - time.monotonic())) if wait else 0.0

    def _give(self, target: _Target) -> None:
        target.in_flight += 1
        if target.rate is not None:
            target.rate.sent()
        self._free -= 1

    def _look_again(self) -> None:
        """Serve those that wait, once more of a rate was reserved, or none is to be had for long."""
        now = time.monotonic()
        for name, target in self._targets.items():
            rate = target.rate
            if rate is not None and rate.is_over:
                target.rate = None
                self._memory.paced.discard(name)
            elif rate is not None and rate.rests_until > now:
                target.rest.extend(rate.rests_until - now)
            if _is_put_off(target):
                self._send_away(target)
        self._serve()

    def _set_alarm(self) -> None:
        """Look again when the first of those that wait for time, and not for a place, may be sent."""
        if not self._are_paced:
            return
        waits = [wait for name in self._crowded if (wait := self._wait(self._targets[name]))]
        if min(waits, default=math.inf) < math.inf:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = asyncio.get_running_loop().call_later(min(waits), self._serve)

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
        self._set_alarm()

    def _end_probe(self, target: str, probe: "asyncio.Future[None]") -> None:
        self._suspects.discard(target)
        if target not in self.connected:
            self._of(target).failures = _CONNECTION_FAILURES
        if not probe.done():
            probe.set_result(None)


def _is_put_off(target: _Target) -> bool:
    """Tell whether nobody is to wait for a target: it rests for long, or its rate is used up."""
    return target.rest.seconds > _PATIENCE_SECONDS or (target.rate is not None and target.rate.closed > 0)


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
