"""A run drawn from a seed: everything goes wrong, then all is well; at the end the promises must hold."""

import asyncio
import json
import logging
import random
import shutil
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.emulators import soda
from shared.delivery.key_order import KeyOrder
from shared.delivery.memory import Memory
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.operations.report import Report
from shared.storage.leases import LeaseTable
from shared.storage.listing import Listing
from shared.storage.policies import PolicyStore
from shared.storage.records import Records
from tests.faults import checker
from tests.faults.checker import Evidence
from tests.simulation import faults, world
from tests.simulation.faults import FAULTS
from tests.simulation.processes import Behaviour, Functions, Targets
from tests.simulation.world import Process, World

COLLECTION = "datasync_records"
RETRY_LIMIT = 8
_MEMORY = "/dev/shm"  # noqa: S108 - a file system in memory
_CALM_CALLS = 120
_KNOWN_SECONDS = (
    25.0  # after which every worker has read the policies: a quarter of the longest lease, and a call
)
_MOST_AT_ONCE = 5  # invocations of process-data that schedules start


@dataclass
class Verdict:
    """What came of a seed."""

    seed: int
    broken: list[str]
    trace: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Of the world's time."""


def template(folder: Path) -> Path:
    """Make a database with the collections and their indexes, which each run gets a copy of."""
    path = folder / "template.db"
    database = Database(f"sqlite:{path}", "", str)
    Records(database, COLLECTION).count()
    LeaseTable(database, database, COLLECTION, 60).snapshot_and_fence()
    SmallDocuments(database, COLLECTION).all()
    PolicyStore(database, COLLECTION).prepare()
    database.close()
    return path


