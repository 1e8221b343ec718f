"""store-data: stores the records that sources send, and shows their state."""

from typing import Any

from shared.app import ingest
from shared.drivers import fdk, responses
from shared.drivers.request import Request
from shared.drivers.responses import Response
from shared.ingest.service import Caller, StoreRequest
from shared.model.errors import NotFound


def handler(ctx: Any, data: Any = None) -> Any:
    """Answer one invocation; the FDK calls this."""
    return fdk.respond(ctx, data, _handle)


def _handle(request: Request) -> Response:
    match request.segments_after("store"):
        case []:
            request.expect_method("POST")
            stored = ingest().store(_store_request(request))
            return responses.ok(stored.answer, 202 if stored.is_new else 200)
        case [identity]:
            request.expect_method("GET")
            service = ingest()
            caller = Caller(request.caller, request.is_from_operator(service.settings.scope_prefix))
            return responses.ok(service.state(identity, caller))
        case _:
            raise NotFound("There is no such route; the routes are /store and /store/{id}.")


def _store_request(request: Request) -> StoreRequest:
    return StoreRequest(
        request.body,
        request.caller,
        token=request.headers.get("authorization", "").strip() or None,
        idempotency_key=request.headers.get("idempotency-key"),
        is_direct=request.is_direct,
    )
