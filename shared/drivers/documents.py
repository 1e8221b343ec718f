"""Small documents beside the records, each with a name of its own, such as a worker's counters.

A document is replaced with a matching version: one writer wins, and the others read it again.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shared.drivers.database import CollectionSpec, Database, Taken
from shared.model import json_codec
from shared.model.errors import DependencyDown

_TRIES = 20

Content = dict[str, Any]


@dataclass(frozen=True)
class SmallDocument:
    """A document as read or written, with what replacing it needs. Its content is never changed in place."""

    key: str
    version: str
    content: Mapping[str, Any]


class SmallDocuments:
    """The collection of small documents that belongs to a collection of records."""

    def __init__(self, database: Database, collection: str):
        self._database = database
        name = f"{collection}_notes"
        unique = {"path": "name", "datatype": "varchar2", "maxLength": 60, "order": "asc"}
        self.spec = CollectionSpec(name, ({"name": f"{name}_name", "unique": True, "fields": [unique]},))

    def all(self) -> dict[str, Content]:
        """Return all documents by name; there are fewer than a hundred."""
        with self._database.collection(self.spec) as collection:
            contents = [found.getContent() for found in collection.find().getDocuments()]
        return {content["name"]: content for content in contents}

    def read(self, name: str) -> Content:
        """Return a document; an empty one if there is none with this name."""
        with self._database.collection(self.spec) as collection:
            found = find(collection, name)
        return dict(found.content) if found else {"name": name}

    def change(self, name: str, change: Callable[[Content], Content | None]) -> Content | None:
        """Write what `change` makes of the newest content, and return it; None if it returns None."""
        for attempt in range(_TRIES):
            with suppress(Taken), self._database.collection(self.spec) as collection:
                found = find(collection, name)
                content = change(dict(found.content) if found else {})
                if content is None:
                    return None
                if found is None:
                    insert(collection, name, content)
                if found is None or replaced(collection, found, content):
                    return content
            time.sleep(min(0.001 * 2**attempt, 0.05))
        raise DependencyDown(
            "Too many processes change one internal document at once. Repeat the request later."
        )


def find(collection: Any, name: str) -> SmallDocument | None:
    """Return the document with this name from an open collection."""
    found = collection.find().filter({"name": name}).getOne()
    return (
        None if found is None else SmallDocument(found.key, found.version, _without_key(found.getContent()))
    )


def insert(collection: Any, name: str, content: Mapping[str, Any]) -> None:
    """Insert a document into an open collection; raises Taken if another process was first."""
    collection.insertOne(json_codec.dump({**content, "name": name}))


def replaced(collection: Any, note: SmallDocument, content: Mapping[str, Any]) -> SmallDocument | None:
    """Replace a document in an open collection; None if another process has changed it."""
    operation = collection.find().key(note.key).version(note.version)
    written = operation.replaceOneAndGet(json_codec.dump({**content, "name": note.content["name"]}))
    # If nothing matched, the driver returns an empty document, without key and version.
    version = None if written is None else written.version
    return (
        None
        if version is None
        else SmallDocument(note.key, version, {**content, "name": note.content["name"]})
    )


def _without_key(content: Content) -> Content:
    content.pop("_id", None)  # native collections put the key into the content
    return content
