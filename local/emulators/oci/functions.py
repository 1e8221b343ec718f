"""The Functions service's invoke endpoint: hands a call on to whoever runs the functions."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from local.emulators.oci.wire import ServiceError, not_found

MAXIMUM_BODY = 6 * 1024 * 1024
# What a caller's request to the service is made of stays here; these reach the function.
_FORWARDED = ("Content-Type", "Fn-Intent", "opc-request-id")


class UnknownFunctionError(Exception):
    """An `Invoke` raises this for a function id that it does not have."""


@dataclass(frozen=True)
class InvokeReply:
    """What came back: the function's answer, or 202 with an empty body for a detached call."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Invoke = Callable[[str, bytes, Mapping[str, str], bool], Awaitable[InvokeReply]]
"""Calls a function: its OCID, the body, headers, and whether to answer 202 at once (detached)."""


class Functions:
    """The endpoint; without an `invoke` no function is known."""

    def __init__(self, invoke: Invoke | None):
        self._invoke = invoke

    def routes(self) -> list[web.RouteDef]:
        """Return the operations, each by its name."""
        # The API's version is part of the path, and newer SDKs send a newer one (20181201, 20260325).
        path = r"/{version:20\d{6}}/functions/{id}"
        return [
            web.get(path, self.get, name="functions.get_function"),
            web.post(f"{path}/actions/invoke", self.invoke, name="functions.invoke_function"),
        ]

    async def get(self, request: web.Request) -> web.Response:
        """Answer where a function is invoked: here."""
        if self._invoke is None:
            raise not_found("The function")
        endpoint = str(request.url.origin())
        return web.json_response({"id": request.match_info["id"], "invokeEndpoint": endpoint})

    async def invoke(self, request: web.Request) -> web.Response:
        """Call the function and answer what it answers; `fn-invoke-type: detached` answers 202 at once."""
        kind = request.headers.get("Fn-Invoke-Type", "sync")
        if kind not in ("sync", "detached"):
            raise ServiceError(400, "InvalidParameter", "fn-invoke-type must be sync or detached")
        body = await request.read()
        if len(body) > MAXIMUM_BODY:
            raise ServiceError(413, "RequestEntityTooLarge", f"The body is longer than {MAXIMUM_BODY} bytes")
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        if self._invoke is None:
            raise not_found("The function")
        try:
            reply = await self._invoke(request.match_info["id"], body, headers, kind == "detached")
        except UnknownFunctionError as error:
            raise not_found("The function") from error
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
