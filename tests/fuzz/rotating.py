"""Both services on one database and one vault, in one process, with what every target received."""

import base64
import json
import time
from asyncio import Runner
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from shared.delivery.fan_out import FanOut
from shared.delivery.leasing import Leasing
from shared.delivery.requests import DeliveryRequest, process_request, retry_request
from shared.delivery.service import DeliveryService
from shared.drivers.database import CollectionSpec, Database
from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import OciClients, Refused
from shared.ingest.lookup import Caller, Lookup
from shared.ingest.service import IngestService, StoreRequest
from shared.model.answer import Answer, Terms
from shared.model.record import Document
from shared.settings import Settings
from shared.storage.leases import LeaseTable
from shared.storage.listing import Listing
from shared.storage.policies import PolicyStore
from shared.storage.queries import indexes
from shared.storage.rates import RateBook
from shared.storage.readings import FRESH_SECONDS, Readings
from shared.storage.records import Records
from shared.storage.tokens import TokenVault
from shared.storage.vault import Vault
from tests.unit.ingest_world import Told

SETTINGS = Settings.from_config(
    {
        "DATABASE_DSN": "sqlite:none",
        "VAULT_OCID": "vault",
        "VAULT_KEY_OCID": "key",
        "VAULT_COMPARTMENT_OCID": "compartment",
        "ALLOWED_TARGETS": "erp.example.com",
        "RETRY_BACKOFF": "0s..0s",
        "RETRY_LIMIT": "3",
    }
)
LONGER_THAN_A_READING = FRESH_SECONDS + 1


@dataclass
class KeptSecret:
    """A secret with its versions, oldest first, each with the time it came at."""

    ocid: str
    versions: list[tuple[str, float]]
    is_leaving: bool = False


@dataclass
class MemoryVault(OciClients):
    """The clients of Vault and Secrets, as the SDK has them, over secrets in memory."""

    now: float = 0.0
    secrets: dict[str, KeptSecret] = field(default_factory=dict)
    made: int = 0
    ended: list[tuple[str, str, float]] = field(default_factory=list)
    """Names and texts that are no longer current, each with the time since when."""

    def clock(self) -> float:
        """A clock that no two looks at find at the same time, as the real one."""
        self.now += 1e-6
        return self.now

    def call(self, service: str, client: str, operation: str, *arguments: Any, **options: Any) -> Any:
        match operation:
            case "get_secret_bundle_by_name":
                return self._read(arguments[0].removeprefix(SETTINGS.secret_prefix))
            case "create_secret":
                return self._create(arguments[0])
            case "list_secrets":
                found = self.secrets.get(options["name"].removeprefix(SETTINGS.secret_prefix))
                state = "PENDING_DELETION" if found and found.is_leaving else "ACTIVE"
                return [SimpleNamespace(lifecycle_state=state)] if found else []
        raise AssertionError(f"{service} has no such operation: {operation}")

    def _read(self, name: str) -> Any:
        found = self.secrets.get(name)
        if found is None or found.is_leaving:
            raise Refused(404)
        content = base64.b64encode(found.versions[-1][0].encode()).decode()
        return SimpleNamespace(
            secret_id=found.ocid,
            version_number=len(found.versions),
            secret_bundle_content=SimpleNamespace(content=content),
        )

    def _create(self, details: Any) -> Any:
        name = details.secret_name.removeprefix(SETTINGS.secret_prefix)
        if name in self.secrets:
            raise Refused(409)
        self.put(name, base64.b64decode(details.secret_content.content).decode())
        return SimpleNamespace(id=self.secrets[name].ocid)

    # What the operator does

    def put(self, name: str, text: str) -> None:
        """Give a secret a new version, or make it."""
        if name not in self.secrets:
            self.made += 1
            self.secrets[name] = KeptSecret(f"ocid1.{name}.{self.made}", [])
        elif self.secrets[name].versions:
            self.ended.append((name, self.secrets[name].versions[-1][0], self.now))
        self.secrets[name].versions.append((text, self.now))

    def delete(self, name: str) -> None:
        """Delete a secret: its name is free."""
        gone = self.secrets.pop(name, None)
        if gone is not None:
            self.ended.append((name, gone.versions[-1][0], self.now))

    def current(self, name: str) -> str | None:
        """What a secret holds."""
        found = self.secrets.get(name)
        return found.versions[-1][0] if found else None

    def lately_current(self, name: str) -> set[str]:
        """What a secret holds, or held a moment ago: what was read of it is relied upon for some seconds."""
        ended = {text for one, text, since in self.ended if one == name and self.now - since <= FRESH_SECONDS}
        current = self.current(name)
        return ended | ({current} if current is not None else set())


