"""The commands `status` and `replay`: their arguments, what they print, and their exit codes."""

import argparse
import json
import os
import re
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from local.operate import view
from local.operate.deployment import Deployment, DeploymentError, printable
from local.operate.replay import FROM_THE_OLDEST, NoProgressError, Tally, matching, walk

ALL_WELL, NOT_ALL_WELL, NOT_ASKED = 0, 1, 2

# A field name and a value as RFC 9110, 5.1 and 5.5 have them, without what lies beyond ASCII.
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)[ \t]*")


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `status` and `replay` to a command line; `run` does what was parsed."""
    status = subparsers.add_parser("status", help="show how many records are in which state")
    replay = subparsers.add_parser(
        "replay",
        help="deliver failed records again",
        description="Counts the failed records that match, then delivers them again, oldest first.",
        epilog="Exit codes: 0 every matching record succeeded; 1 some failed again or were put off; "
        "2 the deployment could not be asked.",
    )
    page = subparsers.add_parser("view", help="show the operators' page in a browser")
    page.add_argument("--port", type=int, default=0, help="of this machine, to serve it on (a free one)")
    page.add_argument("--no-browser", action="store_true", help="only print where it is")
    for operation, parser in (("status", status), ("replay", replay), ("view", page)):
        parser.set_defaults(run=run, operation=operation)
        parser.add_argument("--url", required=True, help="root of the deployment")
        parser.add_argument(
            "--header",
            dest="headers",
            action="append",
            type=_header,
            default=[],
            metavar="'NAME: VALUE'",
            help="sent with every call, to get past an authenticating gateway; may be repeated. The key in "
            "DATASYNC_API_KEY is sent as X-API-Key",
        )
        if parser is not page:
            parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, no progress")
    _add_filters(replay)


def _add_filters(replay: argparse.ArgumentParser) -> None:
    """The members of `POST /process/retry`; each option's destination is the member's name."""
    add = replay.add_argument
    add("--codes", dest="retryCodes", help="comma-separated, such as 503,unexpectedError")
    add("--stream", dest="streamOCIDToRetry", help="only records filed under this error stream")
    add("--from", dest="from", metavar="TIME", help="only records created since (RFC 3339)")
    add("--to", dest="to", metavar="TIME", help="only records created until (RFC 3339)")
    add("--target", dest="targetRestApi", metavar="URL", help="only records whose target begins with this")
    add("--key", dest="streamKey", help="only this streamKey's records")
    add("--limit", dest="retryLimit", type=int, help="leave records with this many attempts alone")
    add("--force", action="store_true", default=None, help="ignore backoff, limit and codes")
    add("--batch", dest="noOfMessagesToProcess", type=int, metavar="N", help="records per call")
    add("--after", default=FROM_THE_OLDEST, metavar="ID", help="only records after this one; resumes a walk")
    add("--dry-run", action="store_true", help="only count; change nothing")


_FILTERS = (
    "retryCodes",
    "streamOCIDToRetry",
    "from",
    "to",
    "targetRestApi",
    "streamKey",
    "retryLimit",
    "force",
    "noOfMessagesToProcess",
)


def run(args: argparse.Namespace) -> int:
    """Do the command that was parsed; returns the exit code."""
    try:
        with Deployment(args.url, _headers(args.headers)) as deployment:
            if args.operation == "status":
                return status(deployment, as_json=args.as_json)
            if args.operation == "view":
                headers = _headers(args.headers)
                return view.view(args.url, headers, port=args.port, opening=not args.no_browser)
            given = vars(args)
            filters = {name: given[name] for name in _FILTERS if given[name] is not None}
            return replay(deployment, filters, after=args.after, dry_run=args.dry_run, as_json=args.as_json)
    except DeploymentError as error:
        _complain(error)
        return NOT_ASKED


def status(deployment: Deployment, *, as_json: bool) -> int:
    """Print the counts of `GET /process`."""
    report = deployment.get("/process")
    if as_json:
        print(json.dumps(report))
    else:
        Console().print(_status_table(report))
    return ALL_WELL


def _status_table(report: dict[str, Any]) -> Table:
    table = Table(title="Records")
    table.add_column("state")
    table.add_column("records", justify="right")
    failed = _members(report, "failed")
    for title, counts in (
        ("", _members(report, "counts")),
        ("failed with ", _members(failed, "byCode")),
        ("failed, filed under ", _members(failed, "byStream")),
        ("failed at ", _members(failed, "byTarget")),
    ):
        for name, count in counts.items():
            table.add_row(_plain(f"{title}{name}"), _plain(count))
        table.add_section()
    table.add_row("due now", _plain(report.get("due", "-")))
    table.add_row("oldest due since", _plain(report.get("oldestDueDate") or "-"))
    return table


def replay(
    deployment: Deployment, filters: dict[str, Any], *, after: str, dry_run: bool, as_json: bool
) -> int:
    """Count what matches, then walk through it; what was done is printed even where the walk stops early."""
    total = matching(deployment, filters, after)
    if dry_run:
        print(json.dumps({"matchingMessages": total}) if as_json else f"{total} failed records match")
        return ALL_WELL
    tally = Tally(offset=after, ended=total == 0)
    problem: DeploymentError | NoProgressError | None = None
    with _progress(quiet=as_json) as progress:
        task = progress.add_task("replaying", total=total)
        try:
            for tally in walk(deployment, filters, after) if total else ():
                progress.update(task, completed=tally.handled, total=max(total, tally.handled))
        except (DeploymentError, NoProgressError) as error:
            problem = error
    _summarise(tally, total, as_json=as_json)
    if problem:
        _complain(problem, f"To go on from here, add --after {printable(tally.offset)}")
    if isinstance(problem, DeploymentError):
        return NOT_ASKED
    return NOT_ALL_WELL if problem or tally.failed or tally.put_off else ALL_WELL


def _progress(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )


def _summarise(tally: Tally, total: int, *, as_json: bool) -> None:
    if as_json:
        content = {
            "matchingMessages": total,
            "succeeded": tally.succeeded,
            "failed": tally.failed,
            "putOff": tally.put_off,
            "lastReadOffset": tally.offset,
            "endOfStream": tally.ended,
        }
        print(json.dumps(content))
    else:
        print(
            f"{total} failed records matched: {tally.succeeded} succeeded, {tally.failed} failed again, "
            f"{tally.put_off} put off"
        )


def _complain(error: Exception, advice: str = "") -> None:
    text = f"{error}\n{advice}" if advice else str(error)
    Console(stderr=True).print(Text(text, style="red"), soft_wrap=True)


def _header(text: str) -> tuple[str, str]:
    """A header's name and value; the complaint repeats neither, since the value is a secret."""
    match = _HEADER.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError("write it as 'Name: value', in ASCII")
    return match[1], match[2]


def _headers(given: list[tuple[str, str]]) -> dict[str, str]:
    """The headers of every call; a key in the environment stands in no process list and no shell history."""
    key = os.environ.get("DATASYNC_API_KEY")
    return ({"X-API-Key": key} if key else {}) | dict(given)


def _members(report: dict[str, Any], name: str) -> dict[str, Any]:
    members = report.get(name)
    return members if isinstance(members, dict) else {}


def _plain(value: object) -> Text:
    """A cell that is shown as it is, without markup."""
    return Text(printable(str(value)))
