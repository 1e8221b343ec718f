"""Rows of a collection's table: what is stored for a document, as the collection's metadata wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import oracledb

from . import content, documents
from .documents import DocumentImpl
from .errors import ora
from .fields import Field, index_value
from .metadata import Metadata
from .session import Row, SqlValue, read_ident


@dataclass(frozen=True)
class Stored:
    """The parts of a row that a document's content decides: `ident` is its `_id`, in native collections."""

    media: str | None
    body: str | bytes
    ident: str | bytes | None
    value: Any = None
    """The content without its `_id`, where `body` is its JSON."""


def stored(document: DocumentImpl, metadata: Metadata) -> Stored:
    """What is kept of a document's content; ORA-40780 where it is not JSON, or not an object."""
    if metadata.has_media_type and document.get_media_type() != documents.JSON:
        return Stored(document.get_media_type(), document.content or b"", None)
    value = document.json()
    if not isinstance(value, dict) and (metadata.native or not isinstance(value, list)):
        raise ora(40780, "the content of a document has to be a JSON object")
    media = documents.JSON if metadata.has_media_type else None
    if not isinstance(value, dict) or not metadata.native or "_id" not in value:
        return Stored(media, content.encode(value), None, value)
    ident = value["_id"]
    kept = bytes(ident) if isinstance(ident, oracledb.JsonId) else content.encode(ident)
    rest = {name: item for name, item in value.items() if name != "_id"}
    return Stored(media, content.encode(rest), kept, rest)


def index_values(indexed: Mapping[str, Field], value: Any, ident: SqlValue) -> tuple[str | bytes | None, ...]:
    """What the columns of indexed fields hold for a document; `value` is None where it is not JSON."""
    if value is None:
        return (None,) * len(indexed)
    document = value if ident is None else {"_id": read_ident(ident), **value}
    return tuple(index_value(document, field) for field in indexed.values())


def new_row(document: DocumentImpl, metadata: Metadata) -> tuple[Row, Any]:
    """The row of a document to insert, and its content without the `_id`.

    ORA-40665 or ORA-40666 where it has a key and must not, or must and has not.
    """
    parts = stored(document, metadata)
    ident: SqlValue = parts.ident
    key = document.key
    if key is not None and not metadata.client_keys:
        hint = "give the content an _id instead" if metadata.native else "the collection assigns keys itself"
        raise ora(40665, f"create the document without a key: {hint}")
    if metadata.native:
        ident = documents.new_object_id() if ident is None else ident
        key = documents.key_of(ident)
    elif key is None:
        if metadata.client_keys:
            raise ora(40666, "create the document with a key")
        key = documents.new_version()
    stamp = None if metadata.native else documents.now()
    row = (key, documents.new_version(), ident, parts.media, stamp, stamp, parts.body)
    return row, parts.value


def without_content(row: Row) -> DocumentImpl:
    """What an `…AndGet` operation returns for a row."""
    key, version, _, media, created, modified, _ = row
    return DocumentImpl(None, key, version, media, created, modified)