def run(seed: int, empty: Path, *, is_traced: bool = False) -> Verdict:
    """Play one seed, in a process that does nothing else afterwards."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if Path(_MEMORY).is_dir() else None) as folder:
        path = Path(folder) / "datasync.db"
        shutil.copy(empty, path)
        loop = World(seed, is_traced=is_traced)
        world.seed_everything(loop.random)
        if is_traced:
            _trace_logs(loop)
        else:
            logging.disable(logging.CRITICAL)
        faults.install(loop)
        played = Scenario(loop, path)
        try:
            broken = loop.run(played.play())
        except Exception:  # noqa: BLE001 - a run that does not end is a finding
            broken = [*played.functions.crashes, f"the run broke off: {traceback.format_exc()}"]
        return Verdict(seed, broken, loop.trace, loop.now)


def _trace_logs(loop: World) -> None:
    class Tracing(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            loop.note(f"log: {entry.getMessage()}")

    logging.basicConfig(level=logging.INFO, handlers=[Tracing()], force=True)


class _Functions(Functions):
    """Functions whose processes are drawn."""

    drawn: random.Random
    is_calm = False
    configurations: list[dict[str, str]]
    mortality = 0.0
    frailty = 0.0
    skew = 0.0
    number = 0

    def new_process(self, function: str) -> Process:
        self.number += 1
        drawn = self.drawn
        process = Process(
            f"{function} {self.number}",
            wall_offset=drawn.choice((0.0, drawn.uniform(-self.skew, self.skew))),
            monotonic_offset=drawn.uniform(0, 1e6),
            drift=1 + drawn.uniform(-1e-4, 1e-4),
        )
        if not self.is_calm and drawn.random() < self.mortality:
            process.dies_at = int(2 ** drawn.uniform(2, 10))
        if not self.is_calm and drawn.random() < self.frailty:
            process.pauses_at = int(2 ** drawn.uniform(2, 10))
            process.pause_seconds = 10 ** drawn.uniform(-1, 2.5)
        self.world.note(f"starts {process.name}, wall clock {process.wall_offset:+.0f} s")
        return process

    def settings(self) -> dict[str, str]:
        return self.drawn.choice(self.configurations)


class Scenario:
    """One run."""

    def __init__(self, loop: World, path: Path):
        self._world = loop
        self._path = path
        drawn = self._drawn = loop.random
        hosts = [f"t{number}.example.com" for number in range(drawn.randint(1, 3))]
        self._targets = Targets(loop, {host: _behaviour(drawn) for host in hosts})
        self.functions = _Functions(
            loop, f"sqlite:{path}", self._targets, seconds=drawn.choice((20.0, 60.0, 290.0))
        )
        self.functions.drawn = drawn
        self.functions.configurations = [_configuration(drawn) for _ in range(drawn.choice((1, 1, 2)))]
        self.functions.mortality = drawn.choice((0.0, 0.2, 0.5))
        self.functions.frailty = drawn.choice((0.0, 0.2, 0.5))
        self.functions.skew = drawn.choice((0.0, 90.0, 3600.0))
        KeyOrder.MOST_BEGUN = drawn.choice((2, 4, 32))
        Memory.FEW = drawn.choice((1, 3, 256))
        FAULTS.slow = drawn.choice((0.0, 0.0, 0.01, 0.05))
        FAULTS.failing = drawn.choice((0.0, 0.0, 0.005, 0.03))
        FAULTS.latency = drawn.choice((0.0005, 0.001, 0.01))
        self._policies: list[_InForce] = []
        self._seconds = drawn.uniform(15, 100)
        for _ in range(drawn.choice((0, 0, 1, 2))):
            begin = drawn.uniform(0, self._seconds)
            FAULTS.outages.append((begin, begin + drawn.uniform(1, 60)))
        self._is_peaceful = not (
            FAULTS.slow
            or FAULTS.failing
            or FAULTS.outages
            or self.functions.mortality
            or self.functions.frailty
        )

    async def play(self) -> list[str]:
        """Let sources, schedules and operators do their work while everything fails, then deliver the rest.

        Returns every promise that was not kept.
        """
        drawn = self._drawn
        sources = [self._source(f"s{number}") for number in range(drawn.randint(1, 4))]
        schedules = [self._scheduled("/process", drawn.uniform(1, 15)) for _ in range(drawn.randint(1, 3))]
        if drawn.random() < 0.6:
            schedules.append(self._scheduled("/process/retry", drawn.uniform(5, 40)))
        if drawn.random() < 0.3:
            schedules.append(self._scheduled("/maintenance", drawn.uniform(20, 60)))
        if drawn.random() < 0.5:
            schedules.append(self._operator())
        if drawn.random() < 0.5:
            schedules.append(self._acting())
        storing = self._storing = asyncio.gather(*map(self._world.create_task, sources))
        await asyncio.gather(*map(self._world.create_task, schedules))
        self._calm()
        await storing
        await self._put_policies([])
        await self._deliver_the_rest()
        return [*self.functions.crashes, *self._broken()]

    def _calm(self) -> None:
        self._world.note("from now on all is well")
        FAULTS.calm()
        self.functions.is_calm = True
        for behaviour in self._targets.behaviours.values():
            behaviour.codes, behaviour.seconds = {200: 1.0}, 0.05
        for process in [one for some in self.functions.idle.values() for one in some]:
            process.dies_at = process.pauses_at = None

    async def _source(self, name: str) -> None:
        """Store one record after the other, each until it is answered; some have the source's key."""
        drawn = self._drawn
        for number in range(drawn.randint(1, 7)):
            host = drawn.choice(list(self._targets.behaviours))
            members = {
                "targetRestApi": f"https://{host}/orders",
                "targetRestApiOperation": "POST",
                "targetRestApiPayload": {"number": number, "text": "x" * drawn.choice((0, 10, 5000))},
            }
            if drawn.random() < 0.7:
                members["streamKey"] = name
            body = json.dumps(members).encode()
            await asyncio.sleep(drawn.choice((0.0, drawn.uniform(0, 20))))
            self.functions.stored.append(await self._stored(body, f"{name}-{number}"))

    async def _stored(self, body: bytes, key: str) -> str:
        """Store a record, again and again until there is an answer; its id."""
        while True:
            answer = await self.functions.invoke("/store", body, key)
            if answer is not None:
                return str(answer["id"])
            await asyncio.sleep(1)

    async def _scheduled(self, route: str, seconds: float) -> None:
        """Invoke a function now and then, whether the last call has ended or not."""
        while self._world.now < self._seconds and not self._has_nothing_to_do():
            await asyncio.sleep(seconds * self._drawn.uniform(0.5, 1.5))
            if len(self.functions.running) < _MOST_AT_ONCE:
                self.functions.start(route, json.dumps(self._body(route)).encode())

    async def _operator(self) -> None:
        """Change what holds for targets, now and then."""
        drawn = self._drawn
        for _ in range(drawn.randint(1, 4)):
            await asyncio.sleep(drawn.uniform(0, self._seconds / 2))
            hosts = [host for host in self._targets.behaviours if drawn.random() < 0.7]
            await self._put_policies([_policy(drawn, host) for host in hosts])

    async def _acting(self) -> None:
        """Cancel and edit records, whatever is done with them at the moment."""
        drawn = self._drawn
        for number in range(drawn.randint(1, 8)):
            await asyncio.sleep(drawn.uniform(0, self._seconds / 6))
            if self.functions.stored:
                act = {"name": drawn.choice(("cancel", "edit")), "id": drawn.choice(self.functions.stored)}
                body = json.dumps(act | {"payload": number}).encode()
                await self.functions.invoke("/store/act", body)

    async def _put_policies(self, policies: list[dict[str, Any]]) -> None:
        """Write policies, again and again until there is an answer."""
        begun = self._world.now
        body = json.dumps({"targets": policies}).encode()
        while True:
            if await self.functions.invoke("/targets", body) is not None:
                break
            await asyncio.sleep(1)
        if self._policies:
            self._policies[-1].until = begun
        self._policies.append(_InForce(policies, self._world.now))

    def _has_nothing_to_do(self) -> bool:
        """Tell whether all is stored, and the last two calls found nothing to deliver."""
        idle = ("processedmessages", "failedMessages", "skippedMessages")
        last = self.functions.answers[-2:]
        return self._storing.done() and all(
            one["endOfStream"] and not any(map(one.get, idle)) for one in last
        )

    def _body(self, route: str) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if route != "/maintenance" and self._drawn.random() < 0.5:
            body["noOfMessagesToProcess"] = self._drawn.choice((1, 3, 20))
        if route == "/process/retry" and self._drawn.random() < 0.3:
            body["targetRestApi"] = f"https://{self._drawn.choice(list(self._targets.behaviours))}"
        if route == "/process/retry" and self.functions.stored and self._drawn.random() < 0.2:
            body["ids"] = sorted({self._drawn.choice(self.functions.stored) for _ in range(3)})
        return body

    async def _deliver_the_rest(self) -> None:
        for _ in range(_CALM_CALLS):
            while self.functions.running:
                await asyncio.wait(set(self.functions.running))
            await self.functions.invoke("/process", b"{}")
            if not self.functions.running and not any(map(_is_unfinished, self._documents())):
                return
            await asyncio.sleep(15)

    def _documents(self) -> list[dict[str, Any]]:
        with soda.connect(self._path) as connection:
            collection = connection.getSodaDatabase().openCollection(COLLECTION)
            return [one.getContent() for one in collection.find().getCursor()]

    def _broken(self) -> list[str]:
        database = Database(f"sqlite:{self._path}", "", str)
        leases = LeaseTable(database, database, COLLECTION, 60)
        documents = self._documents()
        evidence = Evidence(
            self.functions.stored,
            documents,
            [one.received() for one in self._targets.receptions],
            self.functions.answers,
            Report(
                *(Records(database, COLLECTION), Listing(database, COLLECTION), leases),
                SmallDocuments(database, COLLECTION),
                PolicyStore(database, COLLECTION),
            ).read(),
            RETRY_LIMIT,
            self.functions.is_unanswered,
            [policy for one in self._policies for policy in one.policies],
        )
        waiting = [one["id"] for one in documents if _is_unfinished(one)]
        late = [f"record {identity} is not finished, though all was well for long" for identity in waiting]
        interrupted = 0 if self._is_peaceful else len(documents) * 99
        against = self._against_policies() if self._is_peaceful else []
        return [*checker.violations(evidence, interrupted), *late, *against, *self._targets.cut_short]

    def _against_policies(self) -> list[str]:
        """Return what was sent to paused targets, or faster than a rate, though all processes were well."""
        found = []
        for one in self._policies:
            for policy in one.policies:
                if policy.get("targetRestApiOperation", "POST") != "POST":  # there are no others' records
                    continue
                sent = [each.began for each in self._targets.receptions if each.at == policy["name"]]
                sent = sorted(began for began in sent if one.since + _KNOWN_SECONDS < began < one.until)
                if policy.get("paused") and sent:
                    found.append(f"{policy['name']} got requests at {sent}, while it was paused")
                if "rate" in policy:
                    number, seconds = policy["rate"]["requests"], float(policy["rate"]["per"][:-1])
                    if any(
                        sent[place + number + 1] - sent[place] < seconds
                        for place in range(len(sent) - number - 1)
                    ):
                        found.append(f"{policy['name']} got more than its rate: {sent}")
        return found


