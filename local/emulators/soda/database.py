"""The implementation object of a `SodaDatabase`: creates and opens collections, and makes documents."""

from __future__ import annotations

from typing import Any

from . import json_types
from .catalog import Link
from .collection import CollectionImpl
from .documents import DocumentImpl
from .errors import missing, ora


class DatabaseImpl:
    """The collections of one database file, on one connection."""

    supports_json = True

    def __init__(self, link: Link) -> None:
        self._link = link

    def create_collection(self, name: str | None, metadata: str | None, map_mode: bool) -> CollectionImpl:
        """Creates a native collection, or opens the one that is there."""
        _check_name(name)
        if not name:
            raise ora(40658, "give the collection a name")
        if metadata is not None or map_mode:
            raise missing("a collection with metadata of its own, or over a table,")
        self._link.session.trips.make("createCollection")
        found = self._link.catalog.get(name) or self._link.catalog.create(name)
        return CollectionImpl(self._link, found)

    def open_collection(self, name: str | None) -> CollectionImpl | None:
        """The collection of that name, or None."""
        _check_name(name)
        if name is None:
            raise ora(40658, "give the name of a collection")
        self._link.session.trips.make("openCollection")
        found = self._link.catalog.get(name)
        return None if found is None else CollectionImpl(self._link, found)

    def get_collection_names(self, start_name: str | None, limit: int) -> list[str]:
        """Names of collections in alphabetical order."""
        _check_name(start_name)
        self._link.session.trips.make("getCollectionNames")
        return self._link.catalog.names(start_name or "", limit)

    def create_document(self, data: bytes, key: str | None, media_type: str | None) -> DocumentImpl:
        """A document whose content is JSON text."""
        _check_name(key)
        if media_type not in (None, "application/json"):
            raise missing(f"media type {media_type}")
        return DocumentImpl(data, key)

    def create_json_document(self, value: Any, key: str | None) -> DocumentImpl:
        """A document whose content is a JSON value."""
        _check_name(key)
        return DocumentImpl(json_types.from_python(value), key)


def _check_name(name: object) -> None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"expecting a string, got {type(name).__name__}")
