"""The operator's rules: which records are not sent at all, and what is sent of the others.

Expressions are JMESPath (https://jmespath.org/specification.html), which has neither loops nor recursion.
They are the operator's own, and bounded in time only. They see payload, headers, key, operation, target, id
and date of a record, and never its token.
"""

import functools
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.model import json_codec
from shared.model.targets import normalised_prefix

Document = dict[str, Any]
Expression = dict[str, Any]

MEMBERS = ("name", "targetRestApi", "targetRestApiOperation", "filter", "payload", "headers")
_EXPRESSIONS = ("filter", "payload", "headers")
_LONGEST = 2000  # characters of an expression
_MOST_SECONDS = 1.0  # of its thread's time, for one evaluation
_NUMBER = re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?([eE][+-]?[0-9]{1,2})?")


class RuleFailed(Exception):
    """A rule could not be applied; says which and why, with nothing of the record."""


@dataclass(frozen=True)
class Rule:
    """One rule, for records whose target and operation match."""

    name: str
    target: str
    operations: frozenset[str]
    expressions: Mapping[str, Expression]

    def matches(self, document: Document) -> bool:
        """Tell whether it is a rule for this record."""
        operation = document.get("targetRestApiOperation")
        target = normalised_prefix(str(document.get("targetRestApi", "")))
        return target.startswith(self.target) and (not self.operations or operation in self.operations)

    def applied(self, document: Document) -> Document | None:
        """Return what is to be sent; None if the filter excludes the record. Raises RuleFailed."""
        if "filter" in self.expressions:
            wanted = self._result("filter", document)
            if not (wanted is None or isinstance(wanted, bool)):  # 1 == True, but is not a valid result
                raise RuleFailed(f"rule {self.name!r}: filter gives neither true nor false")
            if wanted is not True:
                return None
        changed = dict(document)
        if "payload" in self.expressions:
            changed["targetRestApiPayload"] = self._given("payload", document)
        if "headers" in self.expressions:
            headers = self._given("headers", document)
            if not isinstance(headers, dict) or not all(isinstance(one, str) for one in headers.values()):
                raise RuleFailed(f"rule {self.name!r}: headers gives no object of strings")
            # Names differ by more than their case (RFC 9110, section 5.1): of two alike the later counts.
            by_name = {name.lower(): (name, value) for name, value in headers.items()}
            changed["targetRestApiHeaders"] = dict(by_name.values())
        return changed

    def _given(self, name: str, document: Document) -> Any:
        result = self._result(name, document)
        if result is None:
            raise RuleFailed(f"rule {self.name!r}: {name} gives null")
        return result

    def _result(self, name: str, document: Document) -> Any:
        try:
            return _evaluated(self.expressions[name], _visible(document))
        except RuleFailed as error:
            raise RuleFailed(f"rule {self.name!r}: {name} {error}") from None
        except Exception as error:  # noqa: BLE001 - whatever the library raises may quote the payload
            raise RuleFailed(f"rule {self.name!r}: {name} fails ({type(error).__name__})") from None


def parse(text: str) -> tuple[Rule, ...]:
    """Read rules from a JSON list; ValueError names the first that is wrong.

    >>> [rule.name for rule in parse('[{"name": "large", "filter": "payload.amount > `100`"}]')]
    ['large']
    """
    if not text:
        return ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise ValueError("must be a JSON list of rules")  # noqa: TRY004 - an operator's fault
    return tuple(_rule(number, entry) for number, entry in enumerate(value, 1))


def apply(rules: Sequence[Rule], document: Document) -> tuple[Document | None, str]:
    """Apply every rule that matches, one after the other; with the name of the one that excludes it."""
    current = document
    for rule in rules:
        if rule.matches(document):
            changed = rule.applied(current)
            if changed is None:
                return None, rule.name
            current = changed
    return current, ""


def concern(rules: Sequence[Rule], document: Document) -> bool:
    """Tell whether any rule matches: only then there is something to evaluate."""
    return any(rule.matches(document) for rule in rules)


