"""JSON text to Python values and back, exactly: no number passes through a double.

The standard library writes all but fractions: it can read them as `Decimal`, and only `simplejson` can write
them.
"""

import json
import re
from collections import Counter
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Subnormal
from typing import Any

import simplejson

from shared.model.errors import Fault, Invalid, NotJson, TooLarge

# Oracle's NUMBER keeps 38 digits for sure, and magnitudes from 1e-130 to below 1e126.
# [SQL Language Reference, "NUMBER Data Type"]
_NUMBER = Context(
    prec=38, Emin=-130, Emax=125, traps=[Inexact, InvalidOperation, Overflow, Subnormal], clamp=0
)
_SHORT_INTEGER = 38
_DEEPEST = 100  # levels; what reads and writes JSON elsewhere may recurse
_TOO_DEEP = f"The body nests deeper than {_DEEPEST} levels; flatten it."
MOST_VALUES = 100_000
"""The most values that a body may have."""
_STRING = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL
)  # one without an end ends with the text
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")


def parse(body: bytes, most_values: int = MOST_VALUES) -> Any:
    """Return the JSON value in `body` (UTF-8, RFC 8259), numbers as `int` or `Decimal`.

    >>> parse(b'{"amount": 0.10}')
    {'amount': Decimal('0.10')}

    Raises NotJson if the text is not JSON, names a member twice, contains half of a surrogate pair or nests
    too deeply; TooLarge if it has more values than are read; Invalid if it contains a number or a character
    that the database can't keep exactly.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotJson(f"The body is not UTF-8 (byte {error.start}); send JSON encoded as UTF-8.") from None
    _refuse_too_many(text, most_values)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_number,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        what = error.msg.replace(" %r", "").removesuffix(" at").lower()
        raise NotJson(f"The body is not JSON: {what} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise NotJson(_TOO_DEEP) from None
    if _is_too_deep(value):
        raise NotJson(_TOO_DEEP)
    if "\\u" in text:
        _refuse_unstorable(value)
    return value


def _refuse_too_many(text: str, most: int) -> None:
    """Refuse a text whose values would take many times its own size in memory, before they are created.

    Each value is the first of all, the first in its array or object, or follows a comma.
    """
    if _most_values(text) > most and _most_values(_STRING.sub("", text)) > most:
        raise TooLarge(f"The body has more than {most} values; send fewer at once.")


def _most_values(text: str) -> int:
    return 1 + text.count(",") + text.count("[") + text.count("{")


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return True


def dump(value: Any) -> bytes:
    """Return `value` as compact UTF-8 JSON: numbers exactly as they are, text unescaped."""
    try:
        text: str = _FAST_ENCODER.encode(value)
    except _HasFraction:
        text = _ENCODER.encode(value)
    return text.encode("utf-8")


def dump_ascii(value: Any) -> str:
    """Return `value` as JSON text of ASCII characters, for targets that want another encoding than UTF-8.

    >>> dump_ascii("Bj\u00f8rn") == '"Bj' + chr(92) + 'u00f8rn"'
    True
    """
    text: str = _ASCII_ENCODER.encode(value)
    return text


def pointer_token(name: str) -> str:
    """Escape a member's name for a JSON Pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


class _HasFraction(Exception):
    """What is to be written has a number that the standard library can't write."""


def _whole(value: Any) -> int:
    """Return a whole number as `int`: the database's driver gives all numbers as `Decimal`."""
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:  # 1.00 is written as it came
        return int(value)
    raise _HasFraction


_FAST_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False, default=_whole
)
_ENCODER, _ASCII_ENCODER = (  # made once: `dumps` makes one for each call
    simplejson.JSONEncoder(use_decimal=True, ensure_ascii=is_ascii, separators=(",", ":"), allow_nan=False)
    for is_ascii in (False, True)
)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise NotJson(f"The member {twice[:100]!r} appears twice in one object; send it once.")
    return members


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _SHORT_INTEGER else _number(text)


def _number(text: str) -> Decimal:
    try:
        return _NUMBER.create_decimal(text)
    except (Inexact, InvalidOperation, Overflow, Subnormal):
        detail = f"The number {text[:50]} can't be kept exactly (38 digits, 1e-130 to 1e126); send a string."
        raise Invalid(detail, [Fault("", detail)]) from None


def _constant(name: str) -> Any:
    raise NotJson(f"{name} is not JSON; send null or a string instead.")


def _refuse_unstorable(value: Any) -> None:
    """Refuse what only an escape can express: half of a surrogate pair, and NUL."""
    try:
        written = dump(value)
    except UnicodeEncodeError:
        raise NotJson(
            "The body contains half of a surrogate pair, which is not a character; remove it."
        ) from None
    if _NUL.search(written):
        detail = "The body contains a NUL character, which the database can't keep; remove it."
        raise Invalid(detail, [Fault("", detail)])
