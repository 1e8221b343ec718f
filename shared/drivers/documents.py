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
    """A collection of small documents that belongs to a collection of records."""

    def __init__(self, database: Database, collection: str, kind: str = "notes"):
        """`kind` ends the name of the collection, which is that of counters and the like if none is given."""
        self._database = database
        name = f"{collection}_{kind}"
        unique = {"path": "name", "datatype": "varchar2", "maxLength": 60, "order": "asc"}
        self.spec = CollectionSpec(name, ({"name": f"{name}_name", "unique": True, "fields": [unique]},))

    def all(self) -> dict[str, Content]:
        """Return all documents by name; there are a few hundred at the most."""
        with self._database.collection(self.spec) as collection:
            contents = [_without_key(found.getContent()) for found in collection.find().getDocuments()]
        return {content["name"]: content for content in contents}

    def find(self, name: str) -> SmallDocument | None:
        """Return a document with what replacing it needs; None if there is none with this name."""
        with self._database.collection(self.spec) as collection:
            return find(collection, name)

    def read(self, name: str) -> Content:
        """Return a document's content; nothing but its name if there is none with this name."""
        found = self.find(name)
        return dict(found.content) if found else {"name": name}

    def replace(
        self, name: str, known: SmallDocument | None, content: Mapping[str, Any]
    ) -> SmallDocument | None:
        """Write a document, a new one if none is known; None if another process was faster."""
        with suppress(Taken), self._database.collection(self.spec) as collection:
            if known is not None:
                return replaced(collection, known, content)
            return insert(collection, name, content)
        return None

    def change(self, name: str, change: Callable[[Content], Content | None]) -> Content | None:
        """Write what `change` makes of the newest content, and return it; None if it returns None."""
        for attempt in range(_TRIES):
            known = self.find(name)
            content = change(dict(known.content) if known else {})
            if content is None:
                return None
            if self.replace(name, known, content) is not None:
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


def insert(collection: Any, name: str, content: Mapping[str, Any]) -> SmallDocument:
    """Insert a document into an open collection; raises Taken if another process was first."""
    named = {**content, "name": name}
    written = collection.insertOneAndGet(json_codec.dump(named))
    return SmallDocument(written.key, written.version, named)


def replaced(collection: Any, known: SmallDocument, content: Mapping[str, Any]) -> SmallDocument | None:
    """Replace a document in an open collection; None if another process has changed it."""
    named = {**content, "name": known.content["name"]}
    written = collection.find().key(known.key).version(known.version).replaceOneAndGet(json_codec.dump(named))
    # If nothing matched, the driver returns an empty document, without key and version.
    version = None if written is None else written.version
    return None if version is None else SmallDocument(known.key, version, named)


def _without_key(content: Content) -> Content:
    content.pop("_id", None)  # native collections put the key into the content
    return content
