"""The functions' processes, built as `app.py` builds them, the targets, and what is invoked."""

import asyncio
import contextvars
import json
import time
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from shared.delivery.leasing import Leasing
from shared.delivery.requests import process_request, retry_request
from shared.delivery.service import DeliveryService
from shared.drivers import threads
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import OciClients
from shared.ingest.acts import Acts
from shared.ingest.lookup import Caller, Lookup
from shared.ingest.service import IngestService, StoreRequest
from shared.model.answer import Answer, Terms
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.errors import Conflict, DependencyDown
from shared.model.record import Document
from shared.monitoring.metrics import Metrics
from shared.monitoring.notifications import Notifications
from shared.monitoring.publisher import Publisher
from shared.operations.expirer import Expirer
from shared.operations.lease import MaintenanceLease
from shared.operations.maintenance import Maintenance
from shared.operations.targets import Targets as TargetPolicies
from shared.settings import Settings
from shared.storage.audit import Audit
from shared.storage.leases import LeaseTable
from shared.storage.listing import Listing
from shared.storage.policies import PolicyStore
from shared.storage.rates import RateBook
from shared.storage.readings import Readings
from shared.storage.records import Records
from shared.storage.tokens import TokenVault
from shared.storage.vault import Vault
from tests.faults.checker import Received
from tests.simulation.world import CURRENT, Process, World

REQUIRED = dict.fromkeys(("VAULT_OCID", "VAULT_KEY_OCID", "VAULT_COMPARTMENT_OCID"), "x")


@dataclass
class Behaviour:
    """How a target answers: seconds that it takes, and how likely it gives which code, or none."""

    seconds: float = 0.05
    codes: Mapping[int | str, float] = field(default_factory=lambda: {200: 1.0})
    """`refused`: nothing is received; `hangs`: no answer comes."""
    retry_after: float | None = None


@dataclass
class Reception:
    """A request as a target sees it."""

    id: str
    at: str
    by: str
    began: float
    ended: float | None = None
    status: int | None = None

    def received(self) -> Received:
        """Return it as the checker reads it."""
        return Received(self.id, self.began, self.ended, self.status)


class Targets:
    """All targets, by host; each records what it gets, whatever becomes of who sent it."""

    def __init__(self, running: World, behaviours: dict[str, Behaviour]):
        self._world = running
        self.behaviours = behaviours
        self.receptions: list[Reception] = []
        self.cut_short: list[str] = []
        """Requests that were begun without the whole of their time-outs."""

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Targets"]:
        """Open a session, as `outbound/session.py` does."""
        yield self

    async def send(self, document: Document, secret: str | None, terms: Terms) -> Answer:
        """Send one record."""
        if terms.seconds < terms.connect + terms.read - 0.001:
            self.cut_short.append(f"record {document['id']} was begun with {terms.seconds:.1f} s left")
        host = document["targetRestApi"].split("/")[2]
        behaviour, drawn = self.behaviours[host], self._world.random
        (code,) = drawn.choices(list(behaviour.codes), list(behaviour.codes.values()))
        self._world.note(f"sends {document['id']} to {host}, which will say {code}")
        if code == "refused":
            await asyncio.sleep(0.01)
            return Answer(UNEXPECTED_ERROR, "the target refused the connection", cause="connection")
        process = CURRENT.get()
        reception = Reception(document["id"], host, process.name if process else "", self._world.now)
        self.receptions.append(reception)
        answered: asyncio.Future[int] = self._world.create_future()
        if isinstance(code, int):
            after = behaviour.seconds * drawn.uniform(0.2, 3.0)
            self._world.call_later(
                after, self._answer, reception, answered, code, context=contextvars.Context()
            )
        try:
            status = await asyncio.wait_for(answered, terms.seconds)
        except TimeoutError:
            reason = f"no answer from the target within {terms.seconds:g} s"
            return Answer(UNEXPECTED_ERROR, reason, cause="answer", sent="unknown")
        reason = "" if status < 300 else f"the target answered {status}"
        return Answer(status, reason, behaviour.retry_after if status == 503 else None, sent="yes")

    def _answer(self, reception: Reception, answered: "asyncio.Future[int]", code: int) -> None:
        reception.ended = self._world.now
        if not answered.done():
            reception.status = code
            answered.set_result(code)
        self._world.note(f"{reception.id} was answered {reception.status}")


class FanOut:
    """Has other invocations started."""

    def __init__(self, functions: "Functions"):
        self._functions = functions

    def start(self, number: int, limit: int) -> None:
        """Start so many."""
        body = json.dumps({"noOfMessagesToProcess": limit, "fannedOut": True}).encode()
        for _ in range(number):
            self._functions.start("/process", body)


