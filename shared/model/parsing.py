"""How settings are written: durations, sizes, numbers, names.

Each function raises ValueError on what it can't read.
"""

import re
from collections.abc import Callable

LOG_LEVELS = ("debug", "info", "warning", "error")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 24 * 3600.0}
_LONGEST_DURATION = 366 * 24 * 3600.0
_BYTES = {"KiB": 1024, "MiB": 1024 * 1024}
_LARGEST_SIZE = 6 * 1024 * 1024  # of a request to a function [OCI Functions, service limits]


def duration(text: str) -> float:
    """Return the seconds in `500ms`, `30s`, `5m`, `6h` or `7d`.

    >>> duration("500ms")
    0.5
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", text)
    if match is None or float(match[1]) * _SECONDS[match[2]] > _LONGEST_DURATION:
        raise ValueError("must be a duration such as 500ms, 30s, 5m, 6h or 7d, and at most a year")
    return float(match[1]) * _SECONDS[match[2]]


def duration_range(text: str) -> tuple[float, float]:
    """Return the seconds in `30s..6h`: a lower and an upper bound.

    >>> duration_range("30s..6h")
    (30.0, 21600.0)
    """
    low, separator, high = text.partition("..")
    if not separator:
        raise ValueError("must be two durations separated by two dots, such as 30s..6h")
    shortest, longest = duration(low.strip()), duration(high.strip())
    if shortest > longest:
        raise ValueError("must begin with the shorter duration")
    return shortest, longest


def count(text: str) -> int:
    """Return a whole number from 1."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError("must be a whole number from 1")
    return int(text)


def count_up_to(most: int) -> Callable[[str], int]:
    """Return a function that reads a whole number from 1 to `most`."""

    def bounded(text: str) -> int:
        number = count(text)
        if number > most:
            raise ValueError(f"must be at most {most}")
        return number

    return bounded


def number_up_to(most: int) -> Callable[[str], int]:
    """Return a function that reads a whole number from 0 to `most`."""

    def bounded(text: str) -> int:
        if not re.fullmatch(r"0|[1-9][0-9]{0,8}", text) or int(text) > most:
            raise ValueError(f"must be a whole number from 0 to {most}")
        return int(text)

    return bounded


def size(text: str) -> int:
    """Return the bytes in `512KiB` or `1MiB`.

    >>> size("512KiB")
    524288
    """
    match = re.fullmatch(r"([1-9][0-9]{0,6})(KiB|MiB)", text)
    if match is None or int(match[1]) * _BYTES[match[2]] > _LARGEST_SIZE:
        raise ValueError("must be a size such as 512KiB or 1MiB, and at most 6MiB")
    return int(match[1]) * _BYTES[match[2]]


def flag(text: str) -> bool:
    """Return `true` or `false` as a bool."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def log_level(text: str) -> str:
    """Return the name of a log level."""
    if text not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text


def namespace(text: str) -> str:
    """Return a namespace of custom metrics [Monitoring API, MetricDataDetails]."""
    if text and not re.fullmatch(r"(?!oci_|oracle_)[A-Za-z][A-Za-z0-9_]{0,255}", text):
        raise ValueError(
            "must begin with a letter, have only letters, digits and underscores, and not begin with oci_ or"
            " oracle_"
        )
    return text


def any_text(text: str) -> str:
    """Return any text."""
    return text


def collection_name(text: str) -> str:
    """Return the name of a SODA collection."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", text):
        raise ValueError("must be a name of letters, digits and underscores, at most 100")
    return text


def secret_prefix(text: str) -> str:
    """Return the prefix of secrets' names."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,50}", text):
        raise ValueError("must be 1 to 50 letters, digits, hyphens, underscores or dots")
    return text


def secret_names(text: str) -> frozenset[str]:
    """Return the names in a comma-separated list of `vaultSecretName`s."""
    names = frozenset(name.strip() for name in text.split(",")) if text else frozenset()
    if not all(re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", name) for name in names):
        raise ValueError(
            "must be comma-separated names of letters, digits, hyphens, underscores or dots, each at most 200"
        )
    return names
