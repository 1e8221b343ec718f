"""A target that says what it is told to, byte by byte, and keeps account of what it was sent."""

import asyncio
import re
import socket
import struct
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto


class Do(Enum):
    """What a target can do but send."""

    CLOSE = auto()
    RESET = auto()


Step = bytes | float | Do
"""Bytes go out in a packet of their own; a number waits so many seconds."""

CURL = "/curl"
"""Before a path: the connection is closed after the answer."""


class RawTarget:
    """Answers a path that is in `scripts` by its steps, any other with 299 and the path."""

    def __init__(self, scripts: Mapping[str, Sequence[Step]], idle_seconds: float = 60.0):
        """After `idle_seconds` without another request a connection is closed."""
        self.received: Counter[str] = Counter()
        self.connections = 0
        self.played: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """Set when the steps of a path are done."""
        self.url = ""
        self._scripts = scripts
        self._idle_seconds = idle_seconds

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                path = await asyncio.wait_for(_request(reader), self._idle_seconds)
                self.received[path] += 1
                try:
                    is_open = await self._play(path, writer)
                finally:
                    self.played[path].set()
                if not is_open:
                    break
            await asyncio.wait_for(reader.read(), self._idle_seconds)
        writer.transport.abort()

    async def _play(self, path: str, writer: asyncio.StreamWriter) -> bool:
        """Carry out the steps; tell whether the connection is still open."""
        for step in self._scripts.get(path.removeprefix(CURL), [good(path)]):
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif step is Do.RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.close()
                await writer.wait_closed()
                raise ConnectionResetError
            else:
                writer.write_eof()
                return False
        if path.startswith(CURL):
            writer.write_eof()
            return False
        return True


def good(path: str) -> bytes:
    """Return the answer to any other path."""
    return f"HTTP/1.1 299 Good\r\nX-Path: {path}\r\nContent-Length: 2\r\n\r\nok".encode()


async def _request(reader: asyncio.StreamReader) -> str:
    """Read a request; return its path."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if length:
        await reader.readexactly(int(length[1]))
    return head.split(b" ")[1].decode()


@asynccontextmanager
async def running(
    scripts: Mapping[str, Sequence[Step]], idle_seconds: float = 60.0
) -> AsyncIterator[RawTarget]:
    """Run a target on this event loop."""
    target = RawTarget(scripts, idle_seconds)
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0, backlog=1024)
    target.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield target
    finally:
        server.close()
