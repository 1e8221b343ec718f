"""The implementation object of a `SodaDatabase`: creates and opens collections, and makes documents."""

from __future__ import annotations

import json
from typing import Any

from . import content, metadata
from .catalog import Collection, Link
from .collection import CollectionImpl
from .documents import DocumentImpl
from .errors import ora


class DatabaseImpl:
    """The collections of one database file, on one connection."""

    supports_json = True

    def __init__(self, link: Link) -> None:
        self._link = link

    def create_collection(self, name: str | None, text: str | None, map_mode: bool) -> CollectionImpl:
        """Creates a collection, or opens the one that is there with the same metadata."""
        _check_name(name)
        if not name:
            raise ora(40658, "give the collection a name")
        document = metadata.native(name) if text is None else metadata.custom(name, text)
        if map_mode:
            raise ora(40623, "mapMode is not there for native collections")
        found = self._link.catalog.get(name) or self._link.catalog.create(name, document)
        if json.loads(found.metadata.document) != json.loads(document):
            raise ora(40669, f"there is a collection {name!r} with other metadata")
        return self._open(found)

    def open_collection(self, name: str | None) -> CollectionImpl | None:
        """The collection of that name, or None."""
        _check_name(name)
        if name is None:
            raise ora(40658, "give the name of a collection")
        found = self._link.catalog.get(name)
        return None if found is None else self._open(found)

    def get_collection_names(self, start_name: str | None, limit: int) -> list[str]:
        """Names of collections in alphabetical order."""
        _check_name(start_name)
        return self._link.catalog.names(start_name or "", limit)

    def create_document(self, data: bytes, key: str | None, media_type: str | None) -> DocumentImpl:
        """A document whose content is bytes."""
        _check_name(key)
        return DocumentImpl(data, key, media_type=media_type)

    def create_json_document(self, value: Any, key: str | None) -> DocumentImpl:
        """A document whose content is a JSON value."""
        _check_name(key)
        return DocumentImpl(content.from_python(value), key)

    def _open(self, collection: Collection) -> CollectionImpl:
        return CollectionImpl(self._link, collection)


def _check_name(name: object) -> None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"expecting a string, got {type(name).__name__}")
