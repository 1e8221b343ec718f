"""The FDK's side of a function: an invocation as a Request, and the answer to it.

Source: fdk-python 0.1, `context.py`, `headers.py`, `event_handler.py`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.drivers import logs
from shared.drivers.responses import Response, problem
from shared.model.errors import MethodNotAllowed, NotFound, UnsupportedMediaType

_UNDECLARED = "application/octet-stream"  # what API Gateway declares if the client declares nothing


@dataclass(frozen=True)
class Request:
    """One invocation. `path` is None if the function was invoked directly, without a gateway."""

    method: str
    path: str | None
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    query: Mapping[str, str]
    deadline: float
    """When the platform ends the invocation, in monotonic seconds."""

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

    def segments_after(self, name: str) -> list[str]:
        """Return the segments of the path that follow the last `name`, whatever the deployment's prefix.

        Raises NotFound if the path has no such segment.

        >>> Request("GET", "/prefix/store/7", {}, b"", {}, 0.0).segments_after("store")
        ['7']
        """
        segments = [segment for segment in (self.path or f"/{name}").split("/") if segment]
        if name not in segments:
            raise NotFound("There is no such route.")
        return segments[len(segments) - segments[::-1].index(name) :]

    def prefers_html(self) -> bool:
        """Tell whether the client prefers a page to JSON (RFC 9110, section 12.5.1).

        >>> Request("GET", "/process", {"accept": "text/html,*/*;q=0.8"}, b"", {}, 0.0).prefers_html()
        True
        """
        wanted = dict(map(_media_range, self.headers.get("accept", "").split(",")))
        return wanted.get("text/html", 0.0) > wanted.get("application/json", 0.0)

    def expect_method(self, *allowed: str) -> None:
        """Raise MethodNotAllowed if the request has another method."""
        if self.method not in allowed:
            raise MethodNotAllowed(self.method, allowed)

    def expect_json(self) -> None:
        """Raise UnsupportedMediaType if the body is declared as something other than JSON."""
        essence = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.path is None or not self.body.strip() or essence in ("", _UNDECLARED):
            return
        if essence != "application/json" and not essence.endswith("+json"):
            raise UnsupportedMediaType(f"Content-Type is {essence[:100]!r}; send application/json.")


def respond(context: Any, data: Any, handle: Callable[[Request], Response]) -> Any:
    """Answer an invocation; no exception escapes to the platform, whose answer would quote it."""
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


def _to_fdk(context: Any, response: Response) -> Any:
    from fdk import response as fdk_response

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
