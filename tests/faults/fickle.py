"""Targets that close connections at random, or say more than their answer; and what they have read."""

import asyncio
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from tests.faults.checker import Received

HERE = "127.0.0.1"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Ledger:
    """What a target has read, by the record's id or the path; and what it has done."""

    url: str = ""
    read: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    requests: list[Received] = field(default_factory=list)
    closed: Counter[str] = field(default_factory=Counter)
    made: random.Random = field(default_factory=lambda: random.Random(7))

    def note(self, name: str, status: int | None) -> None:
        """Keep account of a request, before it is answered with this status."""
        now = time.monotonic()
        self.read[name] += 1
        self.accepted[name] += status is not None and status < 300
        self.requests.append(Received(name, now, now, status))

    def received(self) -> list[Received]:
        """Return what was read, in that order."""
        return list(self.requests)


class _Target(asyncio.Protocol):
    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._request += data
        head, end, body = self._request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if not end or len(body) < int(length[1] if length else b"0"):
            return
        self._request = b""
        key = re.search(rb"(?i)\r\nidempotency-key: ([^\r]+)", head)
        self.answer((key[1] if key else head.split(b" ", 2)[1]).decode())

    def answer(self, name: str) -> None:
        raise NotImplementedError

    def say(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


class Fickle(_Target):
    """Answers most requests, and closes before it reads, after it has read, or after it has answered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.ledger.made.random() < 0.02:
            self._close("before it reads, at first")

    def answer(self, name: str) -> None:
        chance = self.ledger.made.random()
        if chance < 0.02:
            self.ledger.note(name, None)
            self._close("after it has read")
            return
        self.ledger.note(name, 200)
        self.say(CUT if chance < 0.03 else ANSWER)
        if chance < 0.05:
            self._close("after its answer")
        elif chance < 0.08:
            self._close("before it reads", self.ledger.made.uniform(0, 0.01))

    def _close(self, when: str, seconds: float = 0.0) -> None:
        """Close at once with all that is unread, or read no more and close after a while."""
        self.ledger.closed[when] += 1
        if not seconds:
            (self.transport.close if self.ledger.made.random() < 0.5 else self.transport.abort)()
            return
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self.transport.abort)


class Surplus(_Target):
    """Answers 204, and has a body nevertheless, at once or a little later."""

    def answer(self, name: str) -> None:
        self.ledger.note(name, 204)
        self.say(NO_CONTENT)
        asyncio.get_running_loop().call_later(self.ledger.made.choice((0, 0.002)), self.say, b"hello")


class Twice(_Target):
    """Answers twice, the second time at once or a little later; often it does not accept what it was sent."""

    def answer(self, name: str) -> None:
        is_refused = self.ledger.made.random() < 0.3
        self.ledger.note(name, 503 if is_refused else 200)
        self.say(REFUSAL if is_refused else ANSWER)
        seconds = self.ledger.made.choice((0, 0.002, 0.05))
        asyncio.get_running_loop().call_later(seconds, self.say, ANSWER)


@contextmanager
def serving(protocol: Callable[[Ledger], asyncio.Protocol], ledger: Ledger) -> Iterator[str]:
    """Serve on a thread until the block ends; gives the URL, which the ledger has from then on, too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = loop.create_server(lambda: protocol(ledger), HERE, 0, backlog=1024)
    server = asyncio.run_coroutine_threadsafe(made, loop).result(60)
    ledger.url = f"http://{HERE}:{server.sockets[0].getsockname()[1]}"
    try:
        yield ledger.url
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        server.close()
        loop.close()
