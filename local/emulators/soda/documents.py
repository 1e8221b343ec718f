"""Documents: what `oracledb.SodaDocument` shows, and how a document becomes a row."""

from __future__ import annotations

import datetime
import os
import re
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

from . import content, scalars
from .session import Row, SqlValue, read_document

_OBJECT_ID = re.compile("[0-9A-Fa-f]{24}")
JSON = "application/json"


@dataclass(frozen=True)
class DocumentImpl:
    """The implementation object of a `SodaDocument`: its content is bytes, or a JSON value."""

    content: Any = None
    key: str | None = None
    version: str | None = None
    media_type: str | None = JSON
    created_on: str | None = None
    last_modified: str | None = None

    def get_content(self) -> tuple[Any, str]:
        """The content, and its encoding where it is bytes."""
        return self.content, "UTF-8"

    def get_key(self) -> str | None:
        """The key, if it has one."""
        return self.key

    def get_version(self) -> str | None:
        """The version, of stored documents."""
        return self.version

    def get_media_type(self) -> str:
        """The media type."""
        return self.media_type or JSON

    def get_created_on(self) -> str | None:
        """When it was created, in collections that keep this."""
        return self.created_on

    def get_last_modified(self) -> str | None:
        """When it was last changed, in collections that keep this."""
        return self.last_modified

    def json(self) -> Any:
        """The content as a JSON value; ORA-40780 where it is none."""
        return content.parse(self.content) if isinstance(self.content, bytes) else self.content


def from_row(row: Row) -> DocumentImpl:
    """The document of a row of `statements.COLUMNS`."""
    key, version, ident, media, created, modified, body = row
    value = body if isinstance(body, bytes) else read_document(body, ident)
    return DocumentImpl(value, key, version, media, created, modified)


def new_version() -> str:
    """A version (eTag): a GUID as 32 hexadecimal digits."""
    return os.urandom(16).hex().upper()


def now() -> str:
    """A time stamp as SODA shows it: UTC with microseconds."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_PROCESS = os.urandom(5)
_COUNTER = count(int.from_bytes(os.urandom(3), "big"))


def new_object_id() -> bytes:
    """A generated `_id`: 12 bytes, as JSON_ID('OID') makes them: seconds, a random part, a counter."""
    return int(time.time()).to_bytes(4, "big") + _PROCESS + (next(_COUNTER) & 0xFFFFFF).to_bytes(3, "big")


def _after_fork() -> None:
    global _PROCESS  # a child must not make its parent's identifiers
    _PROCESS = os.urandom(5)


os.register_at_fork(after_in_child=_after_fork)


def key_of(ident: SqlValue) -> str:
    """The key of a native document: the hexadecimal digits of a generated `_id`, the text of one that is
    chosen."""
    if isinstance(ident, bytes):
        return ident.hex()
    value = content.decode(str(ident))
    return scalars.to_string(value) or str(ident)


def normalized_key(key: str) -> str:
    """A native key as it is stored: hexadecimal digits of a generated `_id` may be given in upper case."""
    return key.lower() if _OBJECT_ID.fullmatch(key) else key