def _rule(number: int, entry: object) -> Rule:
    if not isinstance(entry, dict):
        raise ValueError(f"must hold objects; the {number}. is none")  # noqa: TRY004 - as above
    unknown = sorted(entry.keys() - set(MEMBERS))
    if unknown or not all(isinstance(entry.get(name, ""), str) for name in MEMBERS):
        raise ValueError(f"must hold rules of {', '.join(MEMBERS)}, all text; look at the {number}.")
    name = entry.get("name") or f"rule {number}"
    expressions = {one: _compiled(name, one, entry[one]) for one in _EXPRESSIONS if entry.get(one)}
    if not expressions:
        raise ValueError(f"rule {name!r} must have filter, payload or headers")
    operations = frozenset(entry.get("targetRestApiOperation", "").replace(",", " ").split())
    return Rule(name[:60], normalised_prefix(entry.get("targetRestApi", "")), operations, expressions)


def _compiled(name: str, member: str, text: str) -> Expression:
    from jmespath.exceptions import JMESPathError
    from jmespath.parser import Parser

    if len(text) > _LONGEST:
        raise ValueError(f"rule {name!r}: {member} must have at most {_LONGEST} characters")
    try:
        tree: Expression = _exact(Parser().parse(text).parsed)
    except (JMESPathError, RecursionError, ValueError) as error:
        words = str(error).split("\n")[0][:200]
        raise ValueError(f"rule {name!r}: {member} is no JMESPath expression: {words}") from None
    return tree


def _exact(node: Any) -> Any:
    """Return a syntax tree in which literal fractions are decimal, as the numbers of payloads are."""
    if isinstance(node, dict):
        if node.get("type") == "literal":
            return {**node, "value": _decimal(node.get("value"))}
        return {name: _exact(part) for name, part in node.items()}
    return [_exact(part) for part in node] if isinstance(node, list) else node


def _decimal(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {name: _decimal(part) for name, part in value.items()}
    return [_decimal(part) for part in value] if isinstance(value, list) else value


def _visible(document: Document) -> Document:
    headers = document.get("targetRestApiHeaders") or {}
    if isinstance(headers, list):
        headers = {pair["key"]: pair["value"] for pair in headers}
    return {
        "payload": document.get("targetRestApiPayload"),
        "headers": headers,
        "streamKey": document.get("streamKey"),
        "targetRestApiOperation": document.get("targetRestApiOperation"),
        "targetRestApi": document.get("targetRestApi"),
        "id": document.get("id"),
        "createdDate": document.get("createdDate"),
    }


def _evaluated(expression: Expression, value: Document) -> Any:
    return _interpreter()(_options()).visit(expression, value)


@functools.cache
def _interpreter() -> Any:
    """Return JMESPath's interpreter, bounded in the time of its thread."""
    from jmespath.visitor import TreeInterpreter

    class Bounded(TreeInterpreter):  # type: ignore[misc]  # the library is untyped
        def __init__(self, options: Any):
            super().__init__(options)
            self._end = time.thread_time() + _MOST_SECONDS

        def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
            if time.thread_time() > self._end:
                raise RuleFailed(f"takes more than {_MOST_SECONDS:g} s")
            return super().visit(node, *args, **kwargs)

    return Bounded


@functools.cache
def _options() -> Any:
    """Return options whose functions take decimal numbers, as payloads have them, and give no others."""
    from jmespath.functions import Functions, signature
    from jmespath.visitor import Options

    class Exact(Functions):  # type: ignore[misc]  # the library is untyped
        def _get_allowed_pytypes(self, types: Any) -> Any:
            allowed, subtypes = super()._get_allowed_pytypes(types)
            more = [(*one, "Decimal") if "float" in one else one for one in subtypes]
            return ([*allowed, "Decimal"] if "float" in allowed else allowed), more

        def _convert_to_jmespath_type(self, pyobject: Any) -> Any:
            return "number" if pyobject == "Decimal" else super()._convert_to_jmespath_type(pyobject)

        @signature({"types": []})  # type: ignore[untyped-decorator]
        def _func_type(self, arg: Any) -> Any:
            return "number" if isinstance(arg, Decimal) else super()._func_type(arg)

        @signature({"types": []})  # type: ignore[untyped-decorator]
        def _func_to_string(self, arg: Any) -> str:
            return arg if isinstance(arg, str) else json_codec.dump(arg).decode()

        @signature({"types": []})  # type: ignore[untyped-decorator]
        def _func_to_number(self, arg: Any) -> Any:
            if isinstance(arg, str):
                return Decimal(arg) if _NUMBER.fullmatch(arg.strip()) else None
            return arg if isinstance(arg, int | Decimal) and not isinstance(arg, bool) else None

    return Options(custom_functions=Exact())
