"""The command `tail`: what fails, as it fails."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from datasync import filters
from datasync.deployment import Deployment, DeploymentError
from datasync.output import complain, printable
from datasync.pages import Record, records_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_PATH = "/process/failures"
_AT_FIRST = 10  # failures that were there before
_FIRST_LOOK = 100
_KNOWN_MOST = 100_000
_SHOWN = ("targetRestApi", "failure_reason")
_FINAL = (401, 403)  # no waiting makes a key valid


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser(
        "tail",
        help="follow what fails",
        description=f"Print {_AT_FIRST} failures, then each further failed attempt once, until Ctrl-C.",
        allow_abbrev=False,
    )
    filters.add_to(parser)
    parser.add_argument(
        "--interval", type=_seconds, default=5.0, metavar="SECONDS", help="between two looks (default: 5)"
    )
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Print failures until Ctrl-C, which is how it is meant to end; returns the exit code."""
    chosen = filters.given(arguments)
    try:
        seen = _Seen(islice(_lately(deployment), _FIRST_LOOK))
        before = list(islice(records_of(deployment, _PATH, "failures", chosen, _AT_FIRST), _AT_FIRST))
        seen.note(before)
        _print(before)
        matches = filters.matcher(chosen)
        time.sleep(arguments.interval)
        _follow(deployment, seen, matches, arguments.interval)
    except KeyboardInterrupt:
        return 0
    raise AssertionError("nothing but Ctrl-C or an error ends it")


def _follow(
    deployment: Deployment, seen: "_Seen", matches: Callable[[Mapping[str, Any]], bool], interval: float
) -> None:
    """Look again and again. An outage is said once, and waited for."""
    is_away = False
    while True:
        try:
            fresh = seen.fresh(_lately(deployment))
        except DeploymentError as error:
            if error.status in _FINAL:
                raise
            if not is_away:
                complain(f"{error}\nWaiting until it answers again.")
            is_away = True
        else:
            if is_away:
                print("It answers again.", file=sys.stderr)
            is_away = False
            _print([one for one in fresh if matches(one)])
        time.sleep(interval)


def _lately(deployment: Deployment) -> Iterator[Record]:
    """Yield all failures, the last attempt first: with filters the order is another, so new ones hide."""
    return records_of(deployment, _PATH, "failures", {})


class _Seen:
    """The failed attempts that need not be printed any more: those known, and those up to `oldest`."""

    def __init__(self, latest: Iterator[Record]):
        there = list(latest)
        self._known = dict.fromkeys(map(_attempt, there))
        self._oldest = _attempt(there[-1]) if len(there) >= _FIRST_LOOK else ("", "")

    def note(self, failures: list[Record]) -> None:
        """Add some."""
        self._known |= dict.fromkeys(sorted(map(_attempt, failures)))
        for one in list(islice(self._known, max(0, len(self._known) - _KNOWN_MOST))):
            del self._known[one]
            self._oldest = max(self._oldest, one)

    def fresh(self, latest: Iterator[Record]) -> list[Record]:
        """Take the new ones, and return them.

        Attempts are written a moment after their time, so one that is known may stand before a new one: a
        whole page of known ones, or the oldest, is where what is new ends.
        """
        found: list[Record] = []
        known_in_row = 0
        for one in latest:
            attempt = _attempt(one)
            known_in_row = known_in_row + 1 if attempt in self._known else 0
            if known_in_row >= _FIRST_LOOK or attempt <= self._oldest:
                break
            if not known_in_row:
                found.append(one)
        self.note(found)
        return found


def _attempt(failure: Mapping[str, Any]) -> tuple[str, str]:
    """Return time and id; a message that is not a record was never attempted."""
    when = failure.get("lastAttemptDate") or failure.get("createdDate")
    return str(when or ""), str(failure.get("id", ""))


def _print(failures: list[Record]) -> None:
    """Print a line for each, the oldest first."""
    for one in sorted(failures, key=_attempt):
        when, identity = _attempt(one)
        state = "dead" if one.get("dead") is True else "retrying"
        shown = (
            when or "-",
            identity,
            one.get("status_code", "-"),
            state,
            *(one.get(n, "-") for n in _SHOWN),
        )
        print("  ".join(printable(str(part)) for part in shown), flush=True)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0.1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("write seconds, from 0.1 to 86400")
    return seconds