@dataclass(frozen=True)
class Received:
    """One request, as a target got it."""

    identity: str
    name: str | None
    token: str | None


@dataclass
class Targets:
    """Accept (`/ok`), are away for ever (`/busy`), or accept a name's current token only (`/strict`)."""

    vault: MemoryVault
    received: list[Received] = field(default_factory=list)

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Targets"]:
        yield self

    async def send(self, document: Document, secret: str | None, terms: Terms) -> Answer:
        name = document.get("vaultSecretName")
        self.received.append(Received(document["id"], name, secret))
        match urlsplit(document["targetRestApi"]).path:
            case "/busy":
                return Answer(503)
            case "/strict" if name and secret != self.vault.current(name):
                return Answer(401)
        return Answer(200)


class Silent:
    """Nobody is notified, and nothing measured."""

    wants_metrics = False
    rests = False

    def notify(self, *_: Any, **__: Any) -> None:
        pass


class World:
    """One deployment: two functions, each with what it knows of the vault, and an operator."""

    def __init__(self, database: Database, leases: LeaseTable, runner: Runner):
        self._runner = runner
        self.vault = MemoryVault()
        self.targets = Targets(self.vault)
        records, secrets = Records(database, "records"), Vault(self.vault, SETTINGS)
        ingest, delivery = (TokenVault(secrets, Readings(secrets, self.vault.clock)) for _ in range(2))
        self._lookup = Lookup(records, Listing(database, "records"))
        self._ingest = IngestService(SETTINGS, records, ingest, Told())
        leasing = Leasing(SETTINGS, records, leases, FanOut(self.vault, ""))
        others = PolicyStore(database, "records"), RateBook(SmallDocuments(database, "records"), records.now)
        self._delivery = DeliveryService(
            SETTINGS, records, delivery, leasing, self.targets, Silent(), *others
        )

    def wait(self) -> None:
        """Let so much time go by that every secret is read again."""
        self.vault.now += LONGER_THAN_A_READING

    def store(self, body: Any, caller: str, token: str | None, key: str | None) -> tuple[str, bool]:
        """Store one record; its id, and whether it is new."""
        stored = self._ingest.store(StoreRequest(json.dumps(body).encode(), caller, token, key))
        return stored.answer["id"], stored.is_new

    def state(self, identity: str, caller: Caller) -> dict[str, Any]:
        """What a caller is shown of a record."""
        return self._lookup.state(identity, caller)

    def process(self) -> list[Received]:
        """Deliver what is due; what the targets received."""
        return self._deliver(process_request(b"", SETTINGS, time.monotonic() + 300))

    def replay(self, **members: Any) -> list[Received]:
        """Replay failures; what the targets received."""
        return self._deliver(retry_request(json.dumps(members).encode(), SETTINGS, time.monotonic() + 300))

    def _deliver(self, request: DeliveryRequest) -> list[Received]:
        before = len(self.targets.received)
        self._runner.run(self._delivery.run(request))
        return self.targets.received[before:]


class Worlds:
    """Worlds without any record, one after the other in one database."""

    def __init__(self, home: Path, runner: Runner):
        self._spec = CollectionSpec("records", indexes("records"))
        self._database = Database(f"sqlite:{home / 'records.db'}", "", lambda: "")
        self._leases = LeaseTable(self._database, self._database, "records", SETTINGS.lease)
        self._runner = runner

    def new(self) -> World:
        with self._database.collection(self._spec) as collection:
            collection.find().remove()
        return World(self._database, self._leases, self._runner)


@contextmanager
def worlds(home: Path) -> Iterator[Worlds]:
    """Give worlds, in a database under `home`."""
    with Runner() as runner:
        yield Worlds(home, runner)
