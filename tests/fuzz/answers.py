"""Made-up answers of targets, judged by the curl command: `python -m tests.fuzz.answers [NUMBER] [SEED]`.

Each is a mutation of a real answer, in packets of any size. Where curl reads a final status the client reads
the same, nothing is sent twice, and the next request is answered with its own answer.
"""

import asyncio
import random
import re
import sys
import time
from collections.abc import Sequence

from shared.model.answer import HttpRequest
from shared.outbound.client import Client
from tests.contract import curl, raw_target
from tests.contract.clients import SETTINGS, terms
from tests.contract.odd_answers import ODD
from tests.contract.raw_target import CURL, Do, RawTarget, Step

_GROUP = 500  # answers that one curl judges
_AT_ONCE = 32
_PATIENCE = 0.3  # seconds after which the target closes, as it does for curl
_REAL = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.24.0\r\nDate: Mon, 23 Nov 2026 21:00:00 GMT\r\n"
    b'Content-Type: application/json\r\nContent-Length: 11\r\nConnection: keep-alive\r\n\r\n{"ok":true}',
    b"HTTP/1.1 201 Created\r\nLocation: /orders/7\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: text/plain\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX-Request-Id: 7\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Length: 4\r\n"
    b"Connection: close\r\n\r\nbusy",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.0 404 Not Found\r\nServer: SimpleHTTP/0.6 Python/3.11\r\n"
    b"Content-Type: text/html\r\n\r\n<html></html>",
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\n\r\n",
    b"HTTP/1.1 429 \r\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\ncontent-length: 0\r\n\r\n",
    *(
        b"".join(step for step in odd.steps if isinstance(step, bytes))
        for name, odd in ODD.items()
        if odd.curl
        and not name.startswith("informational-16")
        and sum(len(step) for step in odd.steps if isinstance(step, bytes)) < 1000
    ),
)
_PIECES = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\n\n",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"0",
        b"9",
        b"-",
        b"+",
        b",",
        b";",
    ),
    *(b"\r\nContent-Length: 5", b"\r\nContent-Length: 0", b"\r\nTransfer-Encoding: chunked", b"\r\n 7"),
    *(b"\r\nConnection: close", b"\r\nConnection: keep-alive", b"HTTP/1.1 ", b"HTTP/2 ", b"\xff", b"a" * 300),
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"0\r\n\r\n"),
)


def made_up(made: random.Random) -> list[Step]:
    """Return the steps of one answer."""
    answer = made.choice(_REAL)
    for _ in range(made.choice((0, 1, 1, 1, 2, 2, 3, 5))):
        answer = _mutated(answer, made)
    cuts = sorted(made.randrange(len(answer) + 1) for _ in range(made.choice((0, 0, 1, 2, 5))))
    steps: list[Step] = []
    for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True):
        steps.append(answer[start:end])
        if made.random() < 0.3:
            steps.append(made.choice((0.0, 0.001, 0.003)))
    return [*steps, Do.CLOSE] if made.random() < 0.3 else steps


def _mutated(answer: bytes, made: random.Random) -> bytes:
    start = made.randrange(len(answer) + 1)
    end = min(len(answer), start + made.choice((1, 1, 2, 4, 16, 64)))
    match made.randrange(7):
        case 0:
            return answer[:start] + answer[end:]
        case 1:
            return answer[:start] + made.choice(_PIECES) + answer[start:]
        case 2:
            return answer[:start] + made.choice(_PIECES) + answer[end:]
        case 3:
            return answer[:start] + made.randbytes(made.choice((1, 1, 2))) + answer[start + 1 :]
        case 4:
            return answer[:end] + answer[start:]
        case 5:
            return answer[:start]
        case _:
            other = made.choice(_REAL)
            return answer[:start] + other[made.randrange(len(other) + 1) :]


async def judged(answers: Sequence[Sequence[Step]]) -> list[str]:
    """Send each of these answers to curl and to the client; return what the client did wrong."""
    scripts = {f"/odd/{number}": steps for number, steps in enumerate(answers)}
    async with raw_target.running(scripts, _PATIENCE) as target, Client(SETTINGS) as client:
        read = asyncio.create_task(curl.readings(target.url, [CURL + path for path in scripts]))
        at_once = asyncio.Semaphore(_AT_ONCE)
        codes = await asyncio.gather(*(_sent(client, target, path, at_once) for path in scripts))
        wrong = []
        for path, reading, (code, harm) in zip(scripts, await read, codes, strict=True):
            steps = scripts[path]
            read_otherwise = reading.status not in (None, code) and not _is_guessed(steps)
            if harm or read_otherwise:
                wrong.append(f"{steps}\n  curl read {reading}, the client {code!r}; {harm}")
        return wrong


def _is_guessed(steps: Sequence[Step]) -> bool:
    """Tell whether curl may have read no status: after `HTTP/` without a version it takes 200 for granted."""
    answer = b"".join(step for step in steps if isinstance(step, bytes))
    return re.search(rb"(?i:HTTP/)(?<!HTTP/)|HTTP/(?!\s*\d)", answer) is not None


async def _sent(
    client: Client, target: RawTarget, path: str, at_once: asyncio.Semaphore
) -> tuple[int | str, str]:
    """Have one answer sent, and then a good one that could come on the same connection."""
    async with at_once:
        answer = await client.deliver(_request(target, path), terms(40.0))
        target.read[path].set()
        await target.played[path].wait()
        following = f"/next{path}"
        second = await client.deliver(_request(target, following, path), terms(40.0))
        harm = ""
        if (second.code, second.headers.get("x-path")) != (299, following):
            harm = f"the next request: {second}"
        if (target.received[path], target.received[following]) != (1, 1):
            harm += f" sent {target.received[path]} times, the next {target.received[following]} times"
        return answer.code, harm


def _request(target: RawTarget, path: str, credential: str = "") -> HttpRequest:
    """Return a request that shares a connection with those of the same credential only."""
    return HttpRequest("POST", target.url + path, [], b"{}", credential or path)


def main() -> int:
    """Make up answers until the number is reached, or one was read wrongly."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.getrandbits(32)
    made = random.Random(seed)
    print(f"{number} answers, seed {seed}", flush=True)
    started = time.monotonic()
    for done in range(0, number, _GROUP):
        wrong = asyncio.run(judged([made_up(made) for _ in range(min(_GROUP, number - done))]))
        if wrong:
            print("\n".join(wrong))
            return 1
        if done // _GROUP % 10 == 0:
            print(f"  {done + _GROUP} after {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
