"""The runner: takes calls for functions by name, and says what a function's answer means to each caller."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local.emulators.functions import headers as translate
from local.emulators.functions.model import MAX_BODY_BYTES, Function, Headers, Reply, problem
from local.emulators.functions.pool import FAILED, TIMED_OUT, Call, CallFailed, Pool
from local.emulators.functions.process import Answer
from local.emulators.private_files import private_folder

_UNKNOWN = problem(404, "NotAuthorizedOrNotFound", "There is no such function.")
_TOO_LARGE = problem(413, "RequestBodyTooLarge", f"A function takes at most {MAX_BODY_BYTES} bytes of body.")
_STOPPING = problem(503, "ServiceUnavailable", "The functions are being stopped.", [("Retry-After", "5")])


class FunctionRunner:
    """Runs functions between `start` and `stop`, or within `async with`.

    `home` gets the functions' logs, `logs/<name>.log`; `environment` is added to every function's.
    """

    def __init__(
        self, functions: Iterable[Function], home: Path, environment: Mapping[str, str] | None = None
    ):
        self._functions = tuple(functions)
        self._logs = home / "logs"
        self._environment = dict(environment or {})
        self._pools: dict[str, Pool] = {}

    async def start(self) -> None:
        """Make ready to take calls; processes start with the first call of each function."""
        private_folder(self._logs)
        # A socket's path has at most 108 bytes on Linux, 104 on macOS, where the default folder is long.
        self._sockets = Path(tempfile.mkdtemp(prefix="fn-", dir="/tmp"))
        self._pools = {
            function.name: Pool(
                function, self._environment, self._sockets, self._logs / f"{function.name}.log"
            )
            for function in self._functions
        }

    async def stop(self) -> None:
        """End every process, and calls in flight with them (503), and remove their sockets."""
        pools = self._pools.values()
        self._pools = {}
        await asyncio.gather(*(pool.stop() for pool in pools))
        shutil.rmtree(self._sockets)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def processes(self, name: str) -> list[int]:
        """The process ids of a function's processes."""
        return self._pools[name].pids

    async def invoke(
        self,
        name_or_id: str,
        body: bytes = b"",
        headers: Headers = (),
        content_type: str = "application/json",
        *,
        detached: bool = False,
    ) -> Reply:
        """Call a function directly, as a scheduler or the Functions service does.

        The status is 200 if the function answered, whatever status it set: nothing carries one here. A
        detached call is answered with 202 at once, and has its own, longer, time-out.
        """
        fields = translate.for_direct_call(content_type, headers)
        try:
            pool = self._pool_for(name_or_id, body)
            function = pool.function
            kind, timeout = (
                ("detached", function.detached_timeout) if detached else ("sync", function.timeout)
            )
            call = Call([*fields, ("Fn-Invoke-Type", kind)], body, timeout, _read_for_invoker)
            task = pool.submit(call)
        except CallFailed as failure:
            return failure.reply
        reply = Reply(202, (), b"") if detached else await _outcome(task)
        return Reply(reply.status, (*reply.headers, ("Fn-Call-Id", call.id)), reply.body)

    async def call_http(self, name_or_id: str, method: str, url: str, headers: Headers, body: bytes) -> Reply:
        """Call a function with an HTTP request, as API Gateway does; `url` is path and query.

        The call runs to its end even if whoever awaits it is cancelled.
        """
        fields = [*translate.for_http_call(method, url, headers), ("Fn-Invoke-Type", "sync")]
        try:
            pool = self._pool_for(name_or_id, body)
            call = Call(fields, body, pool.function.timeout, _read_for_client)
            return await _outcome(pool.submit(call))
        except CallFailed as failure:
            return failure.reply

    def _pool_for(self, name_or_id: str, body: bytes) -> Pool:
        for pool in self._pools.values():
            if name_or_id in (pool.function.name, pool.function.function_id):
                if len(body) > MAX_BODY_BYTES:
                    raise CallFailed(_TOO_LARGE)
                return pool
        raise CallFailed(_UNKNOWN)


async def _outcome(task: asyncio.Task[Reply]) -> Reply:
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            return _STOPPING
        raise


def _read_for_invoker(answer: Answer) -> Reply:
    _check(answer)
    return Reply(200, translate.for_invoker(answer.headers.items()), answer.body)


def _read_for_client(answer: Answer) -> Reply:
    _check(answer)
    status = translate.http_status(answer.headers)
    if status is None:
        raise CallFailed(FAILED)
    return Reply(status, translate.for_client(answer.headers.items()), answer.body)


def _check(answer: Answer) -> None:
    """A status other than 200 is a failure; its body is an exception's text and goes no further."""
    if answer.status == 504:
        raise CallFailed(TIMED_OUT)
    if answer.status != 200:
        raise CallFailed(FAILED)
