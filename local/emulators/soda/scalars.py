"""One scalar as a value of a SQL data type: what JSON_VALUE and the lax comparisons of JSON_EXISTS convert.

Source: Oracle JSON Developer's Guide, "Types in Filter-Condition Comparisons", "SQL/JSON Path Expression Item
Methods" and "ISO 8601 Date, Time, and Duration Support": a number is compared with a string that stands for
one, a string with the text of a number.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import oracledb

from . import numbers

VARCHAR2, NUMBER, DATE, TIMESTAMP = "varchar2", "number", "date", "timestamp"


def to_string(item: Any) -> str | None:
    """VARCHAR2: strings as they are, the text of others; None for null and what is no scalar."""
    if isinstance(item, str):
        return item
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, Decimal):
        return numbers.to_text(item)
    if isinstance(item, datetime.datetime):
        return item.isoformat()
    if isinstance(item, bytes):
        return item.hex() if isinstance(item, oracledb.JsonId) else item.hex().upper()
    return None


def to_number(item: Any) -> Decimal | None:
    """NUMBER: numbers, and strings that stand for one."""
    if isinstance(item, Decimal):
        return item
    return numbers.from_text(item) if isinstance(item, str) else None


def to_timestamp(item: Any) -> datetime.datetime | None:
    """TIMESTAMP: ISO 8601 text in UTC, without a zone where none was given; dates have the time 00:00."""
    if isinstance(item, datetime.datetime):
        return item
    if not isinstance(item, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(item)
    except ValueError:
        return None
    return moment.astimezone(datetime.UTC).replace(tzinfo=None) if moment.tzinfo else moment


def to_date(item: Any) -> datetime.datetime | None:
    """DATE: as TIMESTAMP, with the time of day cut off."""
    moment = to_timestamp(item)
    return moment and moment.replace(hour=0, minute=0, second=0, microsecond=0)


CONVERT: dict[str, Callable[[Any], Any]] = {
    VARCHAR2: to_string,
    NUMBER: to_number,
    DATE: to_date,
    TIMESTAMP: to_timestamp,
}


def sql_key(value: str | Decimal | datetime.datetime) -> str | bytes:
    """The form in which a converted value stands in an index: SQLite orders it as Oracle orders the value."""
    if isinstance(value, Decimal):
        return numbers.sortable(value)
    return value.isoformat() if isinstance(value, datetime.datetime) else value
