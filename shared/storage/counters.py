"""How many records succeeded and failed, by the hour, counted in the transactions that write the outcomes.

A finished record is in no index, so counting it later would mean reading the whole collection. Each worker
has counters of its own, named after the first of its partitions, so that none waits for another.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.drivers.database import Database
from shared.drivers.documents import SmallDocument, SmallDocuments, find, insert, replaced
from shared.model.errors import DependencyDown
from shared.model.ids import timestamp
from shared.model.record import CANCELLED, FAILED, FINISHED, SUCCESS, Document

HOURS = 24
_PREFIX = "tally-"  # as they have always stood in the database
_TRIES = 20

Hours = dict[str, Counter[str]]


class Counters:
    """The counters of all workers; one instance serves a process."""

    def __init__(self, database: Database, collection: str):
        self._documents = SmallDocuments(database, collection)
        self._kept: dict[int, SmallDocument] = {}
        self.spec = self._documents.spec

    def add(self, collection: Any, place: int, changes: Sequence[tuple[Document, Document]]) -> None:
        """Count changes of records in the transaction that writes them. If that fails, call `forget`.

        What did not finish, and was no attempt, changes no number.
        """
        finished = _finished(after for _, after in changes)
        finished.subtract(_finished(before for before, _ in changes))  # cancelled, and delivered all the same
        hours = _by_hour(after for before, after in changes if _is_attempted(before, after))
        if hours or any(finished.values()):
            self._change(collection, place, finished, hours)

    def take_off(self, collection: Any, place: int, removed: Mapping[str, int]) -> None:
        """Subtract finished records, by status, that are removed in this transaction."""
        self._change(collection, place, Counter({name: -number for name, number in removed.items()}), {})

    def forget(self, place: int) -> None:
        """Forget the cached counters: their transaction was not committed."""
        self._kept.pop(place, None)

    def finished(self) -> dict[str, int]:
        """Return how many records there are by finished status."""
        return finished(self._documents.all())

    def _change(self, collection: Any, place: int, finished: Counter[str], hours: Hours) -> None:
        name = f"{_PREFIX}{place:02d}"
        for _ in range(_TRIES):
            document = self._kept.pop(place, None) or find(collection, name)
            if document is None:
                insert(collection, name, _sum({}, finished, hours))
                return
            written = replaced(collection, document, _sum(document.content, finished, hours))
            if written is not None:
                self._kept[place] = written
                return
        raise DependencyDown(
            "Too many processes change a worker's counters at once. Repeat the request later."
        )


def finished(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return how many records there are by finished status, from all small documents."""
    total: Counter[str] = Counter(dict.fromkeys(FINISHED, 0))
    for name, document in documents.items():
        if name.startswith(_PREFIX):
            total.update({status: int(number) for status, number in document["finished"].items()})
    return dict(total)


def last_day(documents: Mapping[str, Mapping[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Return the outcomes of each of the last 24 hours, the oldest first, from all small documents.

    What a worker counted whose clock is ahead is among the newest hour's.
    """
    newest = _hour(timestamp(now))
    total: Hours = {}
    for name, document in documents.items():
        if name.startswith(_PREFIX):
            for hour, counts in document["hours"].items():
                known = {key: int(value) for key, value in counts.items()}
                total.setdefault(min(hour, newest), Counter()).update(known)
    names = [_hour(timestamp(now - timedelta(hours=back))) for back in reversed(range(HOURS))]
    kinds = ("delivered", "failed", "dead")
    return [
        {"hour": f"{name}:00:00Z", **{kind: total.get(name, Counter())[kind] for kind in kinds}}
        for name in names
    ]


def _finished(documents: Iterable[Document]) -> Counter[str]:
    return Counter(str(document["status"]) for document in documents if document["status"] in FINISHED)


def _is_attempted(before: Document, after: Document) -> bool:
    return before.get("lastAttemptDate") != after.get("lastAttemptDate")


def _by_hour(outcomes: Iterable[Document]) -> Hours:
    hours: Hours = {}
    for document in outcomes:
        counts = hours.setdefault(_hour(document["lastAttemptDate"]), Counter())
        if document["status"] == SUCCESS:
            counts["delivered"] += 1
        elif document["status"] in (FAILED, CANCELLED):  # cancelled while it was on its way, and refused
            counts["failed"] += 1
            counts["dead"] += bool(document.get("dead"))
    return hours


def _sum(content: Mapping[str, Any], finished: Counter[str], hours: Hours) -> dict[str, Any]:
    total = Counter({name: int(number) for name, number in content.get("finished", {}).items()})
    total.update(finished)
    kept = {hour: Counter(counts) for hour, counts in content.get("hours", {}).items()}
    for hour, counts in hours.items():
        kept.setdefault(hour, Counter()).update(counts)
    newest = sorted(kept)[-HOURS - 1 :]
    return {
        "finished": dict(total),
        "hours": {hour: {name: int(number) for name, number in kept[hour].items()} for hour in newest},
    }


def _hour(date: str) -> str:
    return date[:13]
