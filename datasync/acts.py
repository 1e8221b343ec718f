"""The commands that change single records: `cancel` and `edit`."""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from datasync import filters, output
from datasync.deployment import Deployment, DeploymentError
from datasync.find import pages

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_HEADER = re.compile(r"([^:\s]+):[ \t]*(.*)")
_OUTCOMES = {409: "finished already", 404: "not found"}


def add_cancel(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command `cancel`, and return its parser."""
    parser = commands.add_parser(
        "cancel",
        help="end records that are not delivered",
        description="Cancel the records with these ids, or all failed ones that match. What is being sent "
        "at that moment may still be delivered; its state tells.",
        epilog="Exit codes: 0 all are cancelled; 1 some were finished or not found; 130 stopped with Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="the record's id")
    filters.add_to(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the numbers as JSON")
    return parser


def cancel(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Cancel records, and print how many; returns the exit code."""
    chosen = filters.given(arguments)
    if bool(arguments.ids) == bool(chosen):
        output.complain("Name the records by their ids, or choose failed ones by --codes, --target, --key, …")
        return 2
    failures = pages(deployment, "/process/failures", "failures", chosen) if chosen else ()
    ids = arguments.ids or [str(one["id"]) for one in failures]
    if len(ids) > 1 and not filters.is_wanted(f"Cancel {len(ids)} records?", yes=arguments.yes):
        print("Nothing was changed.")
        return 1
    counts: Counter[str] = Counter(cancelled=0)
    for identity in ids:
        counts[_cancelled(deployment, identity)] += 1
    if arguments.as_json:
        print(json.dumps(counts))
    else:
        print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    return 0 if counts["cancelled"] == len(ids) else 1


def _cancelled(deployment: Deployment, identity: str) -> str:
    """Cancel a record; what became of it, in a word or two."""
    try:
        deployment.call("DELETE", f"/store/{quote(identity, safe='')}")
    except DeploymentError as error:
        if error.status not in _OUTCOMES:
            raise
        return _OUTCOMES[error.status]
    return "cancelled"


def add_edit(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command `edit`, and return its parser."""
    parser = commands.add_parser(
        "edit",
        help="give a record another target, payload or headers",
        description="Change a record that is not delivered. datasync replay --id ID then sends a dead one.",
        allow_abbrev=False,
    )
    parser.add_argument("id", metavar="ID", help="the record's id")
    parser.add_argument("--target", metavar="URL", help="where it goes to")
    parser.add_argument(
        "--payload", metavar="FILE", help="a file with its payload as JSON; - is standard input"
    )
    parser.add_argument(
        "--target-header",
        dest="target_headers",
        action="append",
        type=_header,
        metavar="'NAME: VALUE'",
        help="sent to the target in place of all of its headers; may be repeated",
    )
    return parser


def edit(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Edit a record, and print what it is now; returns the exit code."""
    changes: dict[str, Any] = {}
    if arguments.target:
        changes["targetRestApi"] = arguments.target
    if arguments.payload:
        try:
            changes["targetRestApiPayload"] = _payload(arguments.payload)
        except (OSError, ValueError) as error:
            output.complain(f"The payload can't be read: {error}")
            return 2
    if arguments.target_headers:
        changes["targetRestApiHeaders"] = [
            {"key": key, "value": value} for key, value in arguments.target_headers
        ]
    if not changes:
        output.complain("Nothing to change: give --target, --payload or --target-header.")
        return 2
    state = deployment.call("PATCH", f"/store/{quote(arguments.id, safe='')}", json=changes)
    is_dead = state.get("dead") is True
    then = f"; send it with: datasync replay --id {output.printable(str(state['id']))}" if is_dead else ""
    print(f"Changed {', '.join(sorted(changes))}{then}")
    return 0


def _payload(name: str) -> Any:
    return json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))


def _header(text: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError("write it as 'Name: value'")
    return match[1], match[2]
