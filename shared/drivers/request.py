"""An HTTP request as a function gets it from API Gateway, or a direct invocation, with what is checked of it.

Source: fdk-python 0.1, `context.py` and `headers.py`.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.model.errors import Forbidden, MethodNotAllowed, NotFound, UnsupportedMediaType

OPERATOR = "operator"
_UNDECLARED = ("", "application/octet-stream")  # API Gateway makes the latter of the former
_CALLER = "x-datasync-caller"  # set by the gateway, which removes a client's own
_ROLES = "x-datasync-role"  # likewise; a role, or the scopes of a JWT
_MOST_CALLER_CHARACTERS = 255  # [OpenID Connect Core, section 2: sub]
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


@dataclass(frozen=True)
class Request:
    """One invocation."""

    method: str
    path: str | None
    """None if the function was invoked directly, without a gateway."""
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

    @property
    def is_direct(self) -> bool:
        """Whether the function was invoked directly, which takes the operator's rights in OCI."""
        return self.path is None

    @property
    def changes_something(self) -> bool:
        """Whether the method is not a safe one (RFC 9110, section 9.2.1)."""
        return self.method not in ("GET", "HEAD", "OPTIONS")

    @property
    def caller(self) -> str:
        """The caller's name as the gateway has authenticated it; empty if it is anonymous.

        Raises Forbidden if the name is longer than any that is kept.
        """
        name = self.headers.get(_CALLER, "").strip()
        if len(name) > _MOST_CALLER_CHARACTERS:
            raise Forbidden(f"The caller's name has more than {_MOST_CALLER_CHARACTERS} characters.")
        return name

    def is_from_operator(self, prefix: str = "") -> bool:
        """Tell whether an operator has sent this: as the gateway says, with `prefix` before the role.

        >>> headers = {"x-datasync-role": "openid datasync.operator"}
        >>> Request("GET", "/store/7", headers, b"", {}, 0.0).is_from_operator("datasync.")
        True
        """
        roles = re.split(r'[\s,"\[\]]+', self.headers.get(_ROLES, ""))  # a text, or a list as JSON
        return self.is_direct or f"{prefix}{OPERATOR}" in roles

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
        """Raise UnsupportedMediaType if a body is not declared as JSON, or an empty one as something else.

        A browser sends forms and texts for a page of any site, and asks the server first before it sends
        JSON [Fetch Standard, "CORS-safelisted request-header"].
        """
        if self.is_direct:
            return
        essence = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = essence == "application/json" or essence.endswith("+json")
        if not is_json and (self.body or essence not in _UNDECLARED):
            declared = repr(essence[:100]) if essence not in _UNDECLARED else "missing"
            raise UnsupportedMediaType(f"Content-Type is {declared}; send application/json.")

    def expect_own_site(self) -> None:
        """Raise Forbidden if a page of another site has sent this, as far as browsers say so.

        [Fetch Metadata Request Headers, section 2.4; RFC 6454, section 7]
        """
        site, origin, host = (
            self.headers.get(name, "").strip().lower() for name in ("sec-fetch-site", "origin", "host")
        )
        if site in ("same-origin", "none") or not (site or origin):
            return
        sender = urlsplit(origin)
        port = _DEFAULT_PORTS.get(sender.scheme, "")
        if site or sender.netloc.removesuffix(port) != host.removesuffix(port):
            raise Forbidden("A page of another site has sent this request.")


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
