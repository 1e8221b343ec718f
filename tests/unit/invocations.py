"""Invocations of a handler as the FDK makes them, without a process: through the gateway, or directly."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fdk import context as fdk_context


@dataclass(frozen=True)
class Answer:
    """What the FDK hands back to the platform."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def status_at_the_gateway(self) -> int:
        """The status that a client of the gateway sees."""
        return int(self.headers["fn-http-status"])

    @property
    def status_for_an_invoker(self) -> int:
        """The status that a direct invoker sees [fdk-python, `event_handler.py`]."""
        return self.status if self.status in (502, 504) else 200


def context(method: str = "POST", url: str | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """Return the context of a call; with a `url` it came through the gateway."""
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    sent = {"fn-call-id": "call-1", "fn-deadline": deadline.strftime("%Y-%m-%dT%H:%M:%SZ")}
    if url is None:
        sent |= {"content-type": "application/json"} | dict(headers or {})
    else:
        sent |= {"fn-intent": "httprequest", "fn-http-method": method, "fn-http-request-url": url}
        sent |= {f"fn-http-h-{name.lower()}": value for name, value in (headers or {}).items()}
    made, _ = fdk_context.context_from_format("http-stream", headers=sent, data=None)
    return made


def answered(result: Any) -> Answer:
    """Return what a handler's result is to the platform."""
    return Answer(result.status(), result.context().GetResponseHeaders(), result.body_bytes())


def through_the_gateway(
    handler: Callable[[Any, Any], Any], method: str, url: str, body: bytes = b"", **headers: str
) -> Answer:
    """Call a handler with an HTTP request; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answered(handler(context(method, url, named), io.BytesIO(body)))


def directly(handler: Callable[[Any, Any], Any], body: bytes = b"") -> Answer:
    """Invoke a handler as Connector Hub or a schedule does."""
    return answered(handler(context(), io.BytesIO(body)))
