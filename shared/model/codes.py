"""Codes: how attempts ended, as an HTTP status or a word, and how callers and settings name them.

Each function raises ValueError on what it can't read.
"""

import json
import re
from decimal import Decimal

UNEXPECTED_ERROR = "unexpectedError"  # an attempt without an HTTP answer
INVALID = "invalid"  # a message that is no record, and was never sent
TOKEN_CHANGED = "tokenChanged"  # noqa: S105 - a code: the secret is not the one that proved the record
_WORDS = (UNEXPECTED_ERROR, INVALID, TOKEN_CHANGED)
_MOST_STREAM_BYTES = 256  # of the index of error streams


def status_codes(value: object) -> frozenset[str]:
    """Return the codes in a list of strings and numbers, or in a comma-separated string.

    >>> sorted(status_codes("408, unexpectedError"))
    ['408', 'unexpectedError']
    """
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError("must be a list, or a comma-separated string, of status codes")  # noqa: TRY004 - a caller's or operator's mistake, not a programmer's
    return frozenset(_status_code(item) for item in items)


def _status_code(item: object) -> str:
    text = str(int(item) if isinstance(item, Decimal) and item == int(item) else item).strip()
    if isinstance(item, bool) or not (text in _WORDS or re.fullmatch(r"[0-9]{3}", text)):
        raise ValueError(f"must contain HTTP status codes or {', '.join(_WORDS)}, not {text[:40]!r}")
    return text


def error_mapping(value: object) -> dict[str, str]:
    """Return an error mapping, code to error stream.

    >>> error_mapping([{"responsecode": 503, "stream": "recoverable"}])
    {'503': 'recoverable'}
    """
    if not isinstance(value, list):
        raise ValueError('must be a list of {"responsecode": ..., "stream": ...}')  # noqa: TRY004 - as above
    mapping = {}
    for entry in value:
        stream = entry.get("stream") if isinstance(entry, dict) else None
        if not (isinstance(stream, str) and 0 < len(stream.encode(errors="replace")) <= _MOST_STREAM_BYTES):
            raise ValueError(
                'must have a "responsecode" and a "stream" (1 to 256 bytes of UTF-8) in each entry'
            )
        mapping[_status_code(entry.get("responsecode"))] = stream
    return mapping


def error_mapping_text(text: str) -> dict[str, str]:
    """Return the error mapping in a JSON text; an empty text is an empty mapping."""
    try:
        return error_mapping(json.loads(text)) if text else {}
    except RecursionError:
        raise ValueError("nests too deeply") from None
