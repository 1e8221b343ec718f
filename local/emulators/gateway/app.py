"""The gateway's server: the checks that a request passes on its way to a function, in their order."""

import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from local.emulators.functions import MAX_BODY_BYTES, FunctionRunner, Reply, problem
from local.emulators.gateway import headers
from local.emulators.gateway.callers import Callers
from local.emulators.gateway.routes import Route, find
from local.emulators.hosts import is_for_this_server

MAX_HEAD_BYTES = 8 * 1024
"""Method, URI and headers together ("API Gateway Internal Limits")."""
_PARSED_HEAD_BYTES = 8 * MAX_HEAD_BYTES
"""What is still parsed, so that a head over the limit gets an answer that says so."""
_LINGER_SECONDS = 1.0
"""How long the rest of a body that is not wanted is still read, so that its sender reads the answer."""
_SHUTDOWN_SECONDS = 2.0
"""How long calls in flight may go on when the gateway stops."""

_log = logging.getLogger(__name__)


def _without_traceback(line: logging.LogRecord) -> bool:
    """Reduce an error to its type: the traceback of a request that is no HTTP quotes its headers."""
    if line.exc_info and line.exc_info[0]:
        line.msg, line.args = f"{line.getMessage()}: {line.exc_info[0].__name__}", ()
        line.exc_info = None
    return True


_log.addFilter(_without_traceback)


def create_app(routes: Sequence[Route], runner: FunctionRunner, callers: Callers) -> web.Application:
    """The gateway as an application."""

    async def handle(request: web.Request) -> web.StreamResponse:
        customer, trace = headers.request_id(request.headers.get("Opc-Request-Id", ""))
        reply = await _reply(request, routes, runner, callers, f"{customer}/{trace}")
        response = web.Response(status=reply.status, body=reply.body)
        response.headers.extend(reply.headers)
        response.headers["Opc-Request-Id"] = f"{customer}/{trace}/{headers.new_id()}"
        return response

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", r"/{path:(?s:.*)}", handle)
    return app


@asynccontextmanager
async def serve(
    routes: Sequence[Route],
    runner: FunctionRunner,
    callers: Callers | None = None,
    listening: socket.socket | None = None,
) -> AsyncIterator[str]:
    """Serve the gateway within `async with`, on a free port if none is given; gives its URL."""
    listening = listening or socket.create_server(("127.0.0.1", 0))
    server = web.AppRunner(
        create_app(routes, runner, callers or Callers()),
        access_log=None,
        logger=_log,
        auto_decompress=False,
        max_line_size=_PARSED_HEAD_BYTES,
        max_field_size=_PARSED_HEAD_BYTES,
        max_headers=_PARSED_HEAD_BYTES,
        lingering_time=_LINGER_SECONDS,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await server.setup()
    try:
        await web.SockSite(server, listening).start()
        host, port = listening.getsockname()
        yield f"http://{host}:{port}"
    finally:
        await server.cleanup()


async def _reply(
    request: web.Request, routes: Sequence[Route], runner: FunctionRunner, callers: Callers, request_id: str
) -> Reply:
    if refused := _refused_head(request):
        return refused
    route = find(routes, request.method, request.rel_url.raw_path)
    if isinstance(route, Reply):
        return route
    client = request.remote or "127.0.0.1"
    caller = callers.admit(request.headers, client, route.callers)
    if isinstance(caller, Reply):
        return caller
    if refused := _refused_coding(request):
        return refused
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return problem(413, "RequestBodyTooLarge", f"The body is over {MAX_BODY_BYTES} bytes (6 MB).")
    fields = headers.forwarded(
        request.headers.items(), caller, key_header=callers.header, client=client, request_id=request_id
    )
    return await runner.call_http(route.function, request.method, request.rel_url.raw_path_qs, fields, body)


def _refused_head(request: web.Request) -> Reply | None:
    if _head_bytes(request) > MAX_HEAD_BYTES:
        return problem(431, "RequestHeaderFieldsTooLarge", "Method, URI and headers exceed 8 KB together.")
    if not is_for_this_server(request):
        return problem(
            421,
            "MisdirectedRequest",
            "Host must name this machine (127.0.0.1, localhost or [::1]) and this port, so that no page in a"
            " browser can call the gateway by a name of its own.",
        )
    return None


def _refused_coding(request: web.Request) -> Reply | None:
    """Refuse a body that is compressed: API Gateway unpacks nothing, and a few bytes can become gigabytes."""
    codings = {
        coding.strip().lower()
        for name in ("Content-Encoding", "Transfer-Encoding")
        for value in request.headers.getall(name, ())
        for coding in value.split(",")
    }
    if codings <= {"", "identity", "chunked"}:
        return None
    return problem(
        415,
        "UnsupportedMediaType",
        "The body is compressed; send it as it is, without Content-Encoding.",
        [("Accept-Encoding", "identity")],  # RFC 9110, section 15.5.16
    )


def _head_bytes(request: web.Request) -> int:
    line = len(request.method) + len(request.raw_path) + len(" HTTP/1.1\r\n") + 1
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in request.raw_headers)
