"""How settings are written: durations, sizes, codes, names; whatever reads one may raise ValueError."""

import json
import re
from decimal import Decimal

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 24 * 3600.0}
_LONGEST = 366 * 24 * 3600.0
_SIZES = {"KiB": 1024, "MiB": 1024 * 1024}
_SERVICE_LIMIT = 6 * 1024 * 1024  # of a request to a function [OCI Functions, service limits]
LOG_LEVELS = ("debug", "info", "warning", "error")
OTHER_FAILURES = "unexpectedError"  # the code of a failure without an HTTP answer


def duration(text: str) -> float:
    """Seconds in `500ms`, `30s`, `5m`, `6h` or `7d`.

    >>> duration("500ms")
    0.5
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", text)
    if match is None or float(match[1]) * _UNITS[match[2]] > _LONGEST:
        raise ValueError("must be a duration such as 500ms, 30s, 5m, 6h or 7d, and at most a year")
    return float(match[1]) * _UNITS[match[2]]


def duration_range(text: str) -> tuple[float, float]:
    """Seconds in `30s..6h`: a lower and an upper bound."""
    low, separator, high = text.partition("..")
    if not separator:
        raise ValueError("must be two durations with two dots between them, such as 30s..6h")
    bounds = duration(low.strip()), duration(high.strip())
    if bounds[0] > bounds[1]:
        raise ValueError("must begin with the shorter duration")
    return bounds


def count(text: str) -> int:
    """Read a whole number from 1."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError("must be a whole number from 1")
    return int(text)


def size(text: str) -> int:
    """Bytes in `512KiB` or `1MiB`."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})(KiB|MiB)", text)
    if match is None or int(match[1]) * _SIZES[match[2]] > _SERVICE_LIMIT:
        raise ValueError("must be a size such as 512KiB or 1MiB, and at most 6MiB")
    return int(match[1]) * _SIZES[match[2]]


def status_codes(value: object) -> frozenset[str]:
    """Codes worth retrying, from `408,503,unexpectedError` or a list of strings and numbers."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError("must be a list, or a comma-separated string, of status codes")  # noqa: TRY004 - a caller's or operator's fault, not a programmer's
    return frozenset(_status_code(item) for item in items)


def _status_code(item: object) -> str:
    text = str(int(item) if isinstance(item, Decimal) and item == int(item) else item).strip()
    if isinstance(item, bool) or not (text == OTHER_FAILURES or re.fullmatch(r"[1-5][0-9][0-9]", text)):
        raise ValueError(f"must hold HTTP status codes or {OTHER_FAILURES}, not {text[:40]!r}")
    return text


def error_mapping(value: object) -> dict[str, str]:
    """Code to error stream, from `[{"responsecode": "503", "stream": "recoverable"}]`."""
    if not isinstance(value, list):
        raise ValueError('must be a list of {"responsecode": ..., "stream": ...}')  # noqa: TRY004 - as above
    mapping = {}
    for entry in value:
        stream = entry.get("stream") if isinstance(entry, dict) else None
        if not (isinstance(stream, str) and 0 < len(stream) <= 256):
            raise ValueError('must name a "responsecode" and a "stream" (1 to 256 characters) in each entry')
        mapping[_status_code(entry.get("responsecode"))] = stream
    return mapping


def error_mapping_text(text: str) -> dict[str, str]:
    """Read an error mapping out of JSON; of an empty text, none."""
    try:
        return error_mapping(json.loads(text)) if text else {}
    except RecursionError:
        raise ValueError("nests too deep") from None


def flag(text: str) -> bool:
    """Read `true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def log_level(text: str) -> str:
    """Read the name of a level."""
    if text not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text


def namespace(text: str) -> str:
    """Read a namespace of custom metrics [Monitoring API, MetricDataDetails]."""
    if text and not re.fullmatch(r"(?!oci_|oracle_)[A-Za-z][A-Za-z0-9_]{0,255}", text):
        raise ValueError(
            "must begin with a letter, have only letters, digits and underscores, and not begin with oci_ or"
            " oracle_"
        )
    return text


def any_text(text: str) -> str:
    """Read any text."""
    return text


def collection_name(text: str) -> str:
    """Read the name of a SODA collection."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", text):
        raise ValueError("must be a name of letters, digits and underscores, at most 100")
    return text


def secret_prefix(text: str) -> str:
    """Read what stands before secrets' names."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,50}", text):
        raise ValueError("must be 1 to 50 letters, digits, hyphens, underscores or dots")
    return text


def secret_names(text: str) -> frozenset[str]:
    """Read `vaultSecretName`s with commas between."""
    names = frozenset(name.strip() for name in text.split(",")) if text else frozenset()
    if not all(re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", name) for name in names):
        raise ValueError(
            "must be names of letters, digits, hyphens, underscores or dots, with commas between"
        )
    return names
