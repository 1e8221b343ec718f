"""What people did, for operators to look up: the last five hundred acts.

Each has a number of its own, so that of two writers at once one takes the next.
"""

import logging
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.drivers.database import Database, Taken
from shared.drivers.documents import SmallDocument, SmallDocuments, insert, replaced
from shared.model import json_codec
from shared.model.errors import DataSyncError
from shared.model.ids import timestamp
from shared.storage.queries import text

log = logging.getLogger(__name__)

KEPT = 500
_TRIES = 20
_ONE_WALK = timedelta(minutes=10)  # calls of a replay that follow each other within this are one entry
_DIGITS = 12
_MOST_BYTES = 5000  # of what was said: a filter that names a hundred ids is kept

Entry = dict[str, Any]


class Audit:
    """The operators' history of one collection of records; one instance serves a process."""

    def __init__(self, database: Database, collection: str):
        self._database = database
        self._documents = SmallDocuments(database, collection, "audit")

    def add(
        self, act: str, by: str, moment: datetime, said: Mapping[str, Any], counts: Mapping[str, int]
    ) -> None:
        """Note what somebody did: what was `said` of it, and numbers, which add up over the calls of a walk.

        What was done is done: if this can't be written, that is logged and no more.
        """
        entry = {"act": act, "by": by, **{name: _bounded(value) for name, value in said.items()}}
        try:
            for attempt in range(_TRIES):
                if self._added(entry, moment, counts):
                    return
                time.sleep(min(0.001 * 2**attempt, 0.05))
        except DataSyncError as error:
            log.warning("what %s did (%s) could not be kept in the history: %s", by or "somebody", act, error)
            return
        log.warning(
            "what %s did (%s) could not be kept in the history: too many at once", by or "somebody", act
        )

    def entries(self) -> list[Entry]:
        """Return what was done, the newest first."""
        found = sorted(self._documents.all().items(), reverse=True)
        return [{name: value for name, value in entry.items() if name != "name"} for _, entry in found[:KEPT]]

    def prepare(self) -> None:
        """Make the collection if it is missing."""
        self._documents.find("")

    def _added(self, entry: Mapping[str, Any], moment: datetime, counts: Mapping[str, int]) -> bool:
        try:
            with self._database.transaction(self._documents.spec) as transaction:
                collection = transaction.collections[0]
                newest = _newest(collection)
                if newest is not None and counts and _goes_on(newest.content, entry, moment):
                    return replaced(collection, newest, _sum(newest.content, moment, counts)) is not None
                number = 1 if newest is None else int(newest.content["name"]) + 1
                collection.find().filter({"name": _name(number - KEPT)}).remove()
                calls = {"calls": 1} if counts else {}
                insert(collection, _name(number), {"time": timestamp(moment), **entry, **counts, **calls})
        except Taken:
            return False
        return True


def _bounded(value: Any) -> Any:
    """Return what was said, or of an object that is too long the names of its members alone."""
    if isinstance(value, Mapping) and len(json_codec.dump(value)) > _MOST_BYTES:
        return dict.fromkeys(value, "too long to be kept")
    return value


def _newest(collection: Any) -> SmallDocument | None:
    query = {"$query": {"name": {"$gt": "0"}}, "$orderby": [text("name", 60) | {"order": "desc"}]}
    found = collection.find().filter(query).limit(1).getDocuments()
    if not found:
        return None
    content = found[0].getContent()
    content.pop("_id", None)  # native collections put the key into the content
    return SmallDocument(found[0].key, found[0].version, content)


def _goes_on(newest: Mapping[str, Any], entry: Mapping[str, Any], moment: datetime) -> bool:
    """Tell whether an entry is of the same walk as the newest."""
    is_recent = str(newest["time"]) >= timestamp(moment - _ONE_WALK)
    return is_recent and all(newest.get(name) == value for name, value in entry.items()) and "calls" in newest


def _sum(newest: Mapping[str, Any], moment: datetime, counts: Mapping[str, int]) -> Entry:
    total = {name: int(newest.get(name, 0)) + number for name, number in counts.items()}
    return {**newest, **total, "calls": int(newest["calls"]) + 1, "time": timestamp(moment)}


def _name(number: int) -> str:
    return f"{max(0, number):0{_DIGITS}d}"
