"""Which headers a record may set, in either form; checked when it is stored, and again when it is sent."""

import functools
import re
from typing import Any

from shared.model.errors import json_pointer_token

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # a token, RFC 9110, section 5.6.2
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FORBIDDEN_HEADERS = frozenset(
    (
        # hop by hop: RFC 9110, section 7.6.1, with those that older software still treats so
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
        *("expect",),  # asks the next hop to answer before the body is sent (RFC 9110, section 10.1.1)
        *("host", "content-length", "authorization", "cookie", "idempotency-key"),  # written by the system
    )
)


def header_pairs(headers: Any) -> list[tuple[str, str, str]]:
    """Return (place, name, value) of each header, from either form; ValueError if it has neither.

    >>> header_pairs({"X-Tenant": "north"}) == [("X-Tenant", "X-Tenant", "north")]
    True
    >>> header_pairs([{"key": "X-Tenant", "value": "north"}])
    [('0', 'X-Tenant', 'north')]
    """
    if isinstance(headers, dict):
        items = [(json_pointer_token(name), name, value) for name, value in headers.items()]
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


@functools.lru_cache(maxsize=1024)  # few differ, and each is checked twice
def header_fault(name: str, value: str) -> str:
    """Return what is wrong with a record's header; an empty text if nothing is."""
    if not _HEADER_NAME.fullmatch(name):
        return "is not a valid header name"
    if name.lower() in _FORBIDDEN_HEADERS or name.lower().startswith("fn-"):
        return "is a header that a record can't set"
    if _CONTROL.search(value):
        return "has a control character in its value"
    return ""
