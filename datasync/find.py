"""The command `find`: records by what people call them, whatever became of them."""

import argparse
import json
import re
from itertools import islice
from typing import TYPE_CHECKING

from rich.table import Table

from datasync import filters, output
from datasync.deployment import Deployment
from datasync.pages import Record, records_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_STATUSES = ("not_processed", "success", "failed", "filtered", "cancelled")
_USUAL = 50
_NONE = (
    "None found. Write the reference or key exactly as it was stored, widen --from and --to, and look for "
    "what ended long ago in the archive."
)


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser(
        "find",
        help="find records, whatever became of them",
        description="List the newest records of a reference, a key or a status.",
        allow_abbrev=False,
    )
    by = parser.add_mutually_exclusive_group(required=True)
    by.add_argument("operand", nargs="?", metavar="REFERENCE", help="as with --reference")
    by.add_argument("--reference", metavar="TEXT", help="what people call the record")
    by.add_argument("--key", dest="streamKey", metavar="KEY", help="its streamKey")
    by.add_argument("--status", choices=_STATUSES, help="its status")
    filters.add_times_to(parser)
    parser.add_argument(
        "--limit", type=_limit, default=_USUAL, metavar="N", help=f"show at most so many (default: {_USUAL})"
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the records as JSON")
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Print what a search finds; returns the exit code."""
    given = vars(arguments) | {"reference": arguments.operand or arguments.reference}
    names = ("reference", "streamKey", "status", "from", "to")
    query = {name: given[name] for name in names if given[name] is not None}
    limit: int = arguments.limit
    found = records_of(deployment, "/store", "records", query, limit + 1)
    some = list(islice(found, limit + 1))  # one more tells whether there are more
    if arguments.as_json:
        print(json.dumps(some[:limit]))
    elif some:
        output.show(_table(some[:limit]))
        if len(some) > limit:
            print("There are more: raise --limit.")
    else:
        print(_NONE)
    return 0


def _limit(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError("write a number of records, 1 or more")
    return int(text)


def _table(records: list[Record]) -> Table:
    table = Table(title=f"{len(records)} found, the newest first")
    table.add_column("id", no_wrap=True)  # to be copied
    for title in ("status", "code", "reference", "target", "stored"):
        table.add_column(title, overflow="fold")
    for one in records:
        status = f"{one.get('status', '-')}{', dead' if one.get('dead') is True else ''}"
        rest = (one.get(name, "-") for name in ("status_code", "reference", "targetRestApi", "createdDate"))
        table.add_row(*map(output.plain, (one.get("id", "-"), status, *rest)))
    return table
