"""The command `targets`: what holds for targets, and what is live of them; look at it, change it, try it."""

import argparse
import difflib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from datasync import trial
from datasync.asking import agrees
from datasync.deployment import Deployment, DeploymentError
from datasync.output import complain, plain, printable, show

if TYPE_CHECKING:
    from argparse import _SubParsersAction

PATH = "/process/targets"
DONE, NOT_DONE, WRONG = 0, 1, 2
_READ_ONLY = ("version", "changedBy", "changedDate", "time", "live")
_TRIES = 3  # to change one policy, while others change the document
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Entry = dict[str, Any]
Connect = Callable[[argparse.ArgumentParser, Callable[[Deployment, argparse.Namespace], int]], None]


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]", connect: Connect) -> None:
    """Add the command with its actions; `connect` adds to a parser what calls a deployment."""
    parser = commands.add_parser(
        "targets",
        help="show, pause, limit and change what holds for targets",
        epilog="Without an action it lists them, as `targets list` does.",
        allow_abbrev=False,
    )
    _as_json(parser)
    connect(parser, _list)
    actions = parser.add_subparsers(metavar="ACTION")

    def action(name: str, meaning: str, run: Callable[[Deployment, argparse.Namespace], int]) -> Any:
        made = actions.add_parser(name, help=meaning, allow_abbrev=False, argument_default=argparse.SUPPRESS)
        connect(made, run)
        return made

    _as_json(action("list", "list policies and hosts with what is live of them", _list))
    shown = action("show", "print the policies document, or one policy of it", _show)
    shown.add_argument("name", nargs="?", default=None, help="of a policy")
    applied = action(
        "apply", "put a file in the place of the document, once you have seen the changes", _apply
    )
    applied.add_argument("file", type=Path, help="a policies document, as `targets show` prints it")
    applied.add_argument("--yes", action="store_true", default=False, help="do not ask")
    paused = action("pause", "send nothing under a policy", _pause)
    paused.add_argument("name", help="of the policy")
    paused.add_argument(
        "--until",
        type=_until,
        default=None,
        metavar="WHEN",
        help="a duration such as 2h, or a time (RFC 3339)",
    )
    action("resume", "send again under a policy", _resume).add_argument("name", help="of the policy")
    rate = action("rate", "limit the requests under a policy, over all workers", _rate)
    rate.add_argument("name", help="of the policy")
    rate.add_argument("rate", type=_rate_of, help="such as 30/1m, or `none`")
    _as_json(action("history", "list the versions of the document, with who wrote them", _history))
    trial.add_to(actions)


def _as_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", dest="as_json", action="store_true", default=False, help="print it as JSON")


# Looking


def _list(deployment: Deployment, arguments: argparse.Namespace) -> int:
    document = deployment.get(PATH, having="live")
    if arguments.as_json:
        print(json.dumps(document["live"]))
        return DONE
    table = Table(title="Targets")
    for title in ("policy or host", "state", "rate"):
        table.add_column(title)
    for title in ("waiting", "failed"):
        table.add_column(title, justify="right")
    entries = {entry.get("name"): entry for entry in document["targets"]}
    for line in document["live"]:
        entry = entries.get(line.get("name"), {})
        cells = (line.get("name") or line.get("target"), _state(line), _rate_used(entry, line))
        table.add_row(*map(plain, (*cells, line.get("waiting", "-"), line.get("failed", "-"))))
    show(table)
    return DONE


def _state(line: Entry) -> str:
    found = []
    if line.get("paused"):
        until = line.get("pausedUntil")
        found.append(f"paused until {until}" if until else "paused")
    if line.get("restingUntil"):
        found.append(f"rests until {line['restingUntil']}")
    if line.get("circuitOpen"):
        found.append("does not connect")
    return ", ".join(found) or "open"


def _rate_used(entry: Entry, line: Entry) -> str:
    rate = entry.get("rate")
    return f"{line.get('rateUsed', 0)} of {rate['requests']} in {rate['per']}" if rate else ""


def _show(deployment: Deployment, arguments: argparse.Namespace) -> int:
    document = _without_live(deployment.get(PATH, having="live"))
    if arguments.name is not None:
        document = _named(document, arguments.name)
    print(_text(document), end="")
    return DONE


