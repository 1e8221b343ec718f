"""The policies document in the database: the newest version, and the last fifty with who wrote them.

A version is written by replacing the newest one's document, so that of two writers one wins.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.drivers.database import Database, Taken
from shared.drivers.documents import SmallDocument, SmallDocuments, find, insert, replaced
from shared.model import policies_document
from shared.model.errors import Conflict, DataSyncError, Misconfigured
from shared.model.ids import timestamp
from shared.model.lanes import Policies

KEPT_VERSIONS = 50
_NEWEST = "newest"

Document = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """One version of the document; number 0 is that before the first was written."""

    number: int = 0
    document: Mapping[str, Any] | None = None
    caller: str = ""
    date: str = ""

    def shown(self) -> Document:
        """Return the document, with which version it is and whose."""
        known = {"version": self.number, "changedBy": self.caller, "changedDate": self.date or None}
        return {**(self.document or {"targets": []}), **known}


class PolicyStore:
    """The policies of a collection of records; one instance serves a process."""

    def __init__(self, database: Database, collection: str):
        self._database = database
        self._documents = SmallDocuments(database, collection, "policies")
        self._read = Policies()
        self._read_version = Version()

    def newest(self) -> Version:
        """Return the newest version."""
        return _version(self._documents.find(_NEWEST))

    def policies(self) -> Policies:
        """Return the policies as they are now: one round trip. Raises Misconfigured if they can't be read."""
        newest = self.newest()
        if newest != self._read_version:
            try:
                entries = policies_document.read(newest.document or {"targets": []})
            except DataSyncError as error:
                faults = error.faults
                raise Misconfigured(
                    "The policies that are stored can't be read: put them anew.", faults
                ) from None
            self._read, self._read_version = Policies(entries, newest.number), newest
        return self._read

    def write(
        self, document: Mapping[str, Any], caller: str, moment: datetime, matches: Callable[[int], None]
    ) -> Version:
        """Write the next version; `matches` raises if the newest one is not the one to replace.

        Raises Conflict if somebody writes another at the same moment.
        """
        try:
            with self._database.transaction(self._documents.spec) as transaction:
                collection = transaction.collections[0]
                known = find(collection, _NEWEST)
                matches(_version(known).number)
                next_ = Version(_version(known).number + 1, document, caller, timestamp(moment))
                content = {
                    "version": next_.number,
                    "document": dict(document),
                    "caller": caller,
                    "date": next_.date,
                }
                insert(collection, _name(next_.number), content)
                if known is None:
                    insert(collection, _NEWEST, content)
                elif replaced(collection, known, content) is None:
                    raise _changed()
                collection.find().filter({"name": _name(next_.number - KEPT_VERSIONS)}).remove()
        except Taken:
            raise _changed() from None
        return next_

    def versions(self) -> list[Version]:
        """Return the versions that are kept, the newest first."""
        found = [content for name, content in self._documents.all().items() if name != _NEWEST]
        versions = [_of(content) for content in found]
        return sorted(versions, key=lambda one: one.number, reverse=True)

    def prepare(self) -> None:
        """Make the collection if it is missing."""
        self._documents.find(_NEWEST)


def _changed() -> Conflict:
    return Conflict("Somebody else has changed the policies at this moment: read them again, and repeat it.")


def _version(found: SmallDocument | None) -> Version:
    return Version() if found is None else _of(found.content)


def _of(content: Mapping[str, Any]) -> Version:
    return Version(int(content["version"]), content["document"], str(content["caller"]), str(content["date"]))


def _name(number: int) -> str:
    return f"version-{number:09d}"
