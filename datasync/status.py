"""The command `status`: how many records are in which state."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from datasync.deployment import Deployment
from datasync.output import plain, show

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_NAMES = {
    "not_processed": "not processed",
    "success": "delivered",
    "dead": "of these dead",
    "held": "of these held",
}


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser(
        "status", help="show how many records are in which state", allow_abbrev=False
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the report as JSON")
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Print the counts of `GET /process`; returns the exit code."""
    report = deployment.get("/process", having="counts")
    if arguments.as_json:
        print(json.dumps(report))
    else:
        show(_table(report))
    return 0


def _table(report: dict[str, Any]) -> Table:
    table = Table(title="Records")
    table.add_column("state")
    table.add_column("records", justify="right")
    failed = _members(report, "failed")
    for name, count in _members(report, "counts").items():
        table.add_row(plain(_NAMES.get(name, name)), plain(count))
    table.add_section()
    for title, counts in (
        ("failed with", _members(failed, "byCode")),
        ("failed, filed under", _members(failed, "byStream")),
        ("failed at", _members(failed, "byTarget")),
    ):
        for name, count in counts.items():
            table.add_row(plain(f"{title} {name}"), plain(count))
        table.add_section()
    table.add_row("due now", plain(report.get("due", "-")))
    table.add_row("oldest due since", plain(report.get("oldestDueDate") or "-"))
    return table


def _members(report: dict[str, Any], name: str) -> dict[str, Any]:
    members = report.get(name)
    return members if isinstance(members, dict) else {}
