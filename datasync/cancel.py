"""The command `cancel`: records that are not to be delivered any more."""

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from datasync import filters
from datasync.asking import agrees
from datasync.deployment import Deployment, DeploymentError, path_of
from datasync.output import complain, in_words, printable, progress
from datasync.pages import Record, records_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_ALL, _NOT_ALL, _WRONG, _INTERRUPTED = 0, 1, 2, 130
_CANCELLED = "cancelled"
_WORDS = {_CANCELLED: "cancelled", "finished": "finished already", "notFound": "not found"}
_REFUSED = {409: "finished", 404: "notFound"}
_NAMED_MOST = 10  # records of an outcome

Outcomes = dict[str, list[str]]


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser(
        "cancel",
        help="end records that are not delivered",
        description="Cancel the records with these ids, or all failed ones that match, dead or not. What is "
        "being sent at that moment may still be delivered: `datasync show ID` tells.",
        epilog="Exit codes: 0 all are cancelled; 1 some were finished or not found, or nothing was changed; "
        "130 stopped with Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="the record's id")
    filters.add_to(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask, however many they are")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print ids by outcome as JSON")
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Cancel records, and print what became of them; returns the exit code."""
    chosen = filters.given(arguments)
    if bool(arguments.ids) == bool(chosen):
        complain("Name records by their ids, or choose failed ones with --codes, --target, --key and so on.")
        return _WRONG
    if chosen:
        failures = list(records_of(deployment, "/process/failures", "failures", chosen))
        ids = list(dict.fromkeys(str(one.get("id")) for one in failures))
        question = f"Cancel {len(ids)} records: {_of_what(failures)}?"
    else:
        ids = list(dict.fromkeys(arguments.ids))
        question = f"Cancel {len(ids)} records?"
    if len(ids) > 1 and not (arguments.yes or agrees(question)):
        complain("Nothing was changed. Answer with y, or pass --yes.")
        return _NOT_ALL
    return _cancel(deployment, ids, as_json=arguments.as_json)


def _of_what(failures: Iterable[Record]) -> str:
    codes: Counter[str] = Counter()
    targets: Counter[str] = Counter()
    for one in failures:
        codes[str(one.get("status_code", "-"))] += 1
        _, _, place = str(one.get("targetRestApi", "")).partition("://")
        targets[place.partition("/")[0] or "-"] += 1
    return in_words(codes, targets)


def _cancel(deployment: Deployment, ids: list[str], *, as_json: bool) -> int:
    """Cancel one after the other; what was done is printed even if that ends early."""
    outcomes: Outcomes = {outcome: [] for outcome in _WORDS}
    problem: BaseException | None = None
    with progress(quiet=as_json or len(ids) < 2) as shown:
        task = shown.add_task("cancelling", total=len(ids))
        try:
            for identity in ids:
                outcomes[_outcome(deployment, identity)].append(identity)
                shown.advance(task)
        except (DeploymentError, KeyboardInterrupt) as error:
            problem = error
    print(json.dumps(outcomes) if as_json else _summary(outcomes))
    if problem is None:
        return _ALL if len(outcomes[_CANCELLED]) == len(ids) else _NOT_ALL
    interrupted = isinstance(problem, KeyboardInterrupt)
    words = "Interrupted; the call that was running may still finish." if interrupted else str(problem)
    complain(f"{words}\nTo go on, run the same command again: what is cancelled stays so.")
    return _INTERRUPTED if interrupted else _NOT_ALL


def _outcome(deployment: Deployment, identity: str) -> str:
    try:
        deployment.call("DELETE", path_of(identity))
    except DeploymentError as error:
        if error.status not in _REFUSED:
            raise
        return _REFUSED[error.status]
    return _CANCELLED


def _summary(outcomes: Outcomes) -> str:
    """The numbers, and which records were not cancelled."""
    lines = [", ".join(f"{len(outcomes[outcome])} {words}" for outcome, words in _WORDS.items())]
    for outcome, words in _WORDS.items():
        named = outcomes[outcome][:_NAMED_MOST]
        if named and outcome != _CANCELLED:
            others = len(outcomes[outcome]) - len(named)
            more = f" and {others} more (--json names all)" if others else ""
            lines.append(f"{words}: {' '.join(map(printable, named))}{more}")
    return "\n".join(lines)
