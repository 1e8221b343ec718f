"""Puts the services together: one aiohttp application, and what every call to it passes through."""

import asyncio
import logging
import re
import uuid
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from local.emulators.identity import issuer_key
from local.emulators.oci import admin
from local.emulators.oci.calls import Calls
from local.emulators.oci.faults import Fault, Faults
from local.emulators.oci.functions import Functions, Invoke
from local.emulators.oci.journal import Journal
from local.emulators.oci.monitoring import Monitoring
from local.emulators.oci.notifications import Notifications
from local.emulators.oci.object_storage import PUT_OBJECT, ObjectStorage
from local.emulators.oci.object_store import ObjectStore
from local.emulators.oci.secret_bundles import SecretBundles
from local.emulators.oci.secret_store import SecretStore
from local.emulators.oci.signatures import Authenticator
from local.emulators.oci.vault import Vault
from local.emulators.oci.wire import ServiceError

FAULTS = web.AppKey("FAULTS", Faults)
CALLS = web.AppKey("CALLS", Calls)
MESSAGES = web.AppKey("MESSAGES", Journal)
METRICS = web.AppKey("METRICS", Journal)

_LARGEST_BODY = 64 * 1024 * 1024  # an archived object; the other services have lower limits of their own
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HTTP_CODES = {404: "NotFound", 405: "MethodNotAllowed", 413: "RequestEntityTooLarge"}
_log = logging.getLogger(__name__)


def create_app(
    home: Path,
    *,
    invoke: Invoke | None = None,
    faults: Faults | None = None,
    secret_creation_delay: float = 0.0,
) -> web.Application:
    """Return the application that answers for every OCI service; what it keeps, it keeps under `home`.

    `invoke` runs functions for the Functions service; `faults` are failures to order while it runs;
    `secret_creation_delay` is how many seconds a new secret stays CREATING, and so unreadable.
    The application's keys FAULTS, CALLS, MESSAGES and METRICS give what it was asked and sent.
    """
    faults, calls = faults or Faults(), Calls()
    messages = Journal(home / "notifications" / "messages.jsonl")
    metrics = Journal(home / "monitoring" / "metrics.jsonl")
    secrets = SecretStore(home, secret_creation_delay)
    app = web.Application(
        client_max_size=_LARGEST_BODY,
        middlewares=[
            _answer_as_oci,
            _counting_and_failing(calls, faults),
            _authenticating(Authenticator(issuer_key(home))),
        ],
    )
    for service in (
        Vault(secrets),
        SecretBundles(secrets),
        Notifications(messages),
        Monitoring(metrics),
        Functions(invoke),
        ObjectStorage(ObjectStore(home)),
        admin.Admin(faults, calls),
    ):
        app.add_routes(service.routes())
    app[FAULTS], app[CALLS], app[MESSAGES], app[METRICS] = faults, calls, messages, metrics
    return app


@web.middleware
async def _answer_as_oci(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every answer its request id, and every error OCI's shape."""
    try:
        response = await handler(request)
    except ServiceError as error:
        response = error.response()
    except web.HTTPException as error:
        code = _HTTP_CODES.get(error.status, error.reason.replace(" ", ""))
        response = ServiceError(error.status, code, error.reason).response()
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    except Exception as error:  # noqa: BLE001 - the edge: whatever went wrong inside, a caller gets an answer
        _log.error("%s failed: %s", _operation(request), type(error).__name__)
        response = ServiceError(500, "InternalServerError", "The local service failed").response()
    response.headers["opc-request-id"] = _request_id(request.headers.get("opc-request-id", ""))
    return response


def _counting_and_failing(calls: Calls, faults: Faults) -> Middleware:
    """Count every call to a service, and let those fail that were asked to."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = _operation(request)
        if operation.startswith(admin.NAMES):
            return await handler(request)
        calls.count(operation)
        fault = faults.take(operation)
        return await handler(request) if fault is None else await _fail(fault, request, handler)

    return middleware


async def _fail(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    await asyncio.sleep(fault.delay)
    if fault.status is not None:
        raise ServiceError(fault.status, fault.error_code, fault.message)
    try:
        return web.Response() if fault.drop == "before" else await handler(request)
    finally:
        if fault.drop is not None and request.transport is not None:
            request.transport.abort()


def _authenticating(authenticator: Authenticator) -> Middleware:
    """Let signed calls through; the operator's own routes look after themselves."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = _operation(request)
        if not operation.startswith(admin.NAMES):
            await authenticator.check(request, body_signed=operation != PUT_OBJECT)
        return await handler(request)

    return middleware


def _operation(request: web.Request) -> str:
    return request.match_info.route.name or "unknown"


def _request_id(sent: str) -> str:
    # The service keeps the caller's part of the id and adds its own.
    own = uuid.uuid4().hex.upper()
    return f"{sent}/{own}" if _REQUEST_ID.fullmatch(sent) else own
