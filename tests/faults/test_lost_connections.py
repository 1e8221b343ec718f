"""Connections that a target closes at random: nothing is lost, nothing that was read is sent twice.

`SOAK=200000` makes so many requests.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast

from shared.model.answer import HttpRequest
from shared.outbound.client import Client
from tests.unit.test_client import HERE, SETTINGS

REQUESTS = int(os.environ.get("SOAK", "5000"))
IN_FLIGHT = 128
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"


@dataclass
class Ledger:
    """What a target has read."""

    read: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    made: random.Random = field(default_factory=lambda: random.Random(7))


class Fickle(asyncio.Protocol):
    """Answers most requests, and closes before it reads, after it has read, or after it has answered."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._ledger.made.random() < 0.02:
            self._close("before it reads, at first")

    def data_received(self, data: bytes) -> None:
        self._request += data
        if not self._request.endswith(b"{}"):
            return
        path = self._request.split(b" ", 2)[1].decode()
        self._request = b""
        self._ledger.read[path] += 1
        chance = self._ledger.made.random()
        if chance < 0.02:
            self._close("after it has read")
            return
        self._transport.write(CUT if chance < 0.03 else ANSWER)
        if chance < 0.05:
            self._close("after its answer")
        elif chance < 0.08:
            self._close("before it reads", self._ledger.made.uniform(0, 0.01))

    def _close(self, when: str, seconds: float = 0.0) -> None:
        """Close at once with all that is unread, or read no more and close after a while."""
        self._ledger.closed[when] += 1
        if not seconds:
            (self._transport.close if self._ledger.made.random() < 0.5 else self._transport.abort)()
            return
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._transport.abort)


@asynccontextmanager
async def fickle(ledger: Ledger) -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(lambda: Fickle(ledger), HERE, 0, backlog=1024)
    yield f"http://{HERE}:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_nothing_is_lost_and_nothing_that_was_read_is_sent_twice() -> None:
    ledger, ended = Ledger(), Counter[tuple[str, str]]()
    numbers = iter(range(REQUESTS))

    async def work(client: Client, url: str) -> None:
        for number in numbers:
            for attempt in range(100):
                path = f"/{number}/{attempt}"
                answer = await client.deliver(HttpRequest("POST", url + path, [], b"{}"), 60.0)
                ended[answer.sent, answer.reason] += 1
                times = ledger.read[path]
                assert times == {"yes": 1, "no": 0}.get(answer.sent, times), (path, answer, times)
                assert times <= 1
                if answer.accepted:
                    break
            else:
                raise AssertionError(f"{number} was never answered")

    async with fickle(ledger) as url, Client(replace(SETTINGS, concurrency=IN_FLIGHT)) as client:
        await asyncio.gather(*(work(client, url) for _ in range(IN_FLIGHT)))
        assert len(client._connections._open) <= IN_FLIGHT
    assert ended["yes", ""] == REQUESTS
    assert set(ledger.read.values()) == {1}
    assert set(ended) <= {
        ("yes", ""),
        ("unknown", "the connection to the target was lost before an answer came"),
        ("no", "the target closed the connection before the request was sent"),
        ("no", "the target could not be reached"),
    }
    assert min(ledger.closed.values()) > REQUESTS / 10_000
    print(dict(ended), dict(ledger.closed))
