"""store-data: keeps the records that sources send, and tells their state."""

from typing import Any

from shared.app import ingest
from shared.drivers import fdk
from shared.model.errors import NotFound


def handler(ctx: Any, data: Any = None) -> Any:
    """Answer one invocation; the FDK calls this."""
    return fdk.respond(ctx, data, _handle)


def _handle(request: fdk.Request) -> fdk.Response:
    match request.tail_after("store"):
        case []:
            request.expect_method("POST")
            request.expect_json()
            token = request.headers.get("authorization", "").strip() or None
            key, direct = request.headers.get("idempotency-key"), request.path is None
            kept = ingest().store(request.body, token, key, direct=direct)
            return fdk.ok(kept.answer, 202 if kept.is_new else 200)
        case [identity]:
            request.expect_method("GET")
            return fdk.ok(ingest().state(identity))
        case _:
            raise NotFound("There is no such route; records are at /store/{id}.")
