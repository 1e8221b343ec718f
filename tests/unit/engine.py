"""Stand-ins for what the engine's core is made of: records, secrets, targets, the database's answers."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.delivery.call import Call
from shared.delivery.completer import Change, Completer
from shared.delivery.policy_watch import PolicyWatch
from shared.delivery.requests import process_request
from shared.model import policies_document, record
from shared.model.answer import Answer, Terms
from shared.model.lanes import Policies
from shared.model.record import Document, Proof
from shared.monitoring.call_stats import CallStats
from shared.settings import Settings
from shared.storage.leases import Lease
from shared.storage.queries import Query
from shared.storage.readings import Readings
from shared.storage.records import Stored
from shared.storage.tokens import TokenVault
from shared.storage.vault import Secret

SETTINGS = Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment")
ALL = frozenset(range(record.PARTITIONS))


def made(**members: Any) -> Stored:
    """A record as it stands in the database, due at once."""
    usual = {"targetRestApi": "https://erp.example.com/orders", "targetRestApiOperation": "DELETE"}
    name = members.get("vaultSecretName")
    document = record.new({**usual, **members}, proof=Proof(f"ocid of {name}", 1) if name else None)
    return Stored(f"key of {document['id']}", "1", document)


def call(
    limit: int = 100, seconds: float = 300, settings: Settings = SETTINGS, *policies: Mapping[str, Any]
) -> Call:
    """A call that was asked for so many records, and ends in so many seconds."""
    body = b'{"noOfMessagesToProcess": %d}' % limit
    request = process_request(body, settings, time.monotonic() + seconds)
    request = replace(request, query=request.query.at(datetime.now(UTC)))
    known = Policies(policies_document.read({"targets": policies}))
    watch = PolicyWatch(lambda: known)
    watch.current = known
    return Call.begun(settings, request, Lease("me", ALL, time.monotonic() + 3600), CallStats(), watch)


class Secrets(TokenVault):
    """Tokens of a vault: what a name holds, or what reading it raises."""

    def __init__(self, *reserved: str, **held: str | Exception | None):
        super().__init__(self, Readings(self), reserved)  # type: ignore[arg-type]  # a vault, as far as it is read
        self.held = held
        self.version = 1
        self.reads: list[str] = []

    def current(self, name: str) -> Secret | None:
        self.reads.append(name)
        found = self.held.get(name)
        if isinstance(found, Exception):
            raise found
        return Secret(found, Proof(f"ocid of {name}", self.version)) if found else None


class Target:
    """Targets that note what they get, and answer as they are told."""

    def __init__(self, answer: Callable[[Document], Answer] = lambda _: Answer(200)):
        self.answer = answer
        self.received: list[tuple[str, str | None]] = []

    async def send(self, document: Document, secret: str | None, terms: Terms) -> Answer:
        self.received.append((document["id"], secret))
        return self.answer(document)


class Written:
    """A database that keeps outcomes, and refuses those that it is told to."""

    def __init__(self, refuse: Callable[[Document], Exception | None] = lambda _: None):
        self.refuse = refuse
        self.after: dict[str, Document] = {}

    async def write(self, changes: Sequence[Change]) -> list[bool]:
        for _, after in changes:
            if error := self.refuse(after):
                raise error
        self.after |= {after["id"]: after for _, after in changes}
        return [True] * len(changes)

    def with_ids(self, identities: Collection[str], /) -> list[Stored]:
        return []

    def completer(self) -> Completer:
        return Completer(self.write, lambda: 0.0)


class Queue:
    """The collection of records as the dispatcher reads it."""

    def __init__(self, *records: Stored, holding: Sequence[Stored] = ()):
        self.records = records
        self.holding = holding
        self.finished: set[str] = set()
        self.unknown: dict[str, str] = {}

    def page(self, query: Query, limit: int) -> list[Stored]:
        found = [
            one
            for one in self.records
            if str(one.document["datasync"][query.order]) > query.after
            and one.document["id"] not in self.finished
            and record.key_digest(one.document) not in query.without_keys
            and record.target(one.document) not in query.without_targets
            and query.target in (None, record.target(one.document))
        ]
        return found[:limit]

    def holding_back(self, keys: Collection[str]) -> tuple[list[Stored], dict[str, str]]:
        return [one for one in self.holding if record.key_digest(one.document) in keys], self.unknown

    def hosts_waiting(self, most: int) -> list[str]:
        return sorted({record.target(one.document) for one in self.records})[:most]

    def first_waiting(self, *_: Any) -> tuple[dict[str, str], set[str]]:
        return {}, set()


class Noted:
    """The worker's own lease document, as it is renewed."""

    def __init__(self, answer: bool | Exception = True):
        self.answer = answer
        self.notes: list[list[str]] = []

    def renew(self, _: Lease, in_flight: dict[str, int]) -> bool:
        self.notes.append(sorted(in_flight))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def interrupted(stored: Stored, times: int) -> Stored:
    """The record as it stands after so many processes ended during its delivery."""
    document = {**stored.document, "datasync": {**stored.document["datasync"], "interrupted": times}}
    return replace(stored, document=document)
