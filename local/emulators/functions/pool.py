"""The processes of one function: started on demand up to a bound, one call each, a fair queue before them."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.emulators.functions.model import Function, Reply, problem
from local.emulators.functions.process import (
    Answer,
    AnswerTooLarge,
    Broken,
    FunctionProcess,
    StartFailed,
    Unreachable,
)

_log = logging.getLogger(__name__)

WAITING_PER_PROCESS = 64
"""Calls that may wait for each process. At the tens of milliseconds of an ordinary call that is a few
seconds, well within a time-out; whoever comes later is served sooner by coming back than by waiting."""

FAILED = problem(502, "FunctionInvokeExecutionFailed", "The function failed; its log says why.")
TIMED_OUT = problem(504, "FunctionInvokeTimeout", "The function did not finish within its time-out.")
_ANSWER_TOO_LARGE = problem(502, "FunctionInvokeResponseBodyTooLarge", "The function's answer is over 6 MB.")
_START_FAILED = problem(
    502, "FunctionInvokeContainerInitFail", "The function's process did not start; its log says why."
)
_START_TIMED_OUT = problem(
    504, "FunctionInvokeContainerInitTimeout", "The function's process was not ready in time; see its log."
)
_BUSY = problem(
    429,
    "TooManyRequests",
    "All of the function's processes are busy and its queue is full; repeat the call later.",
    [("Retry-After", "1")],
)


@dataclass(frozen=True)
class Call:
    """One call: what the function gets, how long it may take, and what its answer means to the caller."""

    headers: Sequence[tuple[str, str]]
    body: bytes
    timeout: float
    read: Callable[[Answer], Reply]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class CallFailed(Exception):
    """The call has no answer of the function's; `reply` is the platform's."""

    def __init__(self, reply: Reply):
        super().__init__(reply.status)
        self.reply = reply


class Pool:
    """A function's processes and the calls that have been handed in."""

    def __init__(self, function: Function, environment: Mapping[str, str], sockets: Path, log: Path):
        self.function = function
        self._environment = environment
        self._sockets = sockets
        self._log = log
        # Whoever holds a place takes an idle process or, if none is idle, starts one: since a process is
        # either idle or with the holder of a place, there are never more of them than places.
        self._places = asyncio.Semaphore(function.max_processes)
        self._processes: set[FunctionProcess] = set()
        self._idle: list[FunctionProcess] = []
        self._calls: set[asyncio.Task[Reply]] = set()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes, busy or idle."""
        return [process.pid for process in self._processes]

    def submit(self, call: Call) -> asyncio.Task[Reply]:
        """Take a call, to be run in its turn whether or not somebody waits for the reply.

        Raises:
            CallFailed: too many are waiting.
        """
        if len(self._calls) >= self.function.max_processes * (1 + WAITING_PER_PROCESS):
            raise CallFailed(_BUSY)
        task = asyncio.create_task(self._run(call))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task

    async def stop(self) -> None:
        """Cancel the calls and end the processes."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await asyncio.gather(*(process.stop() for process in self._processes))
        self._processes.clear()
        self._idle.clear()

    async def _run(self, call: Call) -> Reply:
        try:
            await self._wait_for_place(call)
            try:
                return call.read(await self._answer(call))
            finally:
                self._places.release()
        except CallFailed as failure:
            _log.warning(
                "Call %s of %s failed with status %d", call.id, self.function.name, failure.reply.status
            )
            return failure.reply

    async def _wait_for_place(self, call: Call) -> None:
        try:
            async with asyncio.timeout(call.timeout):
                await self._places.acquire()
        except TimeoutError:
            raise CallFailed(_BUSY) from None

    async def _answer(self, call: Call) -> Answer:
        for _ in range(self.function.max_processes + 1):
            try:
                return await self._exchange(await self._take(), call)
            except Unreachable:  # it died while idle, and so may the others have
                continue
        raise CallFailed(FAILED)

    async def _take(self) -> FunctionProcess:
        """An idle process, the one used last first, or a new one."""
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            await self._discard(process)
        try:
            process = await FunctionProcess.start(self.function, self._environment, self._sockets, self._log)
        except StartFailed:
            raise CallFailed(_START_FAILED) from None
        except TimeoutError:
            raise CallFailed(_START_TIMED_OUT) from None
        self._processes.add(process)
        return process

    async def _exchange(self, process: FunctionProcess, call: Call) -> Answer:
        """Run a call in a process; a process that does not answer as it should is ended."""
        # Whole seconds, as the platform sends it, and so up to a second before the end that is enforced.
        deadline = datetime.now(UTC) + timedelta(seconds=call.timeout)
        headers = [
            *call.headers,
            ("Fn-Call-Id", call.id),
            ("Fn-Deadline", deadline.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ]
        answered = False
        try:
            async with asyncio.timeout(call.timeout):
                answer = await process.exchange(headers, call.body)
            answered = True
        except TimeoutError:
            raise CallFailed(TIMED_OUT) from None
        except Broken:
            raise CallFailed(FAILED) from None
        except AnswerTooLarge:
            raise CallFailed(_ANSWER_TOO_LARGE) from None
        finally:
            if answered:
                self._idle.append(process)
            else:
                await self._discard(process)
        return answer

    async def _discard(self, process: FunctionProcess) -> None:
        await process.stop(grace=0)
        self._processes.discard(process)
