"""A target that says what it is told to, byte by byte, and keeps account of what it was sent."""

import asyncio
import itertools
import re
import socket
import ssl
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

    def __init__(self, scripts: Mapping[str, Sequence[Step]], patience: float | None = None):
        """A connection is closed on which an answer to a script was not `read` within `patience` seconds."""
        self.received: Counter[str] = Counter()
        self.connections: dict[str, int] = {}
        """Which one the last request for a path came on."""
        self.began: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """Set when a request for a path was read."""
        self.played: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """Set when the steps of a path are done."""
        self.read: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """To be set when the answer to a path was read."""
        self.url = ""
        self._scripts = scripts
        self._patience = patience
        self._numbers = itertools.count()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        number = next(self._numbers)
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            is_open = True
            while is_open:
                path = await _request(reader)
                self.received[path] += 1
                self.connections[path] = number
                self.began[path].set()
                try:
                    is_open = await self._play(path, writer)
                finally:
                    self.played[path].set()
                if is_open and self._patience is not None and path in self._scripts:
                    await asyncio.wait_for(self.read[path].wait(), self._patience)
            await asyncio.wait_for(reader.read(), 60.0)
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
    scripts: Mapping[str, Sequence[Step]], patience: float | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawTarget]:
    """Run a target on this event loop."""
    target = RawTarget(scripts, patience)
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0, backlog=1024, ssl=tls)
    target.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield target
    finally:
        server.close()
