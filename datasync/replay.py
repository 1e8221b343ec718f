"""The command `replay`: failed records are delivered again."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from datasync import filters
from datasync.asking import agrees
from datasync.deployment import Deployment, DeploymentError
from datasync.output import complain, in_words, printable, progress
from datasync.walk import (
    FROM_THE_OLDEST,
    Handled,
    LeftOut,
    Matching,
    NoProgressError,
    left_out,
    matching,
    walk,
)

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_ALL, _NOT_ALL, _INTERRUPTED = 0, 1, 130
_OPTIONS = (
    *filters.FAILURES,
    "ids",
    "retryLimit",
    "force",
    "adoptToken",
    "noOfMessagesToProcess",
)


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser. A filter's destination is its member of `/process/retry`."""
    parser = commands.add_parser(
        "replay",
        help="deliver failed records again",
        description="Count the failed records that match, then deliver them again, oldest first.",
        epilog="Exit codes: 0 every matching record was delivered; 1 some failed again or were skipped, "
        "or the deployment could not be reached; 130 stopped with Ctrl-C.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--id",
        dest="ids",
        action="append",
        metavar="ID",
        help="only this record, dead or not; may be repeated",
    )
    filters.add_to(parser)
    add("--limit", dest="retryLimit", type=int, help="leave records with this many attempts alone")
    add("--force", action="store_true", default=None, help="also what waits for its backoff, or is dead")
    add(
        "--adopt-token",
        dest="adoptToken",
        action="store_true",
        default=None,
        help="send what failed as tokenChanged with its secret's current version: look at the targets first",
    )
    add("--batch", dest="noOfMessagesToProcess", type=int, metavar="N", help="records per call")
    add(
        "--after", default=FROM_THE_OLDEST, metavar="ID", help="only records after this one: resumes a replay"
    )
    add("--yes", action="store_true", help="do not ask, however many they are")
    add("--dry-run", action="store_true", help="only count; change nothing")
    add("--json", dest="as_json", action="store_true", help="print the result as JSON, and no progress")
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Count what matches, then walk through it; returns the exit code."""
    given = vars(arguments)
    chosen = {name: given[name] for name in _OPTIONS if given[name] is not None}
    match = matching(deployment, chosen, arguments.after)
    total = match.total
    if arguments.as_json and (arguments.dry_run or not total):
        nothing = _content(Handled(arguments.after, ended=True), total)
        print(json.dumps(match.as_json() if arguments.dry_run else nothing))
    elif not total:
        others = (
            None if arguments.force or arguments.adoptToken else left_out(deployment, chosen, arguments.after)
        )
        print(_nothing(others))
    elif arguments.dry_run:
        print(_matched(match))
    elif not _is_wanted(match, arguments):
        complain("Nothing was changed.")
        return _NOT_ALL
    else:
        return _replay(deployment, chosen, arguments, total)
    return _ALL


def _is_wanted(match: Matching, arguments: argparse.Namespace) -> bool:
    """Tell what matches, and on a terminal ask whether to go on."""
    if match.total > 1 and not arguments.yes and sys.stdin.isatty():
        return agrees(f"{_matched(match)}. Replay them?")
    if not arguments.as_json:
        print(_matched(match), file=sys.stderr)
    return True


def _matched(match: Matching) -> str:
    """How many match, and of what."""
    of_what = in_words(match.by_code, match.by_target)
    return f"{match.total} match" + (f": {of_what}" if of_what else "")


def _replay(deployment: Deployment, chosen: dict[str, Any], arguments: argparse.Namespace, total: int) -> int:
    """Walk; what was done is printed even if the walk stops early, with how to go on."""
    handled = Handled(arguments.after)
    problem: BaseException | None = None
    with progress(quiet=arguments.as_json) as shown:
        task = shown.add_task("replaying", total=total)
        try:
            for handled in walk(deployment, chosen, arguments.after):
                shown.update(task, completed=handled.records, total=max(total, handled.records))
        except (DeploymentError, NoProgressError, KeyboardInterrupt) as error:
            problem = error
    print(json.dumps(_content(handled, total)) if arguments.as_json else _summary(handled, total))
    if problem is None:
        return _NOT_ALL if handled.failed or handled.skipped else _ALL
    interrupted = isinstance(problem, KeyboardInterrupt)
    words = "Interrupted; the call that was running may still finish." if interrupted else str(problem)
    complain(f"{words}\n{_resuming(handled)}")
    return _INTERRUPTED if interrupted else _NOT_ALL


def _content(handled: Handled, total: int) -> dict[str, Any]:
    return {
        "matchingMessages": total,
        "succeeded": handled.succeeded,
        "failed": handled.failed,
        "skipped": handled.skipped,
        "lastReadOffset": handled.offset,
        "endOfStream": handled.ended,
    }


def _summary(handled: Handled, total: int) -> str:
    return (
        f"{total} matched: {handled.succeeded} delivered, {handled.failed} failed again, "
        f"{handled.skipped} skipped"
    )


def _nothing(others: LeftOut | None) -> str:
    """Why nothing matches, if `--force` would change that."""
    if others is None or not (others.waiting or others.dead):
        return "0 match"
    kinds = []
    if others.waiting:
        kinds.append(
            "1 waits for its backoff" if others.waiting == 1 else f"{others.waiting} wait for their backoff"
        )
    if others.dead:
        kinds.append(f"{others.dead} {'is' if others.dead == 1 else 'are'} dead")
    least = "at least " if others.at_least else ""
    return f"0 match, {least}{' and '.join(kinds)}: use --force"


def _resuming(handled: Handled) -> str:
    if handled.offset == FROM_THE_OLDEST:
        return "To go on, run the same command again."
    return f"To go on from here, run the same command with --after {printable(handled.offset)}"