def _history(deployment: Deployment, arguments: argparse.Namespace) -> int:
    versions = deployment.get(f"{PATH}/history", having="versions")["versions"]
    if arguments.as_json:
        print(json.dumps(versions))
        return DONE
    table = Table(title="Versions")
    for title in ("version", "changed", "by", "policies"):
        table.add_column(title)
    for one in versions:
        names = ", ".join(str(entry.get("name")) for entry in one["targets"])
        table.add_row(*map(plain, (one["version"], one["changedDate"], one["changedBy"] or "-", names)))
    show(table)
    return DONE


# Changing


def _apply(deployment: Deployment, arguments: argparse.Namespace) -> int:
    try:
        wanted = json.loads(arguments.file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        complain(f"{arguments.file} can't be read: {error}")
        return WRONG
    if not isinstance(wanted, dict):
        complain(f"{arguments.file} must hold an object with the member targets")
        return WRONG
    current = deployment.get(PATH, having="live")
    difference = _difference(_without_live(current), _without_live(wanted))
    if not difference:
        print("Nothing changes.")
        return DONE
    print("\n".join(map(printable, difference)))
    if not (arguments.yes or agrees("Apply this?")):
        print("Nothing was changed.")
        return NOT_DONE
    _put(deployment, _without_live(wanted), current["version"])
    return DONE


def _pause(deployment: Deployment, arguments: argparse.Namespace) -> int:
    def pause(entry: Entry, now: datetime) -> None:
        until = arguments.until
        if isinstance(until, timedelta):
            until = (now + until).isoformat()
        entry["paused"] = until or True

    return _change(deployment, arguments.name, pause)


def _resume(deployment: Deployment, arguments: argparse.Namespace) -> int:
    return _change(deployment, arguments.name, lambda entry, _: entry.pop("paused", None))


def _rate(deployment: Deployment, arguments: argparse.Namespace) -> int:
    def limit(entry: Entry, _: datetime) -> None:
        entry.pop("rate", None)
        if arguments.rate:
            entry["rate"] = arguments.rate

    return _change(deployment, arguments.name, limit)


def _change(deployment: Deployment, name: str, change: Callable[[Entry, datetime], object]) -> int:
    """Change one policy of the newest version; `change` gets it, and the deployment's time."""
    for attempt in range(_TRIES):
        read = deployment.get(PATH, having="live")
        document = _without_live(read)
        before = _text(document)
        change(_named(document, name), datetime.fromisoformat(read["time"]))
        if _text(document) == before:
            print("It is so already.")
            return DONE
        try:
            _put(deployment, document, read["version"])
        except DeploymentError as error:
            if error.status not in (409, 412) or attempt == _TRIES - 1:
                raise
        else:
            return DONE
    raise AssertionError("the last attempt returns or raises")


def _put(deployment: Deployment, document: Entry, replaced: int) -> None:
    written = deployment.put(PATH, document, f'"{replaced}"')
    print(f"This is version {written.get('version')}: it holds from the next page of records on.")


def _named(document: Entry, name: str) -> Entry:
    entries = [entry for entry in document["targets"] if entry.get("name") == name]
    if not entries:
        names = ", ".join(printable(str(entry.get("name"))) for entry in document["targets"]) or "none"
        raise DeploymentError(
            f"There is no policy named {name!r}; there are: {names}.\nAdd one with `datasync targets apply`."
        )
    found: Entry = entries[0]
    return found


def _without_live(document: Entry) -> Entry:
    return {name: one for name, one in document.items() if name not in _READ_ONLY}


def _text(document: Entry) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _difference(before: Entry, after: Entry) -> list[str]:
    old, new = _text(before).splitlines(), _text(after).splitlines()
    return list(difflib.unified_diff(old, new, "now", "then", lineterm=""))


# Reading the command line


def _until(text: str) -> timedelta | str:
    match = _DURATION.fullmatch(text)
    if match:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            "write a duration such as 2h, or a time such as 2026-12-05T06:00:00Z"
        )
    return moment.isoformat()


def _rate_of(text: str) -> Entry | None:
    if text == "none":
        return None
    number, separator, period = text.partition("/")
    if not (separator and number.isascii() and number.isdigit() and _DURATION.fullmatch(period)):
        raise argparse.ArgumentTypeError("write requests and period, such as 30/1m, or none")
    return {"requests": int(number), "per": period}
