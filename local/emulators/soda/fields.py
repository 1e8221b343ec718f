"""A field to index or to sort by: one scalar per document, as JSON_VALUE takes it from the content.

Source: Oracle SQL Language Reference, JSON_VALUE: RETURNING, ON ERROR and ON EMPTY.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from . import paths, scalars
from .errors import ora

DATATYPES = {
    "varchar2": scalars.VARCHAR2,
    "varchar": scalars.VARCHAR2,
    "string": scalars.VARCHAR2,
    "number": scalars.NUMBER,
    "date": scalars.DATE,
    "timestamp": scalars.TIMESTAMP,
    "datetime": scalars.TIMESTAMP,
}
_TEXTS = tuple(name for name, datatype in DATATYPES.items() if datatype == scalars.VARCHAR2)
_OTHER = object()  # stands for what the general way has to look at
IRREGULAR = b"\xff"  # in the place of a lax field's value that is no scalar; sorts last, beside NULL
DEFAULT_LENGTH = 4000  # of VARCHAR2, where no maxLength is given
_CANNOT_CONVERT = {scalars.NUMBER: 1722, scalars.DATE: 1861, scalars.TIMESTAMP: 1861}


class Mode(StrEnum):
    """What happens where there is no scalar of the data type."""

    DEFAULT = "default"  # nothing there is NULL, anything else is an error
    SCALAR_REQUIRED = "scalarRequired"  # nothing there is an error too
    LAX = "lax"  # NULL in every case


class Irregular(Exception):
    """There is something at the path, but no scalar of the data type."""


@dataclass(frozen=True)
class Field:
    """Where a scalar stands in the content, and as what it is read. `max_length` is in UTF-8 bytes."""

    path: str
    datatype: str
    max_length: int | None
    mode: Mode

    def spec(self) -> str:
        """Text from which `from_spec` makes this field again; stands in the database schema."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=1024)
def from_spec(spec: str) -> Field:
    """The field that `Field.spec` described."""
    members = json.loads(spec)
    return Field(members["path"], members["datatype"], members["max_length"], Mode(members["mode"]))


def index_value(content: Any, field: Field) -> str | bytes | None:
    """A field's value in the form in which an index holds it."""
    try:
        value = extract(content, field)
    except Irregular:
        return IRREGULAR
    return value if value is None or type(value) is str else scalars.sql_key(value)


def extract(content: Any, field: Field) -> Any:
    """The scalar of a document, or None; raises `Irregular` for lax fields and Oracle's error for others."""
    if field.mode is not Mode.SCALAR_REQUIRED:
        value = _plain_member(content, field.path)
        if value is None:
            return None
        if type(value) is str and field.datatype in _TEXTS and len(value) * 4 <= (field.max_length or 1):
            return value
    found = list(paths.select(content, paths.parse(field.path)))
    if not found:
        if field.mode is Mode.SCALAR_REQUIRED:
            raise ora(40462, f"{field.path} is missing, and the field is scalarRequired")
        return None
    code, detail = _fault(found, field)
    if code:
        raise Irregular if field.mode is Mode.LAX else ora(code, detail)
    return scalars.CONVERT[field.datatype](found[0])


def _plain_member(content: Any, path: str) -> Any:
    """What most documents hold: members of objects all the way. None where nothing is there, or null."""
    value = content
    for step in paths.parse(path):
        if type(value) is not dict or type(step) is not str or step == "*":
            return _OTHER
        value = value.get(step)
    return value


def _fault(found: list[Any], field: Field) -> tuple[int, str]:
    """The code and the words of the error that JSON_VALUE has for these values; 0 for none."""
    if len(found) > 1:
        return 40470, f"{field.path} has {len(found)} values"
    (value,) = found
    if isinstance(value, list | dict):
        return 40456, f"{field.path} is an {'array' if isinstance(value, list) else 'object'}"
    if value is None:
        return 0, ""
    converted = scalars.CONVERT[field.datatype](value)
    if converted is None:
        return _CANNOT_CONVERT.get(field.datatype, 40456), f"{field.path} is no {field.datatype}"
    limit = field.max_length or DEFAULT_LENGTH
    if isinstance(converted, str) and len(converted) * 4 > limit and len(converted.encode()) > limit:
        return 40478, f"{field.path} is longer than {limit} bytes"
    return 0, ""