@dataclass
class _InForce:
    """Policies, and from when until when they held."""

    policies: list[dict[str, Any]]
    since: float
    until: float = float("inf")


def _policy(drawn: random.Random, host: str) -> dict[str, Any]:
    policy: dict[str, Any] = {"name": host, "targetRestApi": f"https://{host}/"}
    choices: dict[str, Any] = {
        "paused": True,
        "rate": {"requests": drawn.choice((1, 5)), "per": drawn.choice(("1s", "10s"))},
        "concurrency": drawn.choice((1, 3)),
        "readTimeout": drawn.choice(("1s", "40s")),
        "retryCodes": drawn.choice((["404"], ["503", "unexpectedError"])),
        "retryLimit": drawn.choice((1, 3, RETRY_LIMIT)),
        "unknownOutcome": "hold",
        "targetRestApiOperation": drawn.choice(("POST", "PUT")),
    }
    return policy | {name: one for name, one in choices.items() if drawn.random() < 0.3}


def _is_unfinished(document: dict[str, Any]) -> bool:
    return "due" in document["datasync"]


def _behaviour(drawn: random.Random) -> Behaviour:
    codes: dict[int | str, float] = {200: 1.0}
    for code in (503, 404, 429, "refused", "hangs"):
        if drawn.random() < 0.4:
            codes[code] = drawn.choice((0.05, 0.3, 2.0))
    return Behaviour(drawn.choice((0.02, 0.1, 1.0)), codes)


def _configuration(drawn: random.Random) -> dict[str, str]:
    return {
        "ALLOWED_TARGETS": "*.example.com",
        "LEASE": drawn.choice(("12s", "30s", "60s")),
        "TARGET_CONNECT_TIMEOUT": "1s",
        "TARGET_READ_TIMEOUT": drawn.choice(("2s", "5s")),
        "CONCURRENCY": str(in_all := drawn.choice((1, 4, 32))),
        "CONCURRENCY_PER_TARGET": str(min(in_all, drawn.choice((1, 2, 8)))),
        "FAN_OUT": drawn.choice(("1", "1", "2", "4")),
        "RETRY_BACKOFF": drawn.choice(("0s..0s", "1s..20s")),
        "RETRY_LIMIT": str(RETRY_LIMIT),
        "EXPIRE_AFTER": drawn.choice(("0s", "2m")),
    }
