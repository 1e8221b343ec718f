"""The command `rules try`: what the rules would do with a record, without sending anything."""

import argparse
import json
import sys
from pathlib import Path

from shared.model import json_codec, rules
from shared.model.errors import DataSyncError

SENT, NOT_SENT, WRONG = 0, 1, 2


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `rules` to a command line."""
    parser = subparsers.add_parser("rules", help="try the rules of RULES on a record")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    attempt = actions.add_parser(
        "try",
        help="print what would be sent of a record",
        epilog="Exit codes: 0 it would be sent; 1 a rule filters it or fails; 2 a file is wrong.",
    )
    attempt.add_argument("--rules", type=Path, required=True, help="a file with the value of RULES")
    attempt.add_argument("--record", type=Path, required=True, help="a file with a record, as for /store")
    attempt.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what was parsed; returns the exit code."""
    try:
        known = rules.parse(args.rules.read_text().strip())
        record = json_codec.parse(args.record.read_bytes())
    except (OSError, ValueError, DataSyncError) as error:
        print(f"RULES {error}" if isinstance(error, ValueError) else error, file=sys.stderr)
        return WRONG
    message = record.get("streamMessage", {}) if isinstance(record, dict) else None
    if not isinstance(message, dict):
        print("The record must be an object, and so must its streamMessage.", file=sys.stderr)
        return WRONG
    flat = {**record, **message}
    return _told(known, {name: value for name, value in flat.items() if name != "streamMessage"})


def _told(known: tuple[rules.Rule, ...], record: rules.Document) -> int:
    matching = [rule.name for rule in known if rule.matches(record)]
    try:
        changed, kept_by = rules.apply(known, record)
    except rules.RuleFailed as error:
        print(json.dumps({"rules": matching, "fails": str(error)}, indent=2))
        return NOT_SENT
    if changed is None:
        print(json.dumps({"rules": matching, "filteredBy": kept_by}, indent=2))
        return NOT_SENT
    names = ("targetRestApiOperation", "targetRestApi", "targetRestApiHeaders", "targetRestApiPayload")
    sent = {name: changed[name] for name in names if name in changed}
    print(json_codec.dump({"rules": matching, "sent": sent}).decode())
    return SENT
