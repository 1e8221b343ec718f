"""Documents: what `oracledb.SodaDocument` shows, and how a document becomes a row and a row a document."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

import oracledb

from . import json_types
from .errors import missing, ora

COLUMNS = "key, version, body"
Row = tuple[str, str, str]


@dataclass(frozen=True)
class DocumentImpl:
    """The implementation object of a `SodaDocument`: its content is bytes, or a JSON value."""

    content: Any = None
    key: str | None = None
    version: str | None = None

    def get_content(self) -> tuple[Any, str]:
        """The content, and its encoding if it is bytes."""
        return self.content, "UTF-8"

    def get_key(self) -> str | None:
        """The key, if it has one."""
        return self.key

    def get_version(self) -> str | None:
        """The version, of stored documents."""
        return self.version

    def get_media_type(self) -> str:
        """The media type: there is no other."""
        return "application/json"

    def get_created_on(self) -> None:
        """Native collections do not keep when a document was created."""

    def get_last_modified(self) -> None:
        """Native collections do not keep when a document was changed."""


def from_row(row: Row) -> DocumentImpl:
    """The document of a row of `COLUMNS`; its content begins with its `_id`, of which the key is the text."""
    key, version, body = row
    return DocumentImpl({"_id": oracledb.JsonId(bytes.fromhex(key)), **json_types.decode(body)}, key, version)


def new_row(document: DocumentImpl) -> tuple[Row, dict[str, Any]]:
    """The row of a document to insert, and its content; ORA-40665 if it has a key."""
    if document.key is not None:
        raise ora(40665, "create the document without a key: the collection assigns keys itself")
    content = json_object(document)
    if "_id" in content:
        raise missing("an _id of one's own")
    return (_new_object_id(), new_version(), body(document, content)), content


def body(document: DocumentImpl, content: dict[str, Any]) -> str:
    """The text that is kept of a document to write, whose content this is: as it came, if it came as text.

    Its numbers are rounded each time it is read. An `_id` is refused in a text, where it can be no JsonId.
    """
    if isinstance(document.content, bytes):
        return json_types.text_of(document.content)
    return json_types.encode(content)


def json_object(document: DocumentImpl) -> dict[str, Any]:
    """The content of a document to write; ORA-40780 if it is no JSON object."""
    content = document.content
    value = json_types.parse(content) if isinstance(content, bytes) else content
    if not isinstance(value, dict):
        raise ora(40780, "the content of a document has to be a JSON object")
    return value


def without_id(content: dict[str, Any], key: str) -> dict[str, Any]:
    """Content that replaces a document's; ORA-40665 if its `_id` is another one's."""
    if "_id" not in content:
        return content
    ident = content["_id"]
    if not isinstance(ident, oracledb.JsonId) or ident.hex() != key:
        raise ora(40665, f"the content's _id is not that of the document with key {key}: leave it unchanged")
    return {name: value for name, value in content.items() if name != "_id"}


def new_version() -> str:
    """A version (eTag): a GUID as 32 hexadecimal digits."""
    return os.urandom(16).hex().upper()


_PROCESS = os.urandom(5)
_COUNTER = count(int.from_bytes(os.urandom(3), "big"))


def _new_object_id() -> str:
    """A generated `_id` as a key: 12 bytes, as JSON_ID('OID') makes them: seconds, random ones, a counter."""
    ident = int(time.time()).to_bytes(4, "big") + _PROCESS + (next(_COUNTER) & 0xFFFFFF).to_bytes(3, "big")
    return ident.hex()


def _after_fork() -> None:
    global _PROCESS  # a child must not make its parent's identifiers
    _PROCESS = os.urandom(5)


os.register_at_fork(after_in_child=_after_fork)
