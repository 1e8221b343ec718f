"""JSON content: from what callers give, to the text kept in SQLite, and back as python-oracledb shows it.

The text is plain JSON, with numbers exactly as given. What JSON has no form for is kept as an object with one
member whose name begins with `$soda:`; this form never leaves this module.
"""

from __future__ import annotations

import datetime
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import oracledb
from oracledb import errors as driver

from . import numbers
from .errors import dpy, ora

_TAG = "$soda:"
_NAME_BYTES = 255  # OSON field names, DPY-3020


def from_python(value: object) -> Any:
    """Content as the driver's JSON type holds it: numbers as Decimal, dates as datetime; DPY-3003 for
    others."""
    if value is None or isinstance(value, bool | str | bytes | datetime.datetime | datetime.timedelta):
        return value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value
    if isinstance(value, dict):
        return {_name(key): from_python(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_python(item) for item in value]
    if isinstance(value, int | float | Decimal):
        return numbers.from_python(value)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - Oracle's DATE has no zone
    raise dpy(driver.ERR_PYTHON_TYPE_NOT_SUPPORTED, typ=type(value))


def parse(data: bytes) -> Any:
    """Content of JSON text in UTF-8, UTF-16LE or UTF-16BE; ORA-40780 where it is not JSON."""
    try:
        text = data.decode(json.detect_encoding(data))
        return _PARSER.decode(text)
    except (ValueError, RecursionError) as error:
        raise ora(40780, f"the document is not JSON: {error}") from None


def encode(value: Any) -> str:
    """The text that is kept for `value` (what `from_python` or `parse` gave)."""
    text = _ENCODER.encode(value)
    return _ENCODER.encode(_to_json(value)) if _TAG in text else text


def decode(text: str) -> Any:
    """What `encode` was given."""
    if _TAG in text:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, object_hook=_untag)
    return _DECODER.decode(text)


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"Expected str, got {type(key).__name__}")
    if len(key.encode()) > _NAME_BYTES:
        raise dpy(driver.ERR_OSON_FIELD_NAME_LIMITATION, max_fname_size=_NAME_BYTES)
    return key


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _to_json(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, dict):
        plain = {key: _to_json(item) for key, item in value.items()}
        looks_tagged = len(plain) == 1 and next(iter(plain)).startswith(_TAG)
        return {f"{_TAG}object": list(plain.items())} if looks_tagged else plain
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, Decimal):
        return _number_to_json(value)
    return _tag(value)


@lru_cache(maxsize=4096)
def _number_to_json(number: Decimal) -> Any:
    if number == number.to_integral_value():
        return int(number)
    as_float = float(number)
    return as_float if Decimal(repr(as_float)) == number else {f"{_TAG}number": str(number)}


def _tag(value: object) -> dict[str, str | float]:
    if isinstance(value, datetime.datetime):
        return {f"{_TAG}datetime": value.isoformat()}
    if isinstance(value, datetime.timedelta):
        return {f"{_TAG}interval": f"{value.days} {value.seconds} {value.microseconds}"}
    if isinstance(value, oracledb.JsonId):
        return {f"{_TAG}id": value.hex()}
    if isinstance(value, bytes):
        return {f"{_TAG}binary": b64encode(value).decode()}
    raise dpy(driver.ERR_PYTHON_TYPE_NOT_SUPPORTED, typ=type(value))


# Made once: `json.loads` and `json.dumps` make a new one for each call that has options.
_PARSER = json.JSONDecoder(parse_float=numbers.from_json, parse_int=numbers.from_json, parse_constant=_refuse)
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_to_json)

_UNTAG: dict[str, Callable[[Any], Any]] = {
    f"{_TAG}object": dict,
    f"{_TAG}number": Decimal,
    f"{_TAG}datetime": datetime.datetime.fromisoformat,
    f"{_TAG}interval": lambda text: datetime.timedelta(*(int(part) for part in text.split())),
    f"{_TAG}id": lambda text: oracledb.JsonId(bytes.fromhex(text)),
    f"{_TAG}binary": b64decode,
}


def _untag(member: dict[str, Any]) -> Any:
    if len(member) == 1:
        ((name, value),) = member.items()
        restore = _UNTAG.get(name)
        if restore is not None:
            return restore(value)
    return member
