"""What callers may see of stored records: one by its id, or those that a search finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.ingest.protocols import FindsRecords, Lists
from shared.model import record
from shared.model.errors import Fault, Invalid, NotFound
from shared.model.members import OF_A_PAGE, MemberReader, moment, page, text
from shared.storage.listing import RecordQuery
from shared.storage.records import Stored

_SEARCHED = ("reference", "streamKey", "status")
_STATUSES = (record.NOT_PROCESSED, record.FAILED, *record.FINISHED)


@dataclass(frozen=True)
class Caller:
    """Who called: a name, empty if anonymous, and whether it may see every caller's records."""

    name: str = ""
    is_operator: bool = False


@dataclass(frozen=True)
class Lookup:
    """Finds records for callers; one instance serves a process's calls."""

    records: FindsRecords
    listing: Lists

    def state(self, identity: str, caller: Caller) -> dict[str, Any]:
        """Return the state of one record: everything but token, payload and headers."""
        return record.public_view(self.find(identity, caller).document)

    def find(self, identity: str, caller: Caller) -> Stored:
        """Return one record.

        Raises NotFound if there is none, or if it is another caller's, unless an operator asks.
        """
        found = self.records.with_ids([identity])
        if not found or not (caller.is_operator or record.caller(found[0].document) == caller.name):
            raise NotFound(f"There is no record {identity[:50]!r}.")
        return found[0]

    def search(self, query: Mapping[str, str], caller: Caller) -> dict[str, Any]:
        """Return the newest records of a reference, a key or a status, and what to ask for to go on.

        Raises Invalid with every fault. A source finds its own records only.
        """
        reader = MemberReader(query)
        reader.refuse_unknown((*_SEARCHED, "from", "to", *OF_A_PAGE))
        named = {name: reader.read(name, text) for name in _SEARCHED if name in query}
        if len(named) != 1:
            reader.faults.append(Fault("", f"must have exactly one of {', '.join(_SEARCHED)}"))
        if named.get("status", record.SUCCESS) not in (*_STATUSES, None):
            reader.complain("status", f"must be one of {', '.join(_STATUSES)}")
        since, until = reader.read("from", moment), reader.read("to", moment)
        limit, after = page(reader)
        if reader.faults:
            raise Invalid.of(reader.faults, "nothing was searched")
        ((member, value),) = named.items()
        own = None if caller.is_operator else caller.name
        found = self.listing.search(RecordQuery(member, value, own, since, until), limit, after)
        return {"records": [record.public_view(one) for one in found.records], "next": found.next}
