"""The command line as a parser: the commands, and the options of those that call a deployment."""

import argparse
import os
import re
from collections.abc import Callable

from datasync import (
    VERSION,
    cancel,
    completion,
    edit,
    find,
    history,
    replay,
    show,
    status,
    tail,
    targets,
    view,
)
from datasync.deployment import Deployment

Command = Callable[[Deployment, argparse.Namespace], int]

# A field name and a value as RFC 9110, 5.1 and 5.5 have them, without what lies beyond ASCII.
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_HEADER = re.compile(rf"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*({_VALUE.pattern})[ \t]*")


def parser() -> argparse.ArgumentParser:
    """Return the parser; what it parsed has `run`, which takes it and returns the exit code."""
    root = argparse.ArgumentParser(
        prog="datasync",
        description="Look at a Data Sync deployment, and act on what failed.",
        epilog="The environment variables DATASYNC_URL and DATASYNC_API_KEY stand for --url and --api-key. "
        "Exit codes: 0 it worked; 1 it did not, or not for every record; 2 the command line is wrong; "
        "130 stopped with Ctrl-C.",
        allow_abbrev=False,
    )
    root.add_argument("--version", action="version", version=f"datasync {VERSION}")
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    _add_connection(status.add_to(commands), status.run)
    _add_connection(view.add_to(commands), view.run)
    _add_connection(show.add_to(commands), show.run)
    _add_connection(find.add_to(commands), find.run)
    _add_connection(tail.add_to(commands), tail.run)
    _add_connection(replay.add_to(commands), replay.run)
    _add_connection(cancel.add_to(commands), cancel.run)
    _add_connection(edit.add_to(commands), edit.run)
    _add_connection(history.add_to(commands), history.run)
    targets.add_to(commands, _add_connection)
    completion.add_to(commands, root)
    return root


def _add_connection(command: argparse.ArgumentParser, run: Command) -> None:
    """Add what says which deployment is called, and as whom."""

    def connected(arguments: argparse.Namespace) -> int:
        url = arguments.url or os.environ.get("DATASYNC_URL")
        if not url:
            command.error("name the deployment with --url or DATASYNC_URL, as in https://host/datasync")
        try:
            key = arguments.api_key or _key(os.environ.get("DATASYNC_API_KEY", ""))
        except argparse.ArgumentTypeError as error:
            command.error(f"DATASYNC_API_KEY: {error}")
        headers = ({"X-API-Key": key} if key else {}) | dict(arguments.headers)
        with Deployment(url, headers) as deployment:
            return run(deployment, arguments)

    command.set_defaults(run=connected)
    # An action of a command leaves alone what was given before it.
    is_action = command.argument_default is argparse.SUPPRESS
    command.add_argument("--url", help="root of the deployment (default: DATASYNC_URL)")
    command.add_argument(
        "--api-key",
        type=_key,
        metavar="KEY",
        help="sent as X-API-Key (default: DATASYNC_API_KEY, which no process list or shell history shows)",
    )
    command.add_argument(
        "--header",
        dest="headers",
        action="append",
        type=_header,
        default=argparse.SUPPRESS if is_action else [],
        metavar="'NAME: VALUE'",
        help="sent with every call, for a gateway that wants another header; may be repeated",
    )


def _key(text: str) -> str:
    """A key as a header's value; the complaint does not repeat it, since it is a secret."""
    key = text.strip()
    if key and not _VALUE.fullmatch(key):
        raise argparse.ArgumentTypeError("a key is one line of printable ASCII")
    return key


def _header(text: str) -> tuple[str, str]:
    """A header's name and value; the complaint repeats neither, since the value is a secret."""
    match = _HEADER.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError("write it as 'Name: value', in printable ASCII")
    return match[1], match[2]
