"""The options that choose failed records: the same for every command, by their names in `/process/retry`."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

FAILURES = (
    *("retryCodes", "streamOCIDToRetry", "from", "to", "targetRestApi", "streamKey", "reference"),
    "vaultSecretName",
)
"""The members that `GET /process/failures` has in its query, too."""


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
    add("--from", dest="from", metavar="TIME", help="only records created since (RFC 3339)")
    add("--to", dest="to", metavar="TIME", help="only records created before (RFC 3339)")
    add("--target", dest="targetRestApi", metavar="URL", help="only records whose target begins with this")
    add("--key", dest="streamKey", metavar="KEY", help="only records with this streamKey")
    add("--reference", dest="reference", metavar="TEXT", help="only records that people call so")
    add("--secret", dest="vaultSecretName", metavar="NAME", help="only records that name this secret")


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the members that were given."""
    return {name: value for name in FAILURES if (value := getattr(arguments, name)) is not None}


def in_words(groups: Mapping[str, Any]) -> str:
    """Return how many there are of each group, the most first.

    >>> in_words({"404": 2, "503": 7})
    '7 of 503, 2 of 404'
    """
    ordered = sorted(groups.items(), key=lambda item: (-int(item[1]), item[0]))
    return ", ".join(f"{number} of {name}" for name, number in ordered)


def is_wanted(question: str, *, yes: bool) -> bool:
    """Ask before more than one record is changed; if nobody can be asked, the command is the answer."""
    if yes or not sys.stdin.isatty():
        return True
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
