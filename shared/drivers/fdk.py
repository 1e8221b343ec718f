"""The FDK's side of a function: an invocation is answered, whatever happens.

Source: fdk-python 0.1, `event_handler.py`, `context.py` and `response.py`.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from shared.drivers import logs
from shared.drivers.request import Request
from shared.drivers.responses import Response, problem
from shared.model.errors import CallerError, DataSyncError

log = logging.getLogger(__name__)

_INVOKE_AGAIN = 502  # besides 200 and 504 the only status that reaches a direct invoker


def respond(context: Any, data: Any, handle: Callable[[Request], Response]) -> Any:
    """Answer an invocation; no exception escapes to the platform, whose answer would quote it.

    A direct invoker learns only success, 502 and 504, and takes every other status for success. So what must
    be invoked again, such as in an outage, is a 502, and a caller's mistake is answered. The log has both.
    """
    try:
        response = handle(_begun(context, data))
    except Exception as error:  # noqa: BLE001 - the edge of the process
        response = _failed(context, error)
    return _to_fdk(context, response)


async def respond_async(context: Any, data: Any, handle: Callable[[Request], Awaitable[Response]]) -> Any:
    """Answer an invocation as `respond` does, from a coroutine."""
    try:
        response = await handle(_begun(context, data))
    except Exception as error:  # noqa: BLE001 - the edge of the process
        response = _failed(context, error)
    return _to_fdk(context, response)


def _begun(context: Any, data: Any) -> Request:
    logs.configure()
    logs.call_id.set(str(context.CallID() or ""))
    logs.begin_trace(context)
    request = Request.of(context, data)
    if request.changes_something:
        request.expect_own_site()
        request.expect_json()
    return request


def _failed(context: Any, error: Exception) -> Response:
    response = problem(error)
    if context.RequestURL() is not None:
        return response
    if isinstance(error, CallerError):
        log.warning("a direct invocation was refused: %s", error)
        return response
    reason = error if isinstance(error, DataSyncError) else type(error).__name__
    log.warning("a direct invocation failed and must be repeated: %s", reason)
    return replace(response, status=_INVOKE_AGAIN)


def _to_fdk(context: Any, response: Response) -> Any:
    from fdk import response as fdk_response

    if context.RequestURL() is not None:  # the FDK takes a client's own Fn-Intent for the gateway's
        context.Headers()["fn-intent"] = "httprequest"
    return fdk_response.Response(context, response.body, dict(response.headers), response.status)
