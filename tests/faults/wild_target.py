"""A target on a raw socket that does to connections what a well-made server never does, and keeps account."""

import asyncio
import contextlib
import random
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.checker import Received

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
_SURPLUS = (
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\nhello",
)
_SHARE = 0.3  # of requests, on which a connection is closed
_LATE_SECONDS = (0.0, 0.002, 0.02)  # after which what nobody asked for comes
_FLOOD = 16 * 1024
_REQUEST = re.compile(rb"^\S+ (\S+) .*?\r\nidempotency-key: *(\S+)\r\n", re.IGNORECASE | re.DOTALL)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Closed(Exception):
    """The connection is over."""


@dataclass
class Connection:
    """One connection of a client."""

    socket: socket.socket
    pending: bytes = b""

    async def is_readable(self) -> None:
        """Wait until the client has sent something, and read nothing of it."""
        if self.pending:
            return
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.socket, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self.socket)

    async def request(self) -> tuple[str, str]:
        """Read a request; its path and Idempotency-Key."""
        while b"\r\n\r\n" not in self.pending:
            await self._read_more()
        head, _, body = self.pending.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        left = int(length[1]) if length else 0
        while len(body) < left:
            self.pending = b""
            await self._read_more()
            body += self.pending
        self.pending = body[left:]
        found = _REQUEST.match(head + b"\r\n")
        assert found, head
        return found[1].decode(), found[2].decode()

    async def send(self, data: bytes) -> None:
        """Send bytes, in packets of their own."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def _read_more(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self.socket, 65536)
        if not data:
            raise Closed
        self.pending += data


Behaviour = Callable[["WildTarget", Connection, str], Awaitable[None]]
"""Answers a request on a connection whose Idempotency-Key is given; Closed ends the connection."""


class WildTarget:
    """Answers as the first segment of the path says: the names of the functions below."""

    def __init__(self, listener: socket.socket, seed: int = 20261126):
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.dice = random.Random(seed)
        self.unread = 0.0
        """The share of requests before which a connection is closed."""
        self.open = 0
        self._listener = listener
        self._received: list[Received] = []

    def received(self) -> list[Received]:
        """Return the requests that were read, in the order in which they began."""
        return sorted(self._received, key=lambda one: one.began)

    def note(self, identity: str, began: float, status: int | None) -> None:
        """Keep account of a request, before it is answered."""
        self._received.append(Received(identity, began, time.monotonic(), status))

    async def run(self) -> None:
        """Accept connections until cancelled."""
        loop, serving = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        try:
            while True:
                accepted, _ = await loop.sock_accept(self._listener)
                task = asyncio.create_task(self._serve(accepted))
                serving.add(task)
                task.add_done_callback(serving.discard)
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, accepted: socket.socket) -> None:
        self.open += 1
        try:
            with contextlib.suppress(Closed, OSError), accepted:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = Connection(accepted)
                while True:
                    await connection.is_readable()
                    if self.dice.random() < self.unread:
                        raise Closed  # with something unread: the client's system is told so by a reset
                    path, identity = await connection.request()
                    await BEHAVIOURS[path.split("/")[1]](self, connection, identity)
        finally:
            self.open -= 1


async def _ok(target: WildTarget, connection: Connection, identity: str) -> None:
    target.note(identity, time.monotonic(), 200)
    await connection.send(_OK)


async def _slow(target: WildTarget, connection: Connection, identity: str) -> None:
    began = time.monotonic()
    await asyncio.sleep(0.05)
    target.note(identity, began, 200)
    await connection.send(_OK)


async def _closing_after(target: WildTarget, connection: Connection, identity: str) -> None:
    await _ok(target, connection, identity)
    if target.dice.random() < _SHARE:
        await asyncio.sleep(target.dice.choice(_LATE_SECONDS))
        raise Closed


async def _closing_before(target: WildTarget, connection: Connection, identity: str) -> None:
    target.unread = _SHARE
    await _ok(target, connection, identity)


async def _closing_amid(target: WildTarget, connection: Connection, identity: str) -> None:
    if target.dice.random() < _SHARE:
        target.note(identity, time.monotonic(), None)
        raise Closed
    await _ok(target, connection, identity)


async def _surplus(target: WildTarget, connection: Connection, identity: str) -> None:
    target.note(identity, time.monotonic(), 204)
    head, end, rest = target.dice.choice(_SURPLUS).partition(b"\r\n\r\n")
    await connection.send(head + end)
    await asyncio.sleep(target.dice.choice(_LATE_SECONDS))
    await connection.send(rest)


async def _twice(target: WildTarget, connection: Connection, identity: str) -> None:
    target.note(identity, time.monotonic(), 201)
    await connection.send(_CREATED)
    await asyncio.sleep(target.dice.choice(_LATE_SECONDS))
    await connection.send(_OK)


async def _informational(target: WildTarget, connection: Connection, identity: str) -> None:
    target.note(identity, time.monotonic(), None)
    while True:
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 400)


async def _head(target: WildTarget, connection: Connection, identity: str) -> None:
    target.note(identity, time.monotonic(), None)
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await connection.send(b"X-A: %s\r\n" % (b"a" * _FLOOD))


BEHAVIOURS: dict[str, Behaviour] = {
    "ok": _ok,
    "slow": _slow,
    "closing-after": _closing_after,
    "closing-before": _closing_before,
    "closing-amid": _closing_amid,
    "surplus": _surplus,
    "twice": _twice,
    "informational": _informational,
    "head": _head,
}


@contextmanager
def running(number: int) -> Iterator[list[WildTarget]]:
    """Run targets, which share a thread."""
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(number)]
    for listener in listeners:
        listener.setblocking(False)
    targets = [WildTarget(listener) for listener in listeners]
    loop = asyncio.new_event_loop()

    async def run() -> None:
        await asyncio.gather(*(target.run() for target in targets))

    task = loop.create_task(run())

    def serve() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield targets
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
        for listener in listeners:
            listener.close()
