"""store-data: stores the records that sources send, and shows their state."""

from typing import Any

from shared import app
from shared.drivers import fdk, responses
from shared.drivers.request import Request
from shared.drivers.responses import Response
from shared.ingest.lookup import Caller
from shared.ingest.service import StoreRequest
from shared.model.errors import NotFound


def handler(ctx: Any, data: Any = None) -> Any:
    """Answer one invocation; the FDK calls this."""
    return fdk.respond(ctx, data, _handle)


def _handle(request: Request) -> Response:
    match request.segments_after("store"):
        case [] if request.method == "GET":
            return responses.ok(app.lookup().search(request.query, _caller(request)))
        case []:
            request.expect_method("POST", "GET")
            stored = app.ingest().store(_store_request(request))
            return responses.ok(stored.answer, 202 if stored.is_new else 200)
        case [identity]:
            request.expect_method("GET", "DELETE", "PATCH")
            return responses.ok(_of_record(request, identity))
        case _:
            raise NotFound("There is no such route; the routes are /store and /store/{id}.")


def _of_record(request: Request, identity: str) -> dict[str, Any]:
    """Return the state of a record, after what is asked for was done to it."""
    caller = _caller(request)
    match request.method:
        case "DELETE":
            return app.acts().cancel(identity, caller)
        case "PATCH":
            return app.acts().edit(identity, request.body, caller)
        case _:
            return app.lookup().state(identity, caller)


def _caller(request: Request) -> Caller:
    return Caller(request.caller, request.is_from_operator(app.ingest().settings.scope_prefix))


def _store_request(request: Request) -> StoreRequest:
    return StoreRequest(
        request.body,
        request.caller,
        token=request.headers.get("authorization", "").strip() or None,
        idempotency_key=request.headers.get("idempotency-key"),
        is_direct=request.is_direct,
    )
