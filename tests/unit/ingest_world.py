"""The way in on stores in memory, for tests of what it does with them."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.drivers.database import Taken
from shared.ingest.service import IngestService, StoreRequest
from shared.model.errors import Conflict
from shared.model.record import MACHINERY, Document, Proof
from shared.monitoring.call_stats import CallStats
from shared.settings import Settings
from shared.storage.records import Stored

CONFIG = {
    "DATABASE_DSN": "sqlite:none",
    "VAULT_OCID": "vault",
    "VAULT_KEY_OCID": "key",
    "VAULT_COMPARTMENT_OCID": "compartment",
    "ALLOWED_TARGETS": "erp.example.com",
    "CONNECTOR_HUB_SECRETS": "listed",
    "BODY_LIMIT": "16KiB",
}
SETTINGS = Settings.from_config(CONFIG)
RECORD = {
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"orderid": "18jan"},
}


@dataclass
class MemoryRecords:
    """Records in memory; `faults` are raised by the next insertions, one by one."""

    stored: list[Document] = field(default_factory=list)
    faults: list[Exception | None] = field(default_factory=list)
    inserted: list[int] = field(default_factory=list)
    is_blind: bool = False
    """Whether what others have just stored is not seen yet."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def newest_waiting(self, keys: Collection[str], after: str) -> str | None:
        found = [str(one["id"]) for one in self.stored if one[MACHINERY].get("keyed") in keys]
        return max((one for one in found if one > after), default=None)

    def insert(self, documents: Sequence[Document]) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        known = {self._key(document) for document in self.stored} - {None}
        if any(self._key(document) in known for document in documents):
            raise Taken
        self.stored += documents
        self.inserted.append(len(documents))

    def get(self, identity: str) -> Document | None:
        return next((one for one in self.stored if one["id"] == identity), None)

    def with_ids(self, identities: Collection[str], /) -> list[Stored]:
        return [Stored("", "", one) for one in self.stored if one["id"] in identities]

    def received(self, key: str) -> list[Document]:
        return [one for one in self.stored if str(self._key(one)).startswith(f"{key}-")]

    def already_received(self, places: Collection[str]) -> dict[str, Document]:
        return (
            {}
            if self.is_blind
            else {str(self._key(one)): one for one in self.stored if self._key(one) in places}
        )

    @staticmethod
    def _key(document: Document) -> Any:
        return document[MACHINERY].get("ingest")


@dataclass
class MemoryTokens:
    """Tokens in memory; each has the name and the number of tokens at the time as its proof."""

    kept: dict[str, str] = field(default_factory=dict)
    fault: Exception | None = None

    def claim_all(self, names: Iterable[str], token: str) -> dict[str, Proof]:
        if self.fault:
            raise self.fault
        for name in names:
            if self.kept.setdefault(name, token) != token:
                raise Conflict("in use")
        return {name: Proof(f"ocid1.{name}", 1) for name in names}


@dataclass
class Told:
    """What operators are told of."""

    numbers: list[int] = field(default_factory=list)

    def notify(self, seen: CallStats, call: str, *, publishing: bool = True) -> None:
        assert not publishing  # a source does not wait for that
        self.numbers.append(seen.dead)


@dataclass
class World:
    records: MemoryRecords = field(default_factory=MemoryRecords)
    tokens: MemoryTokens = field(default_factory=MemoryTokens)
    told: Told = field(default_factory=Told)

    @property
    def service(self) -> IngestService:
        return IngestService(SETTINGS, self.records, self.tokens, self.told)

    def store(self, body: Any, **request: Any) -> tuple[Any, bool]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        result = self.service.store(StoreRequest(raw, **request))
        return result.answer, result.is_new
