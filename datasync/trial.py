"""The action `targets try`: what a policy would do with a record and an answer, without sending anything.

The expressions are evaluated here, with the `jmespath` package, which the command's other parts do not need.
"""

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasync.output import complain

if TYPE_CHECKING:
    from argparse import _SubParsersAction

SENT, NOT_SENT, WRONG = 0, 1, 2
_EXPRESSIONS = ("filter", "payload", "headers", "success")
_SENT = ("targetRestApiOperation", "targetRestApi", "targetRestApiHeaders", "targetRestApiPayload")
_URL = re.compile(r"([A-Za-z]+)://([^/?#]*)(.*)", re.DOTALL)
_PORTS = {"https": 443, "http": 80}

Document = dict[str, Any]


class PolicyFailed(Exception):
    """A policy can't be applied; the message says which, and why."""


def add_to(actions: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the action, which calls no deployment."""
    attempt = actions.add_parser(
        "try",
        help="print what would be sent of a record under the policies of a file",
        epilog="Fractions are doubles here; a delivery keeps them exact, and bounds an evaluation's time. "
        "Exit codes: 0 it would be sent, and the answer is a success; 1 a policy filters it, fails, or does "
        "not call the answer a success; 2 a file is wrong, or jmespath is not installed.",
        allow_abbrev=False,
    )
    attempt.add_argument("file", type=Path, help="a policies document, as for `targets apply`")
    attempt.add_argument("--record", type=Path, required=True, help="a file with a record, as for /store")
    attempt.add_argument(
        "--answer", type=Path, help='a file with an answer: {"status": 200, "headers": {}, "body": …}'
    )
    attempt.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what was parsed; returns the exit code."""
    try:
        policies = parse(_json(arguments.file))
        record = _flat(_json(arguments.record))
        answer = None if arguments.answer is None else _answer(_json(arguments.answer))
    except ImportError:
        complain(
            "This command also needs jmespath: pipx inject oci-data-sync jmespath, or pip install jmespath"
        )
        return WRONG
    except (OSError, ValueError) as error:
        complain(str(error))
        return WRONG
    result, code = tried(policies, record, answer)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return code


def parse(document: Any) -> list[Document]:
    """Return the policies of a document, with their expressions compiled. Raises ValueError."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    entries = document.get("targets") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("The file must hold an object with targets, a list of policies")
    policies = [dict(entry) for entry in entries]
    for place, policy in enumerate(policies):
        if not all(isinstance(policy.get(member), str) for member in ("name", "targetRestApi")):
            raise ValueError(f"/targets/{place} must have name and targetRestApi, both text")
        for member in _EXPRESSIONS:
            if policy.get(member) is not None:
                try:
                    policy[member] = jmespath.compile(policy[member])
                except (JMESPathError, TypeError, AttributeError, ValueError, RecursionError) as error:
                    raise ValueError(
                        f"/targets/{place}/{member} is no JMESPath expression: {error}"
                    ) from None
    return policies


def tried(policies: list[Document], record: Document, answer: Document | None) -> tuple[Document, int]:
    """Apply the policy of a record to it, and to an answer; what is to be printed, and the exit code."""
    policy = _policy_of(policies, record)
    shown: Document = {"policy": policy.get("name")}
    try:
        changed = _applied(policy, record)
        if changed is None:
            return shown | {"filtered": True}, NOT_SENT
        shown["sent"] = {name: changed[name] for name in _SENT if name in changed}
        shown |= {} if answer is None else {"success": _is_success(policy, answer)}
    except PolicyFailed as error:
        return shown | {"fails": str(error)}, NOT_SENT
    return shown, NOT_SENT if shown.get("success") is False else SENT


def _policy_of(policies: list[Document], record: Document) -> Document:
    """Return the policy that is nearest to a record: by the length of its URL, then by its operation."""
    url, operation = _normalised(str(record.get("targetRestApi", ""))), record.get("targetRestApiOperation")
    match = _URL.match(url)
    if match and not match[3].startswith("/"):  # as with an empty path (RFC 3986, section 6.2.3)
        url = f"{match[1]}://{match[2]}/{match[3]}"
    found = [
        one
        for one in policies
        if url.startswith(_normalised(one["targetRestApi"]))
        and one.get("targetRestApiOperation") in (None, operation)
    ]
    return max(
        found,
        key=lambda one: (len(_normalised(one["targetRestApi"])), "targetRestApiOperation" in one),
        default={},
    )


def _normalised(url: str) -> str:
    """Return the beginning of URLs in lower case where case says nothing, and without the usual port."""
    match = _URL.match(url)
    if match is None:
        return url
    scheme, authority = match[1].lower(), match[2].lower()
    return f"{scheme}://{authority.removesuffix(f':{_PORTS.get(scheme)}')}{match[3]}"


def _applied(policy: Document, record: Document) -> Document | None:
    """Return the record as it would be sent; None if the filter keeps it back. Raises PolicyFailed."""
    if policy.get("filter"):
        wanted = _result(policy, "filter", _visible(record))
        if not (wanted is None or isinstance(wanted, bool)):
            raise _failed(policy, "filter gives neither true nor false")
        if not wanted:
            return None
    changed = dict(record)
    for name, member in (("payload", "targetRestApiPayload"), ("headers", "targetRestApiHeaders")):
        if policy.get(name):
            changed[member] = _result(policy, name, _visible(record))
            if changed[member] is None:
                raise _failed(policy, f"{name} gives null")
    if policy.get("headers"):
        headers = changed["targetRestApiHeaders"]
        if not isinstance(headers, dict) or not all(isinstance(one, str) for one in headers.values()):
            raise _failed(policy, "headers gives no object of strings")
        # Names differ by more than their case (RFC 9110, section 5.1): of two alike the later counts.
        changed["targetRestApiHeaders"] = dict({one[0].lower(): one for one in headers.items()}.values())
    return changed


def _is_success(policy: Document, answer: Document) -> bool:
    """Tell whether an answer is a success; without an expression any 2xx is. Raises PolicyFailed."""
    if not policy.get("success"):
        status: int = answer["status"]
        return 200 <= status < 300
    given = _result(policy, "success", answer)
    if not isinstance(given, bool):
        raise _failed(policy, "success gives neither true nor false")
    return given


def _result(policy: Document, member: str, value: Document) -> Any:
    try:
        return policy[member].search(value)
    except Exception as error:  # noqa: BLE001 - functions raise what they like on values that they do not expect
        raise _failed(policy, f"{member} fails: {error}") from None


def _failed(policy: Document, what: str) -> PolicyFailed:
    return PolicyFailed(f"policy {policy['name']!r}: {what}")


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from None


def _flat(record: Any) -> Document:
    """Return a record in either of its forms, with all members at the top."""
    message = record.get("streamMessage", {}) if isinstance(record, dict) else None
    if not isinstance(message, dict):
        raise ValueError("The record must be an object, and so must its streamMessage")  # noqa: TRY004 - a file's fault
    return {name: one for name, one in {**record, **message}.items() if name != "streamMessage"}


def _answer(value: Any) -> Document:
    """Return an answer as `success` sees it."""
    status = value.get("status") if isinstance(value, dict) else None
    headers = value.get("headers", {}) if isinstance(value, dict) else None
    if not isinstance(status, int) or isinstance(status, bool) or not isinstance(headers, dict):
        raise ValueError("The answer must be an object with status, a number, and perhaps headers and body")  # noqa: TRY004 - a file's fault
    lower = {name.lower(): one for name, one in headers.items()}
    return {"status": status, "headers": lower, "body": value.get("body")}


def _visible(record: Document) -> Document:
    """Return what expressions see of a record."""
    headers = record.get("targetRestApiHeaders") or {}
    if isinstance(headers, list):
        headers = {pair["key"]: pair["value"] for pair in headers}
    names = ("streamKey", "reference", "targetRestApiOperation", "targetRestApi", "id", "createdDate")
    seen = {name: record.get(name) for name in names}
    return {"payload": record.get("targetRestApiPayload"), "headers": headers, **seen}
