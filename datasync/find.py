"""The command `find`: records by what people call them, whatever became of them."""

import argparse
import json
import re
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from rich.table import Table
from rich.text import Text

from datasync import filters, output
from datasync.deployment import Deployment
from datasync.pages import Record, records_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_Cell = TypeVar("_Cell")

_STATUSES = ("not_processed", "success", "failed", "filtered", "cancelled")
_USUAL = 50
_ID = 36  # characters, which are to be copied
_TITLES = ("id", "status", "stored", "target", "code", "reference")
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
        output.show(_table(some[:limit], narrow=output.is_narrow()))
        if len(some) > limit:
            print("There are more: raise --limit.")
    else:
        print(_NONE)
    return 0


def _limit(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError("write a number of records, 1 or more")
    return int(text)


def _table(records: list[Record], *, narrow: bool) -> Table:
    """A row for each record; in a narrow one two cells stand above each other."""
    title = f"{len(records)} found, the newest first"
    table = Table(title=title, show_lines=narrow, show_edge=not narrow)
    for number, titles in enumerate(_stacked(_TITLES) if narrow else [[one] for one in _TITLES]):
        table.add_column("\n".join(titles), min_width=_ID if number == 0 else None, overflow="fold")
    for one in records:
        cells = [output.plain(cell) for cell in _cells(one)]
        table.add_row(*(Text("\n").join(pair) for pair in _stacked(cells)) if narrow else cells)
    return table


def _stacked(six: Sequence[_Cell]) -> list[Sequence[_Cell]]:
    """Put the last three below the first three."""
    return [six[number::3] for number in range(3)]


def _cells(one: Record) -> tuple[object, ...]:
    """What stands below the titles."""
    status = f"{one.get('status', '-')}{', dead' if one.get('dead') is True else ''}"
    stored = output.to_the_second(one.get("createdDate", "-"))
    code, reference, target = (one.get(name, "-") for name in ("status_code", "reference", "targetRestApi"))
    return (one.get("id", "-"), status, stored, target, code, reference)
