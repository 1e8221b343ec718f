"""Values: Oracle NUMBER, the scalars that fields are compared and indexed as, and JSON content as text.

Content holds what the driver's JSON type does (dict, list, str, bool, None), with every number as Decimal.
Conversions follow the JSON Developer's Guide, "Types in Filter-Condition Comparisons": a number is compared
with a string that stands for one, a string with the text of a number.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import oracledb
import simplejson
from oracledb import errors as driver

from .errors import dpy, missing, ora

# ---- numbers ----

# SQL Language Reference, NUMBER: 40 significant digits at most, from 1E-130 to below 1E+126.
_DIGITS = 40
_LOWEST, _HIGHEST = -130, 125
_ROUNDING = Context(prec=_DIGITS, rounding=ROUND_HALF_UP)
_EXACTLY = Context(prec=400)  # more digits than any NUMBER has, so that nothing is rounded
_BIAS = 200


@lru_cache(maxsize=4096)
def number_from_json(text: str) -> Decimal:
    """The NUMBER that the database makes of a number in JSON text: rounded to 40 digits; ORA-01426 beyond."""
    number = _ROUNDING.create_decimal(text)
    if number and number.adjusted() > _HIGHEST:
        raise ora(1426, f"{text[:60]} is beyond what a NUMBER can hold")
    return _strip(number) if not number or number.adjusted() >= _LOWEST else Decimal(0)


def _number_from_python(value: int | float | Decimal) -> Decimal:
    """The NUMBER that the driver makes of a Python number; DPY-4003 if it has none, DPY-4004 for NaN."""
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise dpy(driver.ERR_INVALID_NUMBER)
    if number and (_significant(number) > _DIGITS or not _LOWEST <= number.adjusted() <= _HIGHEST):
        raise dpy(driver.ERR_ORACLE_NUMBER_NO_REPR)
    return _strip(number)


def _number_from_text(text: str) -> Decimal | None:
    """The NUMBER that a string stands for, or None; surrounding blanks are allowed as in TO_NUMBER."""
    try:
        number = _ROUNDING.create_decimal(text.strip(" "))
    except InvalidOperation:
        return None
    return _strip(number) if number.is_finite() and "_" not in text else None


@lru_cache(maxsize=4096)
def _sortable(number: Decimal) -> bytes:
    """Bytes that compare as the numbers do, exactly, so that an index can hold them.

    Sign, exponent and digits in this order; for a negative number each is complemented and a high terminator
    puts the shorter mantissa last.
    """
    if not number:
        return b"\x01"
    _, digits, _ = number.as_tuple()
    while digits[-1] == 0:
        digits = digits[:-1]
    exponent = number.adjusted() + _BIAS
    if number > 0:
        return b"\x02" + exponent.to_bytes(2, "big") + bytes(digits)
    return b"\x00" + (0xFFFF - exponent).to_bytes(2, "big") + bytes(9 - digit for digit in digits) + b"\x0a"


def _significant(number: Decimal) -> int:
    return len("".join(map(str, number.as_tuple().digits)).rstrip("0"))


def _strip(number: Decimal) -> Decimal:
    """Without zeros at the end of the fraction: 1.50 is 1.5, 100 stays 100."""
    exponent = number.as_tuple().exponent
    if exponent == 0:
        return number if number else Decimal(0)
    if number == number.to_integral_value():
        return Decimal(int(number))
    return number.normalize(_EXACTLY)


# ---- scalars ----

VARCHAR2, NUMBER = "varchar2", "number"


def to_string(item: Any) -> str | None:
    """VARCHAR2: strings as they are, the text of others; None for null and what is no scalar."""
    if isinstance(item, str):
        return item
    if isinstance(item, bool):
        return "true" if item else "false"
    if not isinstance(item, Decimal):
        return None
    plain = format(item, "f")
    return plain if len(plain) <= _DIGITS else str(item)


def to_number(item: Any) -> Decimal | None:
    """NUMBER: numbers, and strings that stand for one."""
    if isinstance(item, Decimal):
        return item
    return _number_from_text(item) if isinstance(item, str) else None


CONVERT: dict[str, Callable[[Any], Any]] = {VARCHAR2: to_string, NUMBER: to_number}


def sql_key(value: str | Decimal) -> str | bytes:
    """The form in which a converted value stands in an index: SQLite orders it as Oracle orders the value."""
    return _sortable(value) if isinstance(value, Decimal) else value


# ---- content ----

_NAME_BYTES = 255  # OSON field names, DPY-3020


def from_python(value: object) -> Any:
    """Content of a Python value; DPY-3003 for types that the driver does not take."""
    if value is None or isinstance(value, bool | str | oracledb.JsonId):
        return value
    if isinstance(value, dict):
        return {_name(key): from_python(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_python(item) for item in value]
    if isinstance(value, int | float | Decimal):
        return _number_from_python(value)
    if isinstance(value, bytes | datetime.date | datetime.timedelta):
        raise missing(f"JSON content of type {type(value).__name__}")
    raise dpy(driver.ERR_PYTHON_TYPE_NOT_SUPPORTED, typ=type(value))


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"Expected str, got {type(key).__name__}")
    if len(key.encode()) > _NAME_BYTES:
        raise dpy(driver.ERR_OSON_FIELD_NAME_LIMITATION, max_fname_size=_NAME_BYTES)
    return key


def parse(data: bytes) -> Any:
    """Content of JSON text in UTF-8, UTF-16LE or UTF-16BE; ORA-40780 if it is not JSON."""
    try:
        return decode(text_of(data))
    except (ValueError, RecursionError) as error:
        raise ora(40780, f"the document is not JSON: {error}") from None


def text_of(data: bytes) -> str:
    """JSON text in UTF-8, UTF-16LE or UTF-16BE as a string."""
    return data.decode(json.detect_encoding(data))


def encode(value: Any) -> str:
    """Content as JSON text, with numbers exactly as they are."""
    return _ENCODER.encode(value)


def decode(text: str) -> Any:
    """The content that JSON text stands for."""
    return _DECODER.decode(text)


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _refuse_type(value: object) -> None:
    raise missing(f"{type(value).__name__} within the content")


# Made once: `json.loads` and `json.dumps` make a new one for each call that has options.
_DECODER = json.JSONDecoder(
    parse_float=number_from_json, parse_int=number_from_json, parse_constant=_refuse_constant
)
_ENCODER = simplejson.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), use_decimal=True, default=_refuse_type
)
