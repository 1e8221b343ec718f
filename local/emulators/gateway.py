"""OCI API Gateway on one machine: hands HTTP requests to functions, by `terraform/routes.json`.

It answers as the service documents it ("API Gateway Internal Limits", "Adding Path Parameters and Wildcards
to Route Paths", "Forwarded and host-related headers", "opc-request-id values"), with one difference: its own
errors are problem details (RFC 9457) that hold the service's `code` and `message` too.
"""

import json
import logging
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web

from local.emulators.callers import Callers
from local.emulators.functions import MAX_BODY_BYTES, FunctionRunner, Headers, Reply, problem

ROUTES = Path(__file__).resolve().parents[2] / "terraform" / "routes.json"
MAX_HEAD_BYTES = 8 * 1024
"""Method, URI and headers together ("API Gateway Internal Limits")."""
_PARSED_HEAD_BYTES = 8 * MAX_HEAD_BYTES
"""What is still parsed, so that a head over the limit gets an answer that says so."""
_LINGER_SECONDS = 1.0
"""How long the rest of a body that is over the limit is still read, so that its sender reads the answer."""
_SHUTDOWN_SECONDS = 2.0
"""How long calls in flight may go on when the gateway stops."""

_log = logging.getLogger(__name__)

_ROUTE_PATH = re.compile(r"/|(/([A-Za-z0-9$_.+!*',()~:@-]+|\{[A-Za-z0-9_]+\}))+")
_PARAMETER = re.compile(r"\{[A-Za-z0-9_]+\}")
_REQUEST_ID_PART = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Route:
    """Requests with one of `methods` on a path go to `function`; `pattern` matches the whole path.

    `callers` are the roles of those who may call it.
    """

    pattern: re.Pattern[str]
    methods: tuple[str, ...]
    function: str
    callers: tuple[str, ...]


def _without_traceback(line: logging.LogRecord) -> bool:
    """Leave of an error its type: the traceback of a request that is no HTTP quotes its headers."""
    if line.exc_info and line.exc_info[0]:
        line.msg, line.args = f"{line.getMessage()}: {line.exc_info[0].__name__}", ()
        line.exc_info = None
    return True


_log.addFilter(_without_traceback)


def load_routes(path: Path = ROUTES) -> tuple[Route, ...]:
    """Read the routes that Terraform deploys.

    Raises:
        ValueError: a path is not one of segments and `{parameters}`.
    """
    deployment = json.loads(path.read_text())
    prefix = deployment["path_prefix"].rstrip("/")
    return tuple(
        Route(
            _pattern(prefix, route["path"]),
            tuple(route["methods"]),
            route["function"],
            tuple(route["callers"]),
        )
        for route in deployment["routes"]
    )


def create_app(routes: Sequence[Route], runner: FunctionRunner, callers: Callers) -> web.Application:
    """The gateway as an application."""

    async def handle(request: web.Request) -> web.StreamResponse:
        customer, trace = _request_id(request.headers.get("Opc-Request-Id", ""))
        reply = await _reply(request, routes, runner, callers, f"{customer}/{trace}")
        response = web.Response(status=reply.status, body=reply.body)
        response.headers.extend(reply.headers)
        response.headers["Opc-Request-Id"] = f"{customer}/{trace}/{_new_id()}"
        return response

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", r"/{path:(?s:.*)}", handle)
    return app


@asynccontextmanager
async def serve(
    routes: Sequence[Route],
    runner: FunctionRunner,
    host: str = "127.0.0.1",
    port: int = 0,
    callers: Callers | None = None,
) -> AsyncIterator[str]:
    """Serve the gateway within `async with`; gives its URL. Port 0 takes a free one."""
    server = web.AppRunner(
        create_app(routes, runner, callers or Callers()),
        access_log=None,
        logger=_log,
        max_line_size=_PARSED_HEAD_BYTES,
        max_field_size=_PARSED_HEAD_BYTES,
        max_headers=_PARSED_HEAD_BYTES,
        lingering_time=_LINGER_SECONDS,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await server.setup()
    try:
        await web.TCPSite(server, host, port).start()
        yield f"http://{host}:{server.addresses[0][1]}"
    finally:
        await server.cleanup()


async def _reply(
    request: web.Request, routes: Sequence[Route], runner: FunctionRunner, callers: Callers, request_id: str
) -> Reply:
    if _head_bytes(request) > MAX_HEAD_BYTES:
        return problem(431, "RequestHeaderFieldsTooLarge", "Method, URI and headers exceed 8 KB together.")
    found = _find(routes, request.method, request.rel_url.raw_path)
    if isinstance(found, Reply):
        return found
    client = request.remote or "127.0.0.1"
    refusal = callers.refusal(request.headers, client, found.callers)
    if refusal is not None:
        return refusal
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return problem(413, "RequestBodyTooLarge", f"The body is over {MAX_BODY_BYTES} bytes (6 MB).")
    passed = [
        (name, value) for name, value in request.headers.items() if name.lower() != callers.header.lower()
    ]
    headers = _forwarded(passed, client, request_id)
    return await runner.call_http(found.function, request.method, request.rel_url.raw_path_qs, headers, body)


def _find(routes: Sequence[Route], method: str, path: str) -> Route | Reply:
    matching = [route for route in routes if route.pattern.fullmatch(path)]
    if not matching:
        return problem(404, "NotFound", f"No route matches the path {path}.")
    for route in matching:
        if method in route.methods:
            return route
    allowed = ", ".join(sorted({name for route in matching for name in route.methods}))
    return problem(
        405,
        "MethodNotAllowed",
        f"This path does not answer to {method}; use {allowed}.",
        [("Allow", allowed)],
    )


def _pattern(prefix: str, path: str) -> re.Pattern[str]:
    if not _ROUTE_PATH.fullmatch(path):
        raise ValueError(f"Route path {path!r}: write segments and {{parameters}}, such as /store/{{id}}")
    literals = _PARAMETER.split(path)
    return re.compile(re.escape(prefix) + "[^/]+".join(re.escape(literal) for literal in literals))


def _head_bytes(request: web.Request) -> int:
    line = len(request.method) + len(request.raw_path) + len(" HTTP/1.1\r\n") + 1
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in request.raw_headers)


def _forwarded(headers: Headers, client: str, request_id: str) -> list[tuple[str, str]]:
    """The client's headers and what the gateway says of the client, added to what other proxies said."""
    ours = {"x-forwarded-for", "forwarded", "x-real-ip", "opc-request-id"}
    fields = list(headers)
    said = {
        name: [value for key, value in fields if key.lower() == name]
        for name in ("x-forwarded-for", "forwarded")
    }
    node = f'"[{client}]"' if ip_address(client).version == 6 else client  # RFC 7239, section 6
    return [
        *((name, value) for name, value in fields if name.lower() not in ours),
        ("X-Forwarded-For", ", ".join([*said["x-forwarded-for"], client])),
        ("Forwarded", ", ".join([*said["forwarded"], f"for={node}"])),
        ("X-Real-Ip", client),
        ("Opc-Request-Id", request_id),
    ]


def _request_id(given: str) -> tuple[str, str]:
    """Customer and trace part of a request id; of `customer/trace/span` the service keeps the first two.

    A part that is missing or could not stand in a log line is replaced: the trace by a new one.
    """
    customer, trace = (*given.split("/"), "")[:2]
    return (
        customer if _REQUEST_ID_PART.fullmatch(customer) else "",
        trace if _REQUEST_ID_PART.fullmatch(trace) else _new_id(),
    )


def _new_id() -> str:
    return uuid.uuid4().hex.upper()
