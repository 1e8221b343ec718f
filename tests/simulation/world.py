"""Virtual time, and processes that are paused or killed between any two steps.

An event loop whose time jumps to the next timer. Blocking calls run on greenlets instead of threads: where a
real one waits for the network, it leaves the loop to others until its time has come. Everything that belongs
to a process carries it in its context; a step of a dead process is never run, that of a paused one later.
"""

import asyncio
import contextvars
import heapq
import os
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")

EPOCH = datetime(2026, 11, 23, 12, tzinfo=UTC)
_real_monotonic, _real_time, _real_sleep = time.monotonic, time.time, time.sleep


@dataclass
class Process:
    """A process of a function, on a machine whose clocks are its own."""

    name: str
    wall_offset: float = 0.0
    monotonic_offset: float = 0.0
    drift: float = 1.0
    dies_at: int | None = None
    """The step before which it is killed."""
    pauses_at: int | None = None
    pause_seconds: float = 0.0
    is_dead: bool = False
    is_paused: bool = False
    steps: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    """What a module would keep for the whole process, by name."""
    deferred: list[asyncio.Handle] = field(default_factory=list)
    death: asyncio.Event = field(default_factory=asyncio.Event)

    def own(self, name: str, make: Callable[[], T]) -> T:
        """Return what this process has under a name, made when it is first asked for."""
        if name not in self.state:
            self.state[name] = make()
        found: T = self.state[name]
        return found


CURRENT: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class World(asyncio.BaseEventLoop):
    """The loop, and what happened in it."""

    def __init__(self, seed: int, *, is_traced: bool = False) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.now = 0.0
        self.trace: list[str] = []
        self.is_traced = is_traced
        self.graveyard: list[Any] = []

    def run(self, play: Coroutine[Any, Any, T]) -> T:
        """Run until a play has ended: the only one of this process."""
        global _running
        _running = self
        try:
            return self.run_until_complete(play)
        finally:
            _running = None

    def time(self) -> float:
        """The loop's time: seconds since the world began."""
        return self.now

    def wall(self) -> datetime:
        """The right time, which is the database's."""
        return EPOCH + timedelta(seconds=self.now)

    def note(self, text: str) -> None:
        """Write a line into the trace."""
        if self.is_traced:
            process = CURRENT.get()
            self.trace.append(f"{self.now:10.3f} {process.name if process else '-':12} {text}")

    def kill(self, process: Process) -> None:
        """End a process without any clean-up."""
        if not process.is_dead:
            self.note(f"kills {process.name} after {process.steps} steps")
            process.is_dead = True
            process.death.set()

    def pause(self, process: Process, seconds: float) -> None:
        """Stop a process for a while, as a frozen container is."""
        if not process.is_paused and not process.is_dead:
            self.note(f"pauses {process.name} for {seconds:.1f} s")
            process.is_paused = True
            self.call_later(seconds, self._resume, process, context=contextvars.Context())

    def _resume(self, process: Process) -> None:
        self.note(f"resumes {process.name}")
        process.is_paused = False
        self._ready.extend(process.deferred)  # what BaseEventLoop runs next
        process.deferred.clear()

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled  # BaseEventLoop's
        if not ready:
            if not timers:
                raise RuntimeError("nothing will ever happen again")
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer._cancelled:
                self.now = max(self.now, timer._when)
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled and self._is_due(handle):
                handle._run()

    def _is_due(self, handle: Any) -> bool:
        process = handle._context.get(CURRENT)
        if process is None:
            return True
        process.steps += 1
        if process.steps == process.dies_at:
            self.kill(process)
        if process.steps == process.pauses_at:
            self.pause(process, process.pause_seconds)
        if process.is_dead:
            self.graveyard.append(handle)  # collected as garbage, it would clean up after all
        elif process.is_paused:
            process.deferred.append(handle)
        return not (process.is_dead or process.is_paused)

    def _write_to_self(self) -> None:
        """Nobody waits in a selector."""

    def _process_events(self, event_list: Any) -> None:
        """There are none but timers."""


_running: World | None = None


def world() -> World | None:
    """Return the world that is running, if one is."""
    return _running


def is_blocking() -> bool:
    """Tell whether this is a blocking call, which may wait, and not the loop itself."""
    return getcurrent().parent is not None


def sleep(seconds: float) -> None:
    """Wait, in a blocking call."""
    running = world()
    if running is None:
        _real_sleep(seconds)
        return
    current = getcurrent()
    assert current.parent is not None, "the loop itself must never wait"
    running.call_later(seconds, current.switch)
    current.parent.switch()


def monotonic() -> float:
    """The clock of the process that asks."""
    running = world()
    if running is None:
        return _real_monotonic()
    process = CURRENT.get()
    return running.now * process.drift + process.monotonic_offset if process else running.now


def wall() -> datetime:
    """The time as the machine of the process that asks has it."""
    running = world()
    if running is None:
        return datetime.fromtimestamp(_real_time(), UTC)
    process = CURRENT.get()
    return running.wall() + timedelta(seconds=process.wall_offset if process else 0.0)


class OwnTime(datetime):
    """`datetime` on the machine of the process that asks."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # a plain datetime does
        return wall() if tz else wall().replace(tzinfo=None)


class DatabaseTime(datetime):
    """`datetime` on the database's machine."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        running = world()
        assert running is not None
        return running.wall()


class BlockingCalls:
    """Takes the place of `Threads.run`: as many at once in each process as there are threads."""

    def __init__(self, latency: Callable[[], float]):
        self._latency = latency

    async def run(self, threads: Any, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Await a blocking call on a greenlet; like a thread it goes on if nobody waits any more."""
        loop = asyncio.get_running_loop()
        process = CURRENT.get()
        assert process is not None
        number = threads._threads._max_workers
        gate = process.own(f"threads {id(threads)}", lambda: asyncio.Semaphore(number))
        await gate.acquire()
        done: asyncio.Future[T] = loop.create_future()

        def body() -> None:
            try:
                result = call(*arguments, **options)
            except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)
            finally:
                gate.release()

        thread = greenlet(body)
        thread.gr_context = contextvars.copy_context()
        loop.call_later(self._latency(), thread.switch)
        return await done


def install() -> None:
    """Put virtual time in the place of the real one, before the library is imported."""
    time.monotonic = monotonic
    time.sleep = sleep
    time.time = lambda: wall().timestamp()


def seed_everything(generator: random.Random) -> None:
    """Make everything that is drawn at random the seed's."""
    random.seed(generator.getrandbits(64))
    os.urandom = generator.randbytes
