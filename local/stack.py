"""The whole bundle on this machine: OCI's services, the functions, their gateway and a sample target."""

import errno
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from local import oracle_database
from local.emulators import gateway, identity, target
from local.emulators.functions import Function, FunctionRunner
from local.emulators.gateway import Callers
from local.emulators.oci.app import create_app
from local.emulators.oci.functions import Invoke, InvokeReply, UnknownFunctionError
from local.emulators.oci.object_store import ObjectStore

CHECKOUT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
ARCHIVE_BUCKET = "datasync-archive"
_BACKLOG = 1024  # connections waiting to be accepted


class StartError(Exception):
    """Why nothing can be served, and what to do about it, in one line."""


@dataclass(frozen=True)
class Stack:
    """What runs: its URLs, the folder with its state and logs, and the function processes."""

    url: str
    target_url: str
    oci_url: str
    home: Path
    runner: FunctionRunner


@asynccontextmanager
async def running(
    home: Path,
    settings: Mapping[str, str],
    *,
    also_allowed: Sequence[str] = (),
    port: int = 0,
    target_port: int = 0,
    processes: int = 4,
    callers: Callers | None = None,
) -> AsyncIterator[Stack]:
    """Run everything within `async with`; port 0 takes a free one, `processes` bounds each function's.

    `settings` go into the functions' configuration, over what this machine gives: that the sample target may
    be sent to, and what is `also_allowed`; a database's password goes into the vault. State is in `home`.
    Raises StartError if a port is taken, or the home holds what can't be read.
    """
    async with AsyncExitStack() as opened:
        entrance, receiver, services = (
            opened.enter_context(listener(number)) for number in (port, target_port, 0)
        )
        environment = _identity(home)
        ObjectStore(home).create_bucket(ARCHIVE_BUCKET)
        target_url = await _serve(opened, target.create_app(), receiver, abandoning=True)
        oci_url = _url(services)
        settled = configuration(home, oci_url, [target_url, *also_allowed])
        settled |= oracle_database.with_password_kept(home, settings)
        runner = FunctionRunner(_functions(settled, processes), home, environment=environment)
        await _serve(opened, create_app(home, invoke=_invoke_through(runner)), services)
        await opened.enter_async_context(runner)
        url = await opened.enter_async_context(
            gateway.serve(gateway.load_routes(), runner, callers=callers, listening=entrance)
        )
        yield Stack(url, target_url, oci_url, home, runner)


def configuration(home: Path, oci_url: str, targets: Sequence[str]) -> dict[str, str]:
    """Return the functions' configuration on this machine."""
    return {
        "DATABASE_DSN": f"sqlite:{home / 'datasync.db'}",
        "OCI_SERVICE_ENDPOINT": oci_url,
        "VAULT_OCID": identity.VAULT_OCID,
        "VAULT_KEY_OCID": identity.KEY_OCID,
        "VAULT_COMPARTMENT_OCID": identity.COMPARTMENT_OCID,
        "ALLOWED_TARGETS": ",".join(targets),
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "NOTIFICATION_TOPIC_OCID": identity.TOPIC_OCID,
        "METRICS_NAMESPACE": "datasync",
        "ARCHIVE_BUCKET": ARCHIVE_BUCKET,
    }


def _functions(configuration: Mapping[str, str], processes: int) -> tuple[Function, ...]:
    return tuple(
        Function(
            name=name,
            folder=CHECKOUT / "functions" / name,
            function_id=ocid,
            config=configuration,
            timeout=seconds,
            max_processes=processes,
        )
        for name, ocid, seconds in (
            ("store-data", identity.STORE_DATA_FUNCTION_OCID, 30.0),
            ("process-data", identity.PROCESS_DATA_FUNCTION_OCID, 300.0),
        )
    )


def _invoke_through(runner: FunctionRunner) -> Invoke:
    """Return what the Functions service calls: the same processes that the gateway calls."""

    async def invoke(ocid: str, body: bytes, headers: Mapping[str, str], detached: bool) -> InvokeReply:
        kind = headers.get("Content-Type", "application/json")
        reply = await runner.invoke(ocid, body, headers.items(), kind, detached=detached)
        if reply.status == 404:
            raise UnknownFunctionError(ocid)
        return InvokeReply(reply.status, dict(reply.headers), reply.body)

    return invoke


def _identity(home: Path) -> dict[str, str]:
    try:
        return identity.environment(home)
    except identity.UnusableKeyError as error:
        raise StartError(str(error)) from error


def listener(port: int) -> socket.socket:
    """Return a socket that listens on this machine only; port 0 takes a free one.

    Raises StartError if the port is taken, or not for this user.
    """
    try:
        return socket.create_server((HOST, port), backlog=_BACKLOG)
    except OSError as error:
        reason = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
        raise StartError(
            f"Port {port} can't be used: {reason}. Set PORT; the sample target takes the port after it."
        ) from error


def _url(listening: socket.socket) -> str:
    return f"http://{HOST}:{listening.getsockname()[1]}"


async def _serve(
    opened: AsyncExitStack, app: web.Application, listening: socket.socket, *, abandoning: bool = False
) -> str:
    """Serve an application until `opened` closes; `abandoning`: it drops work whose caller left."""
    server = web.AppRunner(app, access_log=None, handler_cancellation=abandoning, shutdown_timeout=1.0)
    await server.setup()
    opened.push_async_callback(server.cleanup)
    await web.SockSite(server, listening, backlog=_BACKLOG).start()
    return _url(listening)
