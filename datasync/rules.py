"""The command `rules try`: what the operator's rules would do with a record, without sending anything.

The expressions are evaluated here, with the `jmespath` package, which the command's other parts do not need.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasync.output import complain

if TYPE_CHECKING:
    from argparse import _SubParsersAction

SENT, NOT_SENT, WRONG = 0, 1, 2
_EXPRESSIONS = ("filter", "payload", "headers")
_MEMBERS = ("name", "targetRestApi", "targetRestApiOperation", *_EXPRESSIONS)
_SENT = ("targetRestApiOperation", "targetRestApi", "targetRestApiHeaders", "targetRestApiPayload")


class RuleFailed(Exception):
    """A rule can't be applied to the record; the message says which, and why."""


@dataclass(frozen=True)
class Rule:
    """One entry of RULES, with its expressions compiled by `jmespath`."""

    name: str
    target: str
    operations: frozenset[str]
    expressions: dict[str, Any]

    def matches(self, record: dict[str, Any]) -> bool:
        """Tell whether it is a rule for this record."""
        operation = record.get("targetRestApiOperation")
        target = str(record.get("targetRestApi", ""))
        return target.startswith(self.target) and (not self.operations or operation in self.operations)

    def applied(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record as it would be sent; None if the filter keeps it back. Raises RuleFailed."""
        if "filter" in self.expressions:
            wanted = self._result("filter", record)
            if not (wanted is None or isinstance(wanted, bool)):
                raise RuleFailed(f"rule {self.name!r}: filter gives neither true nor false")
            if not wanted:
                return None
        changed = dict(record)
        for name, member in (("payload", "targetRestApiPayload"), ("headers", "targetRestApiHeaders")):
            if name in self.expressions:
                changed[member] = self._result(name, record)
                if changed[member] is None:
                    raise RuleFailed(f"rule {self.name!r}: {name} gives null")
        if "headers" in self.expressions:
            headers = changed["targetRestApiHeaders"]
            if not isinstance(headers, dict) or not all(isinstance(one, str) for one in headers.values()):
                raise RuleFailed(f"rule {self.name!r}: headers gives no object of strings")
            # Names differ by more than their case (RFC 9110, section 5.1): of two alike the later counts.
            changed["targetRestApiHeaders"] = dict({one[0].lower(): one for one in headers.items()}.values())
        return changed

    def _result(self, name: str, record: dict[str, Any]) -> Any:
        try:
            return self.expressions[name].search(_visible(record))
        except Exception as error:  # noqa: BLE001 - functions raise what they like on values that they do not expect
            raise RuleFailed(f"rule {self.name!r}: {name} fails: {error}") from None


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command, which calls no deployment."""
    parser = commands.add_parser("rules", help="try the rules of RULES on a record", allow_abbrev=False)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    attempt = actions.add_parser(
        "try",
        help="print what would be sent of a record",
        epilog="Fractions are doubles here; a delivery keeps them exact, and bounds an evaluation's time. "
        "Exit codes: 0 it would be sent; 1 a rule filters it, or fails; 2 a file is wrong, or jmespath is "
        "not installed.",
        allow_abbrev=False,
    )
    attempt.add_argument("--rules", type=Path, required=True, help="a file with the value of RULES")
    attempt.add_argument("--record", type=Path, required=True, help="a file with a record, as for /store")
    attempt.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what was parsed; returns the exit code."""
    try:
        rules = parse(arguments.rules.read_text())
        record = _flat(arguments.record)
    except ImportError:
        complain(
            "This command also needs jmespath: pipx inject oci-data-sync jmespath, or pip install jmespath"
        )
        return WRONG
    except (OSError, ValueError, RecursionError) as error:
        complain(str(error))
        return WRONG
    result, code = tried(rules, record)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return code


def parse(text: str) -> list[Rule]:
    """Read the value of RULES. Raises ValueError, which names the first rule that is wrong."""
    try:
        entries = json.loads(text or "[]")
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        raise ValueError("RULES must be a JSON list of rules")  # noqa: TRY004 - a file's fault
    return [_rule(number, entry) for number, entry in enumerate(entries, 1)]


def tried(rules: list[Rule], record: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Apply every rule that matches, one after the other; what is to be printed, and the exit code."""
    matching = [rule for rule in rules if rule.matches(record)]
    names, current = [rule.name for rule in matching], record
    for rule in matching:
        try:
            changed = rule.applied(current)
        except RuleFailed as error:
            return {"rules": names, "fails": str(error)}, NOT_SENT
        if changed is None:
            return {"rules": names, "filteredBy": rule.name}, NOT_SENT
        current = changed
    return {"rules": names, "sent": {name: current[name] for name in _SENT if name in current}}, SENT


def _rule(number: int, entry: Any) -> Rule:
    import jmespath
    from jmespath.exceptions import JMESPathError

    if not isinstance(entry, dict):
        raise ValueError(f"RULES must hold objects; number {number} is none")  # noqa: TRY004 - as above
    if entry.keys() - set(_MEMBERS) or not all(isinstance(one, str) for one in entry.values()):
        raise ValueError(f"RULES must hold rules of {', '.join(_MEMBERS)}, all text; look at number {number}")
    name = entry.get("name") or f"rule {number}"
    expressions = {}
    for member in _EXPRESSIONS:
        if entry.get(member):
            try:
                expressions[member] = jmespath.compile(entry[member])
            except (JMESPathError, ValueError, RecursionError) as error:
                raise ValueError(
                    f"RULES rule {name!r}: {member} is no JMESPath expression: {error}"
                ) from None
    if not expressions:
        raise ValueError(f"RULES rule {name!r} must have filter, payload or headers")
    operations = frozenset(entry.get("targetRestApiOperation", "").replace(",", " ").split())
    return Rule(name, entry.get("targetRestApi", ""), operations, expressions)


def _flat(file: Path) -> dict[str, Any]:
    """A record in either of its forms, with all members at the top."""
    try:
        record = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    message = record.get("streamMessage", {}) if isinstance(record, dict) else None
    if not isinstance(message, dict):
        raise ValueError("The record must be an object, and so must its streamMessage")  # noqa: TRY004 - as above
    return {name: one for name, one in {**record, **message}.items() if name != "streamMessage"}


def _visible(record: dict[str, Any]) -> dict[str, Any]:
    """What expressions see of a record."""
    headers = record.get("targetRestApiHeaders") or {}
    if isinstance(headers, list):
        headers = {pair["key"]: pair["value"] for pair in headers}
    names = ("streamKey", "targetRestApiOperation", "targetRestApi", "id", "createdDate")
    seen = {name: record.get(name) for name in names}
    return {"payload": record.get("targetRestApiPayload"), "headers": headers, **seen}
