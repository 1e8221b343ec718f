"""The command `edit`: another target, payload or headers for a record that is not delivered."""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from datasync.deployment import Deployment, path_of
from datasync.output import complain, printable

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_DONE, _WRONG = 0, 2
_HEADER = re.compile(r"([^:\s]+):[ \t]*(.*?)[ \t]*")


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser(
        "edit",
        help="give a record another target, payload or headers",
        description="Change a record that is not delivered. One that is dead is then sent with "
        "`datasync replay --id ID`; any other when it is due.",
        allow_abbrev=False,
    )
    parser.add_argument("id", metavar="ID", help="the record's id")
    parser.add_argument("--target", metavar="URL", help="where it goes")
    parser.add_argument(
        "--payload", metavar="FILE", help="a file with its payload as JSON; - is standard input"
    )
    parser.add_argument(
        "--target-header",  # --header is what the deployment gets, and may hold a secret
        dest="target_headers",
        action="append",
        type=_header,
        metavar="'NAME: VALUE'",
        help="sent to the target in place of all of the record's headers; may be repeated",
    )
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Edit a record, and print what was changed; returns the exit code."""
    try:
        changes = _changes(arguments)
    except (OSError, ValueError, RecursionError) as error:
        complain(f"The payload can't be read as JSON: {error}\nPass a file with one JSON value.")
        return _WRONG
    if not changes:
        complain("There is nothing to change: give --target, --payload or --target-header.")
        return _WRONG
    body = ", ".join(f"{json.dumps(name)}: {value}" for name, value in changes.items())
    state = deployment.call("PATCH", path_of(arguments.id), data=f"{{{body}}}".encode())
    is_dead = state.get("dead") is True
    how = f"Send it with: datasync replay --id {arguments.id}" if is_dead else "It is sent when it is due."
    print(printable(f"Changed {', '.join(changes)}. {how}"))
    return _DONE


def _changes(arguments: argparse.Namespace) -> dict[str, str]:
    """The members to change, each as JSON; the payload as it was written, so that numbers stay exact."""
    changes = {}
    if arguments.target is not None:
        changes["targetRestApi"] = json.dumps(arguments.target)
    if arguments.payload is not None:
        changes["targetRestApiPayload"] = _payload(arguments.payload)
    if arguments.target_headers is not None:
        pairs = [{"key": key, "value": value} for key, value in arguments.target_headers]
        changes["targetRestApiHeaders"] = json.dumps(pairs)
    return changes


def _payload(name: str) -> str:
    content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    text = content.decode("utf-8-sig")
    json.loads(text)
    return text.strip()


def _header(text: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError("write it as 'Name: value'")
    return match[1], match[2]
