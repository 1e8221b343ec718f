"""Which failures a report shows, or a replay handles: what a request says of them, as one query."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from shared.model.ids import timestamp
from shared.model.members import MemberReader, moment, url_prefix
from shared.model.members import text as text_value
from shared.model.record import FAILED as FAILED_STATUS
from shared.model.record import name_digest
from shared.model.targets import origin_of
from shared.storage.queries import FAILED, ID, LATELY, id_above, id_below, member

_PARSERS: dict[str, Callable[[Any], Any]] = {
    "streamOCIDToRetry": text_value,
    "from": moment,
    "to": moment,
    "targetRestApi": url_prefix,
    "streamKey": text_value,
    "reference": text_value,
    "vaultSecretName": text_value,
}
FAILURE_MEMBERS = tuple(_PARSERS)
"""The members of a request that say which failures are meant, beside their codes."""
_OF_ALL_RECORDS = ("reference", "vaultSecretName")  # whose indexes hold records that did not fail, too


@dataclass(frozen=True)
class FailureQuery:
    """What a request says of failures, whatever became of them.

    `equal` are members that stand before the id in an index; the conditions only narrow. The times between
    which records were stored are bounds of the id, to the millisecond.
    """

    conditions: Sequence[Mapping[str, Any]] = ()
    since: datetime | None = None
    until: datetime | None = None
    equal: Mapping[str, str] = field(default_factory=dict)

    @property
    def after(self) -> str:
        """The id after which all of them come."""
        return id_below(self.since)

    @property
    def before(self) -> str | None:
        """The id before which all of them come, if there is one."""
        return id_above(self.until)

    @property
    def indexed(self) -> dict[str, str]:
        """The one equality that is left to an index."""
        return dict(islice(self.equal.items(), 1))

    @property
    def narrowing(self) -> list[Mapping[str, Any]]:
        """What no index serves: the other equalities, so written that none is taken for another, and more."""
        only = [{path: {"$in": [value]}} for path, value in islice(self.equal.items(), 1, None)]
        failed = [{"status": {"$eq": FAILED_STATUS}}] if self.place == ID else []
        return [*only, *self.conditions, *failed]

    @property
    def place(self) -> str:
        """What an index has behind that equality: the id of failures, or of all records."""
        return ID if any(path in _OF_ALL_RECORDS for path in self.indexed) else FAILED

    @property
    def order(self) -> str:
        """By what failures are shown: the last attempt, or the id if times or an equality are given."""
        is_open = self.since is None and self.until is None and not self.indexed
        return LATELY if is_open else self.place


def failure_query(reader: MemberReader, codes: frozenset[str] | None = None) -> FailureQuery:
    """Return what a request names, and these codes."""
    said = {name: reader.read(name, parse) for name, parse in _PARSERS.items()}
    conditions = list(_conditions(said, codes or frozenset()))
    return FailureQuery(conditions, said["from"], said["to"], dict(_equalities(said, codes or frozenset())))


def _equalities(said: Mapping[str, Any], codes: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield what stands in an index, with its path; first what the fewest records have."""
    for name in _OF_ALL_RECORDS:
        if said[name] is not None:
            yield name, said[name]
    if said["streamKey"] is not None:
        yield member("key"), name_digest(said["streamKey"])
    if said["streamOCIDToRetry"] is not None:
        yield "error_stream", said["streamOCIDToRetry"]
    if said["targetRestApi"] is not None and (origin := origin_of(said["targetRestApi"])):
        yield member("at"), origin
    if len(codes) == 1:
        yield member("code"), next(iter(codes))


def _conditions(said: Mapping[str, Any], codes: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Yield what only narrows."""
    if said["streamKey"] is not None:
        yield {"streamKey": {"$in": [said["streamKey"]]}}
    if said["targetRestApi"] is not None:
        yield {"targetRestApi": {"$startsWith": said["targetRestApi"]}}
    if len(codes) > 1:
        yield {member("code"): {"$in": sorted(codes)}}
    if said["from"] is not None:
        yield {"createdDate": {"$gte": timestamp(said["from"])}}
    if said["to"] is not None:
        yield {"createdDate": {"$lt": timestamp(said["to"])}}
