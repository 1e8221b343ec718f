"""Runs as a function's Python starts: puts in the fault that its environment asks for.

KILL_AT   a step of a page, below, at which the process kills itself, once: KILLED is the file that says so
POISON    a part of a URL: whoever sends there dies, each time
CLOCK     seconds that the machine's wall clock is wrong
MEASURED  seconds that this machine takes the database's time wrong, in both functions
OCI       seconds that calls to OCI's services may take
SIGNERS   a file: calls to the services that it names fail as where the signer can't read its token
REST      seconds for which nothing is published after a service that hangs
NAMES     whether names of the domains below are resolved as is said there, and not by the system
REFUSALS  whether the database refuses records in the status that their URL ends with, behind `/refused/`
THIN      whether the database's driver connects without Oracle's client, in both functions
"""

import datetime as real
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def die_once() -> None:
    """Kill this process, unless another one has been killed before."""
    try:
        Path(os.environ["KILLED"]).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, countdown: int = 1) -> None:
    """Die as a method is called the given number of times."""
    original, left = getattr(owner, name), [countdown]

    def dying(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            die_once()
        return original(*arguments, **options)

    setattr(owner, name, dying)


def after(owner: Any, name: str) -> None:
    """Die as a method returns."""
    original = getattr(owner, name)

    def dying(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        die_once()
        return result

    setattr(owner, name, dying)


def amid_requests() -> None:
    """Die while requests are on their way."""
    from shared.outbound.connection import Connection

    original, begun = Connection.request, [0]

    async def dying(*arguments: Any) -> None:
        begun[0] += 1
        if begun[0] == 20:
            import asyncio

            asyncio.get_running_loop().call_later(0.03, die_once)
        await original(*arguments)

    Connection.request = dying


def install_kill(step: str) -> None:
    import oracledb

    from shared.delivery.completer import Completer
    from shared.operations.archiver import Bucket
    from shared.operations.lease import MaintenanceLease
    from shared.storage.leases import LeaseTable
    from shared.storage.records import Records
    from shared.storage.vault import Vault

    steps: dict[str, Callable[[], None]] = {
        "before the lease": lambda: before(LeaseTable, "take"),
        "within the lease": lambda: before(LeaseTable, "_change"),
        "after the lease": lambda: after(LeaseTable, "take"),
        "after noting what is in flight": lambda: after(LeaseTable, "renew"),
        "mid-delivery": amid_requests,
        "between answer and write": lambda: before(Completer, "put", 5),
        "mid-write": lambda: before(oracledb.SodaCollection, "insertMany", 2),
        "after the write": lambda: after(Records, "write"),
        "before the release": lambda: before(LeaseTable, "release"),
        # of maintenance
        "as the lease of maintenance was taken": lambda: after(MaintenanceLease, "take"),
        "while expiring": lambda: before(Records, "write"),
        "before the batch is noted": lambda: before(MaintenanceLease, "remember"),
        "after the batch is noted": lambda: after(MaintenanceLease, "remember"),
        "after the put": lambda: after(Bucket, "put"),
        "before the second put": lambda: before(Bucket, "put", 2),
        "mid-delete": lambda: before(oracledb.SodaOperation, "remove"),
        "after the put of the dead": lambda: before(Records, "remove", 2),
        "after the delete": lambda: after(Records, "remove"),
        "while archiving the dead": lambda: before(LeaseTable, "renew"),
        "before a secret goes": lambda: before(Vault, "schedule_deletion"),
        "after a secret went": lambda: after(Vault, "schedule_deletion"),
        "before the lease of maintenance is released": lambda: before(MaintenanceLease, "release"),
    }
    steps[step]()


def install_poison(part: str) -> None:
    from shared.outbound.sender import Sender

    original = Sender.send

    async def dying(sender: Any, document: Any, *arguments: Any) -> Any:
        if part in document["targetRestApi"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return await original(sender, document, *arguments)

    Sender.send = dying


def install_clock(seconds: float) -> None:
    class Wrong(real.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + real.timedelta(seconds=seconds)

    from shared.drivers import clock
    from shared.model import record

    for module in (clock, record):
        module.datetime = Wrong


def install_measured(seconds: float) -> None:
    from shared.drivers.clock import DatabaseClock

    original = DatabaseClock.now
    DatabaseClock.now = lambda clock: original(clock) + real.timedelta(seconds=seconds)


def install_oci_seconds(seconds: float) -> None:
    from shared.drivers import oci

    oci._TIMEOUT = (3.0, seconds)


def install_rest(seconds: float) -> None:
    from shared.monitoring import publisher

    publisher._REST_SECONDS = seconds


def install_signers(services: Path) -> None:
    from shared.drivers.oci import OciClients

    original = OciClients._client

    def failing(clients: Any, service: str, name: str) -> Any:
        if service in services.read_text().split():
            raise OSError("the token's file can't be read")
        return original(clients, service, name)

    OciClients._client = failing


def install_names() -> None:
    original = socket.getaddrinfo

    def resolved(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        match str(host).split(".")[1:]:
            case ["silent", "test"]:
                time.sleep(60)
            case ["slow", "test"]:
                time.sleep(0.3)
                host = "127.0.0.1"
            case ["good", "test"]:
                host = "127.0.0.1"
            case ["missing", "test"]:
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            case ["failing", "test"]:
                raise socket.gaierror(socket.EAI_AGAIN, "no server answers")
        return original(host, port, *arguments, **options)

    socket.getaddrinfo = resolved


def install_refusals() -> None:
    from local.emulators.soda import collection
    from local.emulators.soda.errors import ora

    original = collection.index_value

    def refusing(content: Any, field: Any) -> Any:
        _, _, status = content.get("targetRestApi", "").partition("/refused/")
        if status and content["status"] != "not_processed" and status in (content["status"], "all"):
            raise ora(40478, "an index takes no such value")
        return original(content, field)

    collection.index_value = refusing


FAULTS: dict[str, Callable[[str], None]] = {
    "KILL_AT": install_kill,
    "POISON": install_poison,
    "OCI": lambda seconds: install_oci_seconds(float(seconds)),
    "REST": lambda seconds: install_rest(float(seconds)),
    "SIGNERS": lambda path: install_signers(Path(path)),
    "NAMES": lambda _: install_names(),
    "REFUSALS": lambda _: install_refusals(),
}

if os.environ.get("MEASURED"):
    install_measured(float(os.environ["MEASURED"]))

if os.environ.get("CLOCK"):
    install_clock(float(os.environ["CLOCK"]))

if os.environ.get("THIN"):
    import oracledb

    oracledb.init_oracle_client = lambda: None

if "process-data" in os.environ.get("FN_FN_NAME", ""):
    for name, install in FAULTS.items():
        if os.environ.get(name):
            install(os.environ[name])
