"""Which headers a record may set, in either form: checked when it is stored, and again when it is sent."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from shared.model.errors import Fault
from shared.model.json_codec import pointer_token

UTF_8 = ("utf-8", "utf8")
_MOST_HEADERS = 64
_MOST_CHARACTERS = 8 * 1024  # all names and values; what common servers accept
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # a token, RFC 9110, section 5.6.2
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FORBIDDEN = frozenset(
    (
        # hop by hop: RFC 9110, section 7.6.1, with those that older software still treats so
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
        *("expect",),  # asks the next hop to answer before the body is sent (RFC 9110, section 10.1.1)
        *("host", "content-length", "authorization", "cookie", "idempotency-key"),  # written by the system
    )
)
_CREDENTIALS = frozenset(  # without the x- that many begin with
    (
        *("authentication", "auth", "token", "secret", "password", "set-cookie", "cookie2"),
        *("api-secret", "auth-key", "access-key", "session-token", "user-token", "id-token", "refresh-token"),
        *("amz-security-token", "functions-key", "private-token", "job-token", "deploy-token", "vault-token"),
        *("gitlab-token", "figma-token", "circle-token", "consul-token", "dd-application-key", "app-key"),
    )
)
_CREDENTIAL_ENDINGS = (
    *("api-key", "apikey", "api-token", "access-token", "auth-token", "secret-key", "client-secret"),
    *("subscription-key", "authorization"),
)


def header_faults(headers: Any) -> Iterator[Fault]:
    """Check the headers of a new record; the pointers are within the headers.

    >>> [fault.pointer for fault in header_faults({"X-Tenant": "north", "Host": "erp.example.com"})]
    ['/Host']
    """
    try:
        pairs = header_pairs(headers)
    except ValueError as error:
        yield Fault("", str(error))
        return
    seen: set[str] = set()
    for place, name, value in pairs[:_MOST_HEADERS]:
        detail = header_fault(name, value) or credential_fault(name)
        if not detail and name.lower() in seen:
            detail = "appears more than once"
        if detail:
            yield Fault(f"/{place}", detail)
        seen.add(name.lower())
    length = sum(len(name) + len(value) for _, name, value in pairs)
    if len(pairs) > _MOST_HEADERS or length > _MOST_CHARACTERS:
        yield Fault("", f"must be at most {_MOST_HEADERS} headers of {_MOST_CHARACTERS} characters in all")


def header_pairs(headers: Any) -> list[tuple[str, str, str]]:
    """Return (place, name, value) of each header, from either form; ValueError if it has neither.

    >>> header_pairs({"X-Tenant": "north"})
    [('X-Tenant', 'X-Tenant', 'north')]
    >>> header_pairs([{"key": "X-Tenant", "value": "north"}])
    [('0', 'X-Tenant', 'north')]
    """
    if isinstance(headers, dict):
        items = [(pointer_token(name), name, value) for name, value in headers.items()]
    elif isinstance(headers, list):
        items = [(str(index), *_pair(entry)) for index, entry in enumerate(headers)]
    else:
        raise ValueError('must be a list of {"key": ..., "value": ...} or an object')  # noqa: TRY004 - a caller's mistake, not a programmer's
    if not all(isinstance(name, str) and isinstance(value, str) for _, name, value in items):
        raise ValueError("must have strings as names and values")
    return items


def _pair(entry: Any) -> tuple[Any, Any]:
    if not isinstance(entry, dict) or entry.keys() != {"key", "value"}:
        raise ValueError('must have entries of {"key": ..., "value": ...} and nothing else')
    return entry["key"], entry["value"]


def content_type(headers: Any) -> tuple[str, str]:
    """Return the media type and charset that headers declare, in lower case; JSON in UTF-8 if they don't.

    >>> content_type({"Content-Type": "Text/Plain; charset=ISO-8859-1"})
    ('text/plain', 'iso-8859-1')

    [RFC 9110, section 8.3]
    """
    for _, name, value in header_pairs(headers):
        if name.lower() == "content-type":
            essence, *parameters = (part.strip().lower() for part in value.split(";"))
            declared = dict(parameter.partition("=")[::2] for parameter in parameters)
            return essence, declared.get("charset", "").strip(' "') or UTF_8[0]
    return "application/json", UTF_8[0]


@functools.lru_cache(maxsize=1024)  # few differ, and each is checked twice
def header_fault(name: str, value: str) -> str:
    """Return why a header can't be sent; an empty text if it can."""
    if not _HEADER_NAME.fullmatch(name):
        return "is not a valid header name"
    if name.lower() in _FORBIDDEN or name.lower().startswith("fn-"):
        return "is a header that a record can't set"
    if _CONTROL.search(value):
        return "has a control character in its value"
    return ""


@functools.lru_cache(maxsize=1024)
def credential_fault(name: str) -> str:
    """Return why a header is not stored that carries a credential, by its name; an empty text if it is none.

    >>> bool(credential_fault("X-Api-Key")), bool(credential_fault("X-CSRF-Token"))
    (True, False)
    """
    plain = name.lower().replace("_", "-").removeprefix("x-")
    if plain in _CREDENTIALS or plain.endswith(_CREDENTIAL_ENDINGS):
        return (
            "carries a credential by its name, and headers are stored in clear; keep the credential in a"
            " secret that vaultSecretName names"
        )
    return ""
