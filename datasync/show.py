"""The command `show`: one record's state, with its attempts, and what people did to it."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from datasync import output
from datasync.deployment import Deployment, path_of
from datasync.pages import records_in

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_FIRST = ("status", "dead", "status_code", "failure_reason", "targetRestApiOperation", "targetRestApi")
_OF_ATTEMPTS = {
    "time": "time",
    "code": "code",
    "durationMs": "ms",
    "reason": "reason",
    "answer": "the target's answer",
}
_OF_ACTS = {"time": "time", "act": "act", "by": "by", "changed": "changed", "was": "it was"}


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser("show", help="show one record's state", allow_abbrev=False)
    parser.add_argument("id", metavar="ID", help="the record's id, as /store answered it")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the state as JSON")
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Print what `GET /store/{id}` answers; returns the exit code."""
    state = deployment.get(path_of(arguments.id), having="id")
    if arguments.as_json:
        print(json.dumps(state))
        return 0
    output.show(_members(state))
    for title, member, columns in (
        ("Attempts, oldest first", "attempts", _OF_ATTEMPTS),
        ("What people did, oldest first", "history", _OF_ACTS),
    ):
        entries = records_in(state.get(member))
        if entries:
            output.show(_listed(title, entries, columns))
    return 0


def _members(state: dict[str, Any]) -> Table:
    """Every member but attempts and history; what matters first, the others as they come."""
    table = Table(title=output.plain(f"Record {state['id']}"), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rest = [name for name in state if name not in (*_FIRST, "id", "attempts", "history")]
    for name in (*_FIRST, *rest):
        if name in state:
            table.add_row(output.plain(name), output.plain(_text(state[name])))
    return table


def _listed(title: str, entries: list[dict[str, Any]], titles: dict[str, str]) -> Table:
    """What any entry has, column by column; those with a title first, the others as they come."""
    table = Table(title=title)
    there = dict.fromkeys(name for one in entries for name in one)
    names = [*(name for name in titles if name in there), *(name for name in there if name not in titles)]
    for name in names:
        table.add_column(output.plain(titles.get(name, name)), overflow="fold")
    for one in entries:
        table.add_row(*(output.plain(_text(one.get(name, "-"))) for name in names))
    return table


def _text(value: object) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
