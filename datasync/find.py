"""The commands that list: `find` (any records), `tail` (what fails), `history` (who did what)."""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from datasync import filters, output
from datasync.deployment import Deployment, DeploymentError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_MOST_ON_PAGE = 100
_COLUMNS = ("id", "createdDate", "status", "status_code", "reference", "streamKey", "targetRestApi")
_OF_AN_ACT = ("time", "act", "by")
_MOST_KNOWN = 10_000  # failures that a tail remembers to have shown


def add_find(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command `find`, and return its parser."""
    parser = commands.add_parser(
        "find",
        help="find records, whatever became of them",
        description="List the newest records of a reference, a key or a status.",
        epilog="A record's id is shown in full by --json; datasync show ID shows everything.",
        allow_abbrev=False,
    )
    by = parser.add_mutually_exclusive_group(required=True)
    by.add_argument("reference", nargs="?", metavar="REFERENCE", help="what people call the record")
    by.add_argument("--key", dest="streamKey", metavar="KEY", help="its streamKey")
    by.add_argument(
        "--status", choices=("not_processed", "success", "failed", "filtered", "cancelled"), help="its status"
    )
    parser.add_argument("--from", dest="from", metavar="TIME", help="only records created since (RFC 3339)")
    parser.add_argument("--to", dest="to", metavar="TIME", help="only records created before (RFC 3339)")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (50)")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the records as JSON")
    return parser


def find(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Print what a search finds; returns the exit code."""
    names = ("reference", "streamKey", "status", "from", "to")
    query = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    found = list(_limited(pages(deployment, "/store", "records", query), arguments.limit))
    if arguments.as_json:
        print(json.dumps(found))
    elif found:
        output.show(_table(f"{len(found)} found, the newest first", found, _COLUMNS))
    else:
        print("None found. References and keys are compared as a whole, letter by letter.")
    return 0


def add_tail(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command `tail`, and return its parser."""
    parser = commands.add_parser(
        "tail",
        help="follow what fails",
        description="Print each failed attempt once, as it is written, until Ctrl-C.",
        allow_abbrev=False,
    )
    filters.add_to(parser)
    parser.add_argument(
        "--interval", type=float, default=5.0, metavar="SECONDS", help="between two looks (5)"
    )
    return parser


def tail(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Print failures until Ctrl-C; returns the exit code. An outage is said once, and waited for."""
    query = {name: str(value) for name, value in filters.given(arguments).items()}
    known: dict[tuple[str, str], None] = {}
    is_first, is_away = True, False
    try:
        while True:
            try:
                page = deployment.get("/process/failures", having="failures", query=query)
            except DeploymentError as error:
                if is_first:
                    raise
                if not is_away:
                    output.complain(f"{error}\nWaiting for it to come back.")
                is_away = True
            else:
                is_first, is_away = False, False
                for one in reversed(page["failures"]):
                    _print_once(one, known)
            time.sleep(arguments.interval)
    except KeyboardInterrupt:
        return 0


def _print_once(one: Mapping[str, Any], known: dict[tuple[str, str], None]) -> None:
    key = str(one.get("id")), str(one.get("lastAttemptDate"))
    if key in known:
        return
    known[key] = None
    if len(known) > _MOST_KNOWN:
        del known[next(iter(known))]
    names = ("lastAttemptDate", "id", "status_code", "targetRestApi", "failure_reason")
    said = [output.printable(str(one.get(name, "-"))) for name in names]
    print("  ".join([*said[:3], "dead" if one.get("dead") else "retried", *said[3:]]), flush=True)


def add_history(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command `history`, and return its parser."""
    parser = commands.add_parser("history", help="show who did what", allow_abbrev=False)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print it as JSON")
    return parser


def history(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Print what operators did; returns the exit code."""
    acts = deployment.get("/process/history", having="history")["history"]
    if arguments.as_json:
        print(json.dumps(acts))
    elif acts:
        shown = [{**one, "what": _what(one)} for one in acts]
        output.show(_table("What was done, the newest first", shown, (*_OF_AN_ACT, "what")))
    else:
        print("Nothing was done so far: replays, cancellations, edits and changes of policies appear here.")
    return 0


def pages(
    deployment: Deployment, path: str, member: str, query: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the records of a list, page after page."""
    asked = {name: str(value) for name, value in query.items()} | {"limit": str(_MOST_ON_PAGE)}
    while True:
        page = deployment.get(path, having=member, query=asked)
        yield from page[member]
        if not page.get("next"):
            return
        asked["after"] = str(page["next"])


def _limited(records: Iterator[dict[str, Any]], limit: int) -> Iterator[dict[str, Any]]:
    for _, one in zip(range(limit), records, strict=False):
        yield one


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(output.plain(row.get(name, "-")) for name in columns))
    return table


def _what(act: Mapping[str, Any]) -> str:
    """Everything of an entry but when and who."""
    return json.dumps(
        {name: value for name, value in act.items() if name not in _OF_AN_ACT}, ensure_ascii=False
    )
