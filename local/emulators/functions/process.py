"""One process of a function: the `fdk` command, serving one call at a time on a unix socket.

The contract is Fn's `http-stream`: the environment says where to listen, the appearance of the socket says
that the process is ready, and a call is `POST /call` (Fn docs, `fn-format.md` and `container-contract.md`).
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from multidict import CIMultiDict

from local.emulators.functions.model import MAX_BODY_BYTES, Function, Headers

CHECKOUT = Path(__file__).resolve().parents[3]
READY_SECONDS = 30.0
"""How long a process may take to open its socket. Fn allows 5 s, on machines that do nothing else."""
_POLL_SECONDS = 0.002
_STOP_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h

# Loaded here because between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Answer:
    """What a process sent back: the FDK's status (200, 502 or 504), headers, body."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


class StartFailed(Exception):
    """The process ended before it was ready."""


class Unreachable(Exception):
    """The process takes no connection: it died since its last call, and never got this one."""


class Broken(Exception):
    """The process died, or answered with something that is not HTTP, while it had the call."""


class AnswerTooLarge(Exception):
    """The function's answer is over `MAX_BODY_BYTES`."""


class FunctionProcess:
    """A running process of a function."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path):
        self._process = process
        self._folder = folder
        # One connection a call: the FDK busies a processor with any connection that idles for 75 s, and a
        # refused connection tells a dead process from one that died with the call. It costs about 0.1 ms.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(folder / "lsnr.sock"), force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
            auto_decompress=False,
        )

    @classmethod
    async def start(
        cls, function: Function, environment: Mapping[str, str], sockets: Path, log: Path
    ) -> "FunctionProcess":
        """Start a process and wait until it is ready.

        Its socket gets a folder of its own in `sockets`; its output is appended to `log`.

        Raises:
            StartFailed: it ended at once; its log says why.
            TimeoutError: no socket within `READY_SECONDS`.
        """
        folder = Path(tempfile.mkdtemp(dir=sockets))
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                Path(sys.executable).with_name("fdk"),
                function.folder / "func.py",
                "handler",
                env=_environment(function, environment, folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_dying_with_parent(),
            )
        started = cls(process, folder)
        try:
            async with asyncio.timeout(READY_SECONDS):
                await started._ready()
        except BaseException:
            await started.stop(grace=0)
            raise
        return started

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not been seen to end."""
        return self._process.returncode is None

    async def exchange(self, headers: Headers, body: bytes) -> Answer:
        """Hand the process one call and wait for its answer.

        Raises:
            Unreachable: the call has not reached the process.
            Broken: the process is lost, with the call in it.
            AnswerTooLarge: the answer was not read to its end.
        """
        try:
            async with self._session.post(
                "http://localhost/call", data=body, headers=list(headers)
            ) as answer:
                return Answer(answer.status, CIMultiDict(answer.headers), await _read(answer.content))
        except aiohttp.ClientConnectorError as error:
            raise Unreachable from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Broken from error

    async def stop(self, grace: float = _STOP_SECONDS) -> None:
        """End the process, with SIGKILL if it is still there after `grace` seconds, and remove its socket."""
        await self._session.close()
        if grace > 0:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace)
        self._signal(signal.SIGKILL)
        await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _ready(self) -> None:
        socket = self._folder / "lsnr.sock"
        while not socket.exists():
            if not self.alive:
                raise StartFailed
            await asyncio.sleep(_POLL_SECONDS)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise AnswerTooLarge
    return bytes(body)


_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "DATASYNC_SODA_TRACE")


def _environment(function: Function, common: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What a container would see: a bare system, the configuration, and the platform's own last."""
    system = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **system,
        "PYTHONPATH": str(CHECKOUT),
        **common,
        **function.config,
        "FN_FORMAT": "http-stream",
        "FN_LISTENER": f"unix:{folder / 'lsnr.sock'}",
        "FN_APP_ID": "ocid1.fnapp.oc1.local.datasync",
        "FN_APP_NAME": "datasync",
        "FN_FN_ID": function.function_id,
        "FN_FN_NAME": function.name,
        "FN_MEMORY": str(function.memory_mb),
    }


def _dying_with_parent() -> Callable[[], None]:
    """Return what a child runs before `fdk` starts: the kernel kills it when the thread that started it ends.

    Linux only. Elsewhere a process outlives a runner that was killed with SIGKILL.
    """
    parent = os.getpid()

    def arrange() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it ended before the line above
                os._exit(1)

    return arrange
