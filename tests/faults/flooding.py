"""Targets that never come to an end, and a client that sends to them, as processes of their own.

`python -m tests.faults.flooding serve` prints its URL; `send FLOODING GOOD` prints what became of requests
to both, as JSON.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from shared.model.answer import HttpRequest
from shared.outbound.client import Client
from tests.contract.clients import HERE, SETTINGS, terms

FLOODS = {  # by path: how an answer begins, how it goes on, how many connections of it there are
    "/informational": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n", 32),
    "/head": (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 1000 + b"\r\n", 128),
    "/line": (b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 1000, 16),
    "/chunk-line": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"a" * 1000, 16),
    "/body": (b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 1000, 16),
}
_GOOD = 640  # requests to the target that is well
_AT_ONCE = 32


class _Flood(asyncio.Protocol):
    """Answers with as much as is taken."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._paused = self._ended = False

    def data_received(self, data: bytes) -> None:
        start, self._piece, _ = FLOODS[data.split(b" ", 2)[1].decode()]
        self._transport.write(start)
        self._go_on()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True

    def _go_on(self) -> None:
        if not self._paused and not self._ended:
            self._transport.write(10 * self._piece)
            asyncio.get_running_loop().call_soon(self._go_on)


async def serve() -> None:
    """Serve until stopped."""
    server = await asyncio.get_running_loop().create_server(_Flood, HERE, 0, backlog=1024)
    print(f"http://{HERE}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def send(flooding: str, good: str) -> dict[str, Any]:
    """Send to the good target alone, then beside all floods."""
    async with Client(replace(SETTINGS, concurrency=1000)) as client:
        await _good(client, good)
        usual = await _good(client, good)
        floods = [
            asyncio.create_task(client.deliver(HttpRequest("POST", flooding + path, [], b"{}"), terms()))
            for path, (_, _, connections) in FLOODS.items()
            for _ in range(connections)
        ]
        beside = await _good(client, good)
        ended = Counter(f"{answer.code} {answer.reason}" for answer in await asyncio.gather(*floods))
    return {"usual": usual, "beside": beside, "ended": ended, "megabytes": _most_memory()}


def _most_memory() -> float:
    """Return the most megabytes that this process has had; getrusage counts its parent's, too."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    return int(peak[1]) / 1024


async def _good(client: Client, url: str) -> float:
    """Have all requests to the good target answered; return the seconds that it took."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with at_once:
            answer = await client.deliver(HttpRequest("POST", url, [], b"{}"), terms())
            assert answer.accepted, answer

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(_GOOD)))
    return time.perf_counter() - started


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve())
    else:
        print(json.dumps(asyncio.run(send(*sys.argv[2:]))))
