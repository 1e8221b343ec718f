"""How the target answers: one function per behaviour, and the table that names them in a path."""

import asyncio
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

FAILURES_KEPT = 100_000
CHUNK = b"x" * 65_536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: close() sends RST, not FIN (socket(7))


class Failures:
    """How often each flaky path has failed, per Idempotency-Key; the oldest are forgotten beyond a bound."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str | None], int] = {}

    def another(self, path: str, key: str | None, times: int) -> bool:
        """Count one more failure, and say so, unless there have been enough."""
        count = self._counts.get((path, key), 0)
        if count >= times:
            return False
        self._counts[path, key] = count + 1
        if len(self._counts) > FAILURES_KEPT:
            del self._counts[next(iter(self._counts))]
        return True


class Accepted:
    """When requests on a path were accepted, within the last second."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    def another(self, path: str, most: int) -> bool:
        """Accept one more, unless so many were accepted within a second."""
        now, times = time.monotonic(), self._times.setdefault(path, deque())
        while times and times[0] <= now - 1:
            times.popleft()
        if len(times) >= most:
            return False
        times.append(now)
        return True


FAILURES = web.AppKey("FAILURES", Failures)
ACCEPTED = web.AppKey("ACCEPTED", Accepted)
CLOSING = web.AppKey("CLOSING", asyncio.Event)  # set when the target stops, so that nothing sleeps on


@dataclass(frozen=True, slots=True)
class Call:
    """A request with the segment of its path that follows the behaviour's name."""

    request: web.Request
    body: bytes
    argument: str

    def number(self, least: int, most: int) -> int:
        """The argument as a whole number; answers 400 if it is none, or out of bounds."""
        if self.argument.isascii() and self.argument.isdigit() and len(self.argument) <= len(str(most)):
            number = int(self.argument)
            if least <= number <= most:
                return number
        raise web.HTTPBadRequest(
            text=f"the second segment of the path must be a whole number from {least} to {most}; see GET /"
        )

    async def pause(self, seconds: float) -> None:
        """Wait, though not longer than the target runs."""
        try:
            async with asyncio.timeout(seconds):
                await self.request.app[CLOSING].wait()
        except TimeoutError:
            return


def _json(status: int, content: object) -> web.Response:
    return web.Response(status=status, body=json.dumps(content).encode(), content_type="application/json")


def _disconnect(call: Call) -> web.StreamResponse:
    """End the connection at once; the response returned is never sent."""
    if call.request.transport is not None:
        call.request.transport.abort()
    return web.Response()


async def _ok(_call: Call) -> web.StreamResponse:
    return _json(200, {"received": True})


async def _status(call: Call) -> web.StreamResponse:
    status = call.number(200, 599)
    return _json(status, {"status": status})


async def _flaky(call: Call) -> web.StreamResponse:
    key = call.request.headers.get("Idempotency-Key")
    if call.request.app[FAILURES].another(call.request.path, key, call.number(0, 1_000_000)):
        return _json(503, {"detail": "not yet"})
    return await _ok(call)


async def _slow(call: Call) -> web.StreamResponse:
    await call.pause(call.number(0, 3_600_000) / 1000)
    return await _ok(call)


async def _hang(call: Call) -> web.StreamResponse:
    await call.request.app[CLOSING].wait()
    return _disconnect(call)


async def _stall(call: Call) -> web.StreamResponse:
    key = call.request.headers.get("Idempotency-Key")
    if call.request.app[FAILURES].another(call.request.path, key, call.number(0, 1_000_000)):
        return await _hang(call)
    return await _ok(call)


async def _reset(call: Call) -> web.StreamResponse:
    transport = call.request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return _disconnect(call)


async def _big(call: Call) -> web.StreamResponse:
    left = call.number(0, 10 * 2**30)
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "application/octet-stream"})
    await response.prepare(call.request)
    while left:
        size = min(left, len(CHUNK))
        await response.write(CHUNK[:size])
        left -= size
    return response


async def _drip(call: Call) -> web.StreamResponse:
    pause = call.number(1, 3_600_000) / 1000
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "application/octet-stream"})
    await response.prepare(call.request)
    while not call.request.app[CLOSING].is_set():
        await response.write(b".")
        await call.pause(pause)
    return _disconnect(call)


async def _redirect(call: Call) -> web.StreamResponse:
    return web.Response(status=call.number(300, 399), headers={hdrs.LOCATION: "/ok/redirected"})


async def _retry_after(call: Call) -> web.StreamResponse:
    seconds = call.number(0, 1_000_000)
    response = _json(503, {"detail": f"come back in {seconds} s"})
    response.headers[hdrs.RETRY_AFTER] = str(seconds)
    return response


async def _limited(call: Call) -> web.StreamResponse:
    response = await _throttled(call)
    if response.status == 429:
        response.headers[hdrs.RETRY_AFTER] = "1"
    return response


async def _throttled(call: Call) -> web.StreamResponse:
    most = call.number(1, 100_000)
    if call.request.app[ACCEPTED].another(call.request.path, most):
        return await _ok(call)
    return _json(429, {"detail": f"at most {most} requests a second"})


async def _auth(call: Call) -> web.StreamResponse:
    scheme, _, credentials = call.request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if credentials and scheme.lower() == call.argument.lower():
        return await _ok(call)
    response = _json(401, {"detail": f"an Authorization header with the scheme {call.argument} is needed"})
    response.headers[hdrs.WWW_AUTHENTICATE] = call.argument
    return response


async def _echo(call: Call) -> web.StreamResponse:
    request = call.request
    content = {
        "method": request.method,
        "path": request.path_qs,
        "headers": list(request.headers.items()),
        "body": call.body.decode(errors="replace"),
    }
    return _json(call.number(200, 599), content)


async def _mirror(call: Call) -> web.StreamResponse:
    kind = call.request.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream")
    return web.Response(status=call.number(200, 599), body=call.body, headers={hdrs.CONTENT_TYPE: kind})


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to answer: the form of its path, what it does, and the function that does it."""

    form: str
    does: str
    answer: Callable[[Call], Awaitable[web.StreamResponse]]


_ALL = (
    Behaviour("/ok", "200", _ok),
    Behaviour("/status/{code}", "that code, 200 to 599", _status),
    Behaviour("/flaky/{times}", "503 so many times per path and Idempotency-Key, then 200", _flaky),
    Behaviour("/slow/{ms}", "200 after so many milliseconds", _slow),
    Behaviour("/hang", "no answer, while the caller waits", _hang),
    Behaviour("/stall/{times}", "no answer so many times per path and Idempotency-Key, then 200", _stall),
    Behaviour("/reset", "the connection is reset without an answer", _reset),
    Behaviour("/big/{bytes}", "200 with a body of that size", _big),
    Behaviour("/drip/{ms}", "200, then a byte every so many milliseconds, without end", _drip),
    Behaviour("/redirect/{code}", "that code, 300 to 399, pointing to /ok/redirected", _redirect),
    Behaviour("/retry-after/{s}", "503 with Retry-After", _retry_after),
    Behaviour("/limited/{n}", "200 so many times a second, else 429 with Retry-After", _limited),
    Behaviour("/throttled/{n}", "200 so many times a second, else 429", _throttled),
    Behaviour("/auth/{scheme}", "401 unless the Authorization header has that scheme", _auth),
    Behaviour("/echo/{code}", "that code, with all that was received as body", _echo),
    Behaviour("/mirror/{code}", "that code, with the body that was received", _mirror),
)
BEHAVIOURS = {behaviour.form.split("/")[1]: behaviour for behaviour in _ALL}
