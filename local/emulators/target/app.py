"""The target's web application: every request goes to the behaviour that its path names, and is recorded."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from local.emulators.hosts import is_for_this_server
from local.emulators.target.behaviours import (
    ACCEPTED,
    BEHAVIOURS,
    CLOSING,
    FAILURES,
    Accepted,
    Call,
    Failures,
)
from local.emulators.target.received import Log, Received

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODY_LIMIT = 8 * 2**20  # bytes; more than the 6 MB that OCI Functions lets through
LOG = web.AppKey("LOG", Log)


def create_app(*, recording: bool = True) -> web.Application:
    """The target; without recording it keeps nothing of what it receives."""
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_showing_nobody_else])
    app[CLOSING] = asyncio.Event()
    app[FAILURES] = Failures()
    app[ACCEPTED] = Accepted()
    app.on_shutdown.append(_close)
    app.router.add_get("/", _describe)
    if recording:
        app[LOG] = Log()
        app.router.add_get("/_received", _show_received)
        app.router.add_delete("/_received", _forget_received)
        app.router.add_get("/_duplicates", _show_duplicates)
    for method in METHODS:
        app.router.add_route(method, r"/{path:(?s:[^_].*)}", _receive)
    return app


@web.middleware
async def _showing_nobody_else(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what shows the requests received, tokens included, to a page in a browser on this machine."""
    if request.path.startswith("/_") and not is_for_this_server(request):
        raise web.HTTPMisdirectedRequest(text="Host must name the address and port of this target")
    return await handler(request)


async def _close(app: web.Application) -> None:
    app[CLOSING].set()


async def _receive(request: web.Request) -> web.StreamResponse:
    """Answer as the path says, and record the request with the status of its answer."""
    body = await request.read()
    received = Received(
        method=request.method,
        path=request.path_qs,
        headers=list(request.headers.items()),
        key=request.headers.get("Idempotency-Key"),
        body=body,
    )
    log = request.app.get(LOG)
    if log is not None:
        log.add(received)
    status: int | None = None
    try:
        response = await _answer(request, body)
        if not _is_disconnected(request):
            status = response.status
    except ConnectionError:  # the caller left in the middle of the answer: nobody to tell
        return web.Response()
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        received.finish(status)
    return response


async def _answer(request: web.Request, body: bytes) -> web.StreamResponse:
    name, _, rest = request.path[1:].partition("/")
    behaviour = BEHAVIOURS.get(name)
    if behaviour is None:
        raise web.HTTPNotFound(text="no such behaviour; GET / lists what this target can do")
    return await behaviour.answer(Call(request, body, rest.partition("/")[0]))


def _is_disconnected(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _describe(_request: web.Request) -> web.Response:
    return web.json_response({behaviour.form: behaviour.does for behaviour in BEHAVIOURS.values()})


async def _show_received(request: web.Request) -> web.Response:
    log = request.app[LOG]
    prefix = request.query.get("prefix", "")
    requests = [received for received in log.requests if received.path.startswith(prefix)]
    answer: dict[str, object] = {"count": len(requests), "forgotten": log.forgotten}
    if "count" not in request.query:
        answer["requests"] = [received.as_json() for received in requests]
    return web.json_response(answer)


async def _forget_received(request: web.Request) -> web.Response:
    request.app[LOG].clear()
    return web.Response(status=204)


async def _show_duplicates(request: web.Request) -> web.Response:
    log = request.app[LOG]
    duplicates = log.duplicates()
    return web.json_response(
        {"count": duplicates.total(), "forgotten": log.forgotten, "keys": dict(duplicates)}
    )
