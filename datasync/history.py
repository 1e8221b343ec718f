"""The command `history`: who did what."""

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from datasync import output
from datasync.deployment import Deployment
from datasync.pages import Record, records_in

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_COUNTED = {"processedmessages": "delivered", "failedMessages": "failed again", "skippedMessages": "skipped"}
_NAMED_MOST = 3  # values of a filter, such as ids
_NONE = "Nothing was done so far. Replays, cancellations, edits and changes of targets will stand here."


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser("history", help="show who did what", allow_abbrev=False)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print it as JSON")
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Print what `GET /process/history` answers; returns the exit code."""
    acts = deployment.get("/process/history", having="history")["history"]
    if arguments.as_json:
        print(json.dumps(acts))
    elif shown := records_in(acts):
        output.show(_table(shown))
    else:
        print(_NONE)
    return 0


def _table(acts: list[Record]) -> Table:
    table = Table(title="What was done, the newest first")
    table.add_column("time", no_wrap=True)
    table.add_column("by", overflow="fold")
    table.add_column("act")
    for title in ("of what", "what came of it"):
        table.add_column(title, overflow="fold")
    for one in acts:
        time = output.to_the_second(one.get("time", "-"))
        cells = (time, one.get("by") or "-", one.get("act", "-"), _subject(one), _result(one))
        table.add_row(*map(output.plain, cells))
    return table


def _subject(act: Mapping[str, Any]) -> str:
    """What was acted on: a record, a version of the policies, or what a filter finds."""
    if "record" in act:
        return str(act["record"])
    if "version" in act:
        return f"version {act['version']}"
    chosen = act.get("filter")
    if not isinstance(chosen, dict):
        return "-"
    said = (f"{name}={_value(value)}" for name, value in chosen.items())
    return ", ".join(said) or "all that is due"


def _result(act: Mapping[str, Any]) -> str:
    counts = [f"{act[name]} {word}" for name, word in _COUNTED.items() if name in act]
    if "calls" in act:
        counts.append("in 1 call" if act["calls"] == 1 else f"in {act['calls']} calls")
    return ", ".join(counts) or "-"


def _value(value: object) -> str:
    if isinstance(value, list):
        more = f" and {len(value) - _NAMED_MOST} more" if len(value) > _NAMED_MOST else ""
        return " ".join(map(_value, value[:_NAMED_MOST])) + more
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
