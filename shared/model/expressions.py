"""The operator's expressions, in JMESPath (https://jmespath.org/specification.html).

JMESPath has neither loops nor recursion. The expressions are the operator's own, and bounded in time only.
Numbers are exact, as payloads have them.
"""

import functools
import re
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from shared.model import json_codec

_LONGEST = 10_000  # characters of an expression
_MOST_SECONDS = 1.0  # of its thread's time, for one evaluation
_NUMBER = re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?([eE][+-]?[0-9]{1,2})?")


class ExpressionFailed(Exception):
    """An expression could not be evaluated; says why, with nothing of the value."""


@dataclass(frozen=True)
class Expression:
    """An expression, compiled.

    >>> Expression.parse("payload.amount > `100`").evaluate({"payload": {"amount": 120}})
    True
    """

    text: str
    _tree: dict[str, Any] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: Any) -> "Expression":
        """Compile an expression; ValueError says what is wrong with it."""
        from jmespath.exceptions import JMESPathError
        from jmespath.parser import Parser

        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            raise ValueError(f"must be a JMESPath expression of at most {_LONGEST} characters")
        try:
            return cls(text, _exact(Parser().parse(text).parsed))
        except (JMESPathError, RecursionError, ValueError) as error:
            words = str(error).split("\n")[0][:200]
            raise ValueError(f"is no JMESPath expression: {words}") from None

    def evaluate(self, value: Any) -> Any:
        """Return what it gives of a value. Raises ExpressionFailed."""
        try:
            return _interpreter()(_options()).visit(self._tree, value)
        except ExpressionFailed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the library raises may quote the value
            raise ExpressionFailed(f"fails ({type(error).__name__})") from None


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
                raise ExpressionFailed(f"takes more than {_MOST_SECONDS:g} s")
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
