"""The options that choose failed records: the same for every command, by their names in `/process/retry`."""

import argparse
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

FAILURES = (
    *("retryCodes", "streamOCIDToRetry", "from", "to", "targetRestApi", "streamKey", "reference"),
    "vaultSecretName",
)
"""The members that `GET /process/failures` has in its query, too."""

_EQUAL = {
    "streamOCIDToRetry": "error_stream",
    "streamKey": "streamKey",
    "reference": "reference",
    "vaultSecretName": "vaultSecretName",
}
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options; the destination of each is its member."""
    add = parser.add_argument
    add("--codes", dest="retryCodes", metavar="CODES", help="comma-separated, such as 503,unexpectedError")
    add(
        "--stream",
        dest="streamOCIDToRetry",
        metavar="NAME",
        help="only records filed under this error stream",
    )
    add_times_to(parser)
    add("--target", dest="targetRestApi", metavar="URL", help="only records whose target begins with this")
    add("--key", dest="streamKey", metavar="KEY", help="only records with this streamKey")
    add("--reference", metavar="TEXT", help="only records with this reference")
    add("--secret", dest="vaultSecretName", metavar="NAME", help="only records with this vaultSecretName")


def add_times_to(parser: argparse.ArgumentParser) -> None:
    """Add the options that bound the time of storing."""
    parser.add_argument("--from", dest="from", metavar="TIME", help="only records created since (RFC 3339)")
    parser.add_argument("--to", dest="to", metavar="TIME", help="only records created before (RFC 3339)")


def given(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the members that were given."""
    return {name: value for name in FAILURES if (value := getattr(arguments, name)) is not None}


def matcher(chosen: Mapping[str, str]) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells whether a failed record is one that a deployment finds with these members.

    They must be ones that a deployment has accepted.
    """
    tests: list[Callable[[Mapping[str, Any]], bool]] = [
        _equals(_EQUAL[name], value) for name, value in chosen.items() if name in _EQUAL
    ]
    if "retryCodes" in chosen:
        codes = {code.strip() for code in chosen["retryCodes"].split(",")}
        tests.append(lambda one: str(one.get("status_code")) in codes)
    if "targetRestApi" in chosen:
        prefix = _normalised(chosen["targetRestApi"])
        tests.append(lambda one: str(one.get("targetRestApi")).startswith(prefix))
    if "from" in chosen:
        since = datetime.fromisoformat(chosen["from"])
        tests.append(lambda one: (stored := _stored(one)) is not None and stored >= since)
    if "to" in chosen:
        until = datetime.fromisoformat(chosen["to"])
        tests.append(lambda one: (stored := _stored(one)) is not None and stored < until)
    return lambda one: all(test(one) for test in tests)


def _equals(member: str, value: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda one: one.get(member) == value


def _stored(one: Mapping[str, Any]) -> datetime | None:
    try:
        stored = datetime.fromisoformat(str(one.get("createdDate")))
    except ValueError:
        return None
    return stored if stored.tzinfo else None


def _normalised(prefix: str) -> str:
    """Return the beginning of a URL as records have it: scheme and host in lower case, no port of its own.

    >>> _normalised("HTTP://LOCALHOST:80/Pay")
    'http://localhost/Pay'
    """
    scheme, separator, rest = prefix.partition("://")
    if not separator:
        return prefix.lower()
    host = re.split("[/?]", rest, maxsplit=1)[0]
    named = host.lower().removesuffix(_DEFAULT_PORTS.get(scheme.lower(), ""))
    return f"{scheme.lower()}://{named}{rest[len(host) :]}"