@dataclass
class Functions:
    """The platform: starts processes, invokes each one call at a time, and ends those that take too long."""

    world: World
    dsn: str
    targets: Targets
    seconds: float
    """The functions' time-out."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    is_unanswered: bool = False
    idle: dict[str, list[Process]] = field(default_factory=dict)
    running: set["asyncio.Task[Any]"] = field(default_factory=set)

    def new_process(self, function: str) -> Process:
        """Start a process; scenarios draw what it is like."""
        raise NotImplementedError

    def settings(self) -> dict[str, str]:
        """Return the configuration of a process that is started now."""
        raise NotImplementedError

    def start(self, route: str, body: bytes) -> "asyncio.Task[Any]":
        """Invoke detached."""
        task = self.world.create_task(self.invoke(route, body), context=contextvars.Context())
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task

    async def invoke(self, route: str, body: bytes, key: str = "") -> dict[str, Any] | None:
        """Invoke a function; the answer, or None if none came, or an outage was all of it."""
        function = "store" if route.startswith("/store") else "process"
        idle = self.idle.setdefault(function, [])
        process = idle.pop(self.world.random.randrange(len(idle))) if idle else self.new_process(function)
        context = contextvars.Context()
        context.run(CURRENT.set, process)
        if route == "/store/act":
            call = self._act(process, json.loads(body))
        elif function == "store":
            call = self._store(process, body, key)
        else:
            call = self._process(process, route, body)
        task = self.world.create_task(call, context=context)
        death = self.world.create_task(process.death.wait(), context=contextvars.Context())
        await asyncio.wait({task, death}, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if not task.done() or process.is_dead:
            self.world.kill(process)
            self.world.graveyard.append(task)
            self.is_unanswered = True
            return None
        idle.append(process)
        try:
            answer = task.result()
        except DependencyDown:
            self.is_unanswered = True
            return None
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            self.crashes.append(f"{route} raised:\n{traceback.format_exc()}")
            return None
        if function == "process" and "processedmessages" in answer:
            self.answers.append(answer)
        return answer

    async def _process(self, process: Process, route: str, body: bytes) -> dict[str, Any]:
        parts = process.own("parts", lambda: Parts(self))
        begun_at = time.monotonic()
        deadline = begun_at + self.seconds
        if route == "/maintenance":
            return await threads.OPERATIONS.run(parts.maintenance().run, deadline)
        if route == "/targets":
            document, _ = await threads.OPERATIONS.run(parts.operated.write, body, "*", "operator")
            return document
        read = process_request(body, parts.settings, deadline, direct=True)
        if route == "/process/retry":
            policies = await threads.DATABASE.run(parts.policies.policies)
            read = retry_request(body, parts.settings, deadline, policies.entries)
        read = replace(read, begun_at=begun_at)
        self.world.note(f"begins {route} {body.decode()}")
        answer = (await parts.delivery.run(read)).answer()
        self.world.note(f"answers {answer}")
        return answer

    async def _act(self, process: Process, act: dict[str, str]) -> dict[str, Any]:
        """Cancel a record, or edit it; one that has finished meanwhile is nobody's fault."""
        acts = process.own("parts", lambda: Parts(self)).acts
        operator = Caller("operator", is_operator=True)
        try:
            if act["name"] == "cancel":
                state = await threads.OPERATIONS.run(acts.cancel, act["id"], operator)
            else:
                body = json.dumps({"targetRestApiPayload": act["payload"]}).encode()
                state = await threads.OPERATIONS.run(acts.edit, act["id"], body, operator)
        except Conflict:
            return {}
        self.world.note(f"{act['name']}s {act['id']}: {state['status']}")
        return state

    async def _store(self, process: Process, body: bytes, key: str) -> dict[str, Any]:
        parts = process.own("parts", lambda: Parts(self))
        result = await threads.OPERATIONS.run(
            parts.ingest.store, StoreRequest(body, "source", idempotency_key=key)
        )
        self.world.note(f"stored {result.answer.get('id', 'an array')}")
        return result.answer


class Parts:
    """The use cases of one process, of the parts that `app.py` has."""

    def __init__(self, functions: Functions):
        self.settings = settings = Settings.from_config(
            REQUIRED | {"DATABASE_DSN": functions.dsn, **functions.settings()}
        )
        clients = OciClients("")
        self.database = Database(functions.dsn, "", str)
        self.documents = SmallDocuments(self.database, settings.collection)
        self.records = Records(self.database, settings.collection, settings.body_limit)
        self.policies = PolicyStore(self.database, settings.collection)
        notifications = Notifications(clients, self.documents, settings)
        vault = Vault(clients, settings)
        tokens = TokenVault(vault, Readings(vault), settings.connector_hub_secrets)
        self.leases = LeaseTable(
            self.database, Database(functions.dsn, "", str, 1), settings.collection, settings.lease
        )
        self.ingest = IngestService(settings, self.records, tokens, notifications)
        lookup = Lookup(self.records, Listing(self.database, settings.collection))
        self.acts = Acts(settings, lookup, self.records, Audit(self.database, settings.collection))
        leasing = Leasing(settings, self.records, self.leases, FanOut(functions))  # starts others alike
        publisher = Publisher(Metrics(clients, settings), notifications)
        self.delivery = DeliveryService(
            settings,
            self.records,
            tokens,
            leasing,
            functions.targets,  # opens sessions alike
            publisher,
            self.policies,
            RateBook(self.documents, self.records.now),
        )
        self.operated = TargetPolicies(self.records, self.leases, self.documents, self.policies)
        self._publisher = publisher

    def maintenance(self) -> Maintenance:
        """Return what a run of maintenance does here: it ends what was not delivered for too long."""
        steps = [Expirer(self.settings, self.records, self.leases, self._publisher)]
        lease = MaintenanceLease(self.documents, self.settings.lease)
        return Maintenance(lease, steps, self.database.now)
