"""The FDK's side of a function: an invocation as a Request, and the Response to it, errors included.

Errors are answered as `application/problem+json` (RFC 9457).
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.drivers import logs
from shared.model import json_codec
from shared.model.errors import DataSyncError, MethodNotAllowed, NotFound, UnsupportedMediaType

log = logging.getLogger(__name__)

_UNDECLARED = "application/octet-stream"  # what API Gateway says for a caller that says nothing


@dataclass(frozen=True)
class Request:
    """One invocation. `path` is None where the function was invoked directly, without a gateway."""

    method: str
    path: str | None
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str]
    deadline: float  # monotonic seconds

    @classmethod
    def of(cls, context: Any, data: Any) -> "Request":
        """Read an invocation from the FDK's context and body."""
        url = context.RequestURL()
        headers = {name.lower(): _last(value) for name, value in context.HTTPHeaders().items()}
        if context.Headers().get("content-type") and "content-type" not in headers:
            headers["content-type"] = _last(context.Headers()["content-type"])
        return cls(
            method=(context.Method() or "POST").upper(),
            path=None if url is None else unquote(urlsplit(url).path),
            headers=headers,
            body=data.read() if data is not None else b"",
            query=dict(parse_qsl(urlsplit(url or "").query, keep_blank_values=True)),
            deadline=time.monotonic() + _seconds_until(context.Deadline()),
        )

    def tail_after(self, name: str) -> list[str]:
        """Return the segments of the path behind the last `name`, whatever prefix the deployment has.

        Raises NotFound where the path has no such segment.
        """
        segments = [segment for segment in (self.path or f"/{name}").split("/") if segment]
        if name not in segments:
            raise NotFound("There is no such route.")
        return segments[len(segments) - segments[::-1].index(name) :]

    def prefers_html(self) -> bool:
        """Tell whether the client would rather have a page than JSON (RFC 9110, section 12.5.1).

        >>> Request("GET", "/process", {"accept": "text/html,*/*;q=0.8"}, b"", {}, 0.0).prefers_html()
        True
        """
        wanted = dict(map(_media_range, self.headers.get("accept", "").split(",")))
        return wanted.get("text/html", 0.0) > wanted.get("application/json", 0.0)

    def expect_method(self, *allowed: str) -> None:
        """Raise MethodNotAllowed where the request has another method."""
        if self.method not in allowed:
            raise MethodNotAllowed(self.method, allowed)

    def expect_json(self) -> None:
        """Raise UnsupportedMediaType where a body is declared as something other than JSON."""
        essence = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.path is None or not self.body.strip() or essence in ("", _UNDECLARED):
            return
        if essence != "application/json" and not essence.endswith("+json"):
            raise UnsupportedMediaType(f"Content-Type is {essence[:100]!r}; send application/json.")


@dataclass(frozen=True)
class Response:
    """Status, headers and body of an answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def ok(value: Any, status: int = 200) -> Response:
    """Answer with a value as JSON."""
    return Response(status, json_codec.dump(value), {"Content-Type": "application/json", **_COMMON})


def problem(error: Exception) -> Response:
    """Answer with what went wrong; of an error that isn't ours nothing is told, and its type is logged."""
    if not isinstance(error, DataSyncError):
        log.error("a defect: %s at %s", type(error).__name__, _place(error))
        error = DataSyncError("An error that should not happen; the log has its type and place.")
    body: dict[str, Any] = {"title": error.title, "status": error.status, "detail": error.detail}
    if error.faults:
        body["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in error.faults]
    headers = {"Content-Type": "application/problem+json", **_COMMON, **error.headers}
    return Response(error.status, json_codec.dump(body), headers)


_COMMON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _place(error: Exception) -> str:
    """Return file and line of the innermost frame: enough to find a defect, and no value of anybody's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"


def _to_fdk(context: Any, response: Response) -> Any:
    """Return the FDK's response for a response.

    The FDK looks for the gateway's `Fn-Intent` among all headers, and finds a client's own in its place: it
    would answer 200 to whatever happened, and drop every header. So the gateway's is put back.
    """
    from fdk import response as fdk_response

    if context.RequestURL() is not None:
        context.Headers()["fn-intent"] = "httprequest"
    return fdk_response.Response(context, response.body, dict(response.headers), response.status)


def _seconds_until(date: str) -> float:
    return (datetime.fromisoformat(date) - datetime.now(UTC)).total_seconds()


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
    try:
        return name, float(weights[0]) if weights else 1.0
    except ValueError:
        return name, 0.0


def _last(value: Any) -> str:
    """Return a header's value; of a repeated header the last."""
    return str(value[-1] if isinstance(value, list) else value)


def respond(context: Any, data: Any, handle: Callable[[Request], Response]) -> Any:
    """Answer an invocation: nothing escapes to the platform, whose answer would quote it."""
    try:
        response = handle(_begun(context, data))
    except Exception as error:  # noqa: BLE001 - the edge of the process
        response = problem(error)
    return _to_fdk(context, response)


async def respond_async(context: Any, data: Any, handle: Callable[[Request], Awaitable[Response]]) -> Any:
    """Answer an invocation as `respond` does, from a coroutine."""
    try:
        response = await handle(_begun(context, data))
    except Exception as error:  # noqa: BLE001 - the edge of the process
        response = problem(error)
    return _to_fdk(context, response)


def _begun(context: Any, data: Any) -> Request:
    logs.configure()
    logs.call_id.set(str(context.CallID() or ""))
    logs.begin_trace(context)
    return Request.of(context, data)
