"""HTTP headers to and from the form in which a function gets them.

Sources: a request recorded behind OCI API Gateway, `Fn-Http-H-*` and unprefixed headers side by side (the
README of a public sample function, July 2021); Fn server, `api/server/runner_httptrigger.go`; the FDK's
`headers.py`.
"""

from collections.abc import Mapping

from local.emulators.functions.model import Headers

HTTP_PREFIX = "Fn-Http-H-"
DEFAULT_CONTENT_TYPE = "application/octet-stream"
"""What the real gateway passes to a function if the client declared nothing."""

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that concern one connection only (RFC 9110, section 7.6.1; RFC 2616, section 13.5.1)."""


def end_to_end(headers: Headers) -> list[tuple[str, str]]:
    """The headers that pass a proxy: without the hop-by-hop ones and those that `Connection` names."""
    fields = list(headers)
    dropped = HOP_BY_HOP | {
        option.strip().lower()
        for name, value in fields
        if name.lower() == "connection"
        for option in value.split(",")
    }
    return [(name, _text(value)) for name, value in fields if name.lower() not in dropped]


def for_http_call(method: str, url: str, headers: Headers) -> list[tuple[str, str]]:
    """A client's request as API Gateway hands it to a function.

    Every header of the client arrives prefixed, its own `Fn-*` included: none can pass for the platform's.
    `Content-Type` and `Opc-Request-Id` are given unprefixed too, as the call's own.
    """
    fields = end_to_end(headers)
    passed = [field for field in fields if field[0].lower() != "opc-request-id"]
    own = {name.lower(): value for name, value in fields}
    content_type = own.get("content-type")
    if content_type is None:
        content_type = DEFAULT_CONTENT_TYPE
        passed.append(("Content-Type", content_type))
    call = [("Content-Type", content_type)]
    if "opc-request-id" in own:
        call.append(("Opc-Request-Id", own["opc-request-id"]))
    return [
        *call,
        ("Fn-Intent", "httprequest"),
        ("Fn-Http-Method", method),
        ("Fn-Http-Request-Url", url),
        *((f"{HTTP_PREFIX}{name.title()}", value) for name, value in passed),
    ]


def for_direct_call(content_type: str, headers: Headers) -> list[tuple[str, str]]:
    """An invoker's headers as a function gets them: unprefixed.

    `Fn-*` is the platform's to write and is dropped; length and host are those of the call to the process.
    """
    dropped = {"content-type", "content-length", "host"}
    return [
        ("Content-Type", content_type),
        *(
            (name, value)
            for name, value in end_to_end(headers)
            if name.lower() not in dropped and not name.lower().startswith("fn-")
        ),
    ]


def http_status(headers: Mapping[str, str]) -> int | None:
    """The status that the function set for the client, or None if it set none that HTTP knows."""
    text = headers.get("Fn-Http-Status", "200")
    return int(text) if text.isascii() and text.isdigit() and 200 <= int(text) <= 599 else None


def for_client(headers: Headers) -> tuple[tuple[str, str], ...]:
    """A function's response headers as API Gateway gives them to the client.

    That is `Fn-Http-H-*` without the prefix, and `Content-Type`; the rest is between FDK and platform.
    """
    passed = []
    for name, value in headers:
        if name.lower() == "content-type":
            passed.append((name, value))
        elif name.lower().startswith(HTTP_PREFIX.lower()):
            passed.append((name[len(HTTP_PREFIX) :].title(), value))
    return _without_length(passed)


def for_invoker(headers: Headers) -> tuple[tuple[str, str], ...]:
    """A function's response headers as a direct invoker gets them."""
    return _without_length(headers)


def _without_length(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple(field for field in end_to_end(headers) if field[0] and field[0].lower() != "content-length")


def _text(value: str) -> str:
    """A header value that can be sent on: bytes that aren't UTF-8 are taken as Latin-1, as the FDK does."""
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
