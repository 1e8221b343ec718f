"""The operator's routes under `/_local`, which no real service has: failures on demand and call counts."""

import ipaddress

from aiohttp import web

from local.emulators.oci.calls import Calls
from local.emulators.oci.faults import Fault, Faults
from local.emulators.oci.wire import ServiceError, invalid, json_object

NAMES = "local."


class Admin:
    """The endpoints; unsigned, and therefore open to callers on this machine only."""

    def __init__(self, faults: Faults, calls: Calls):
        self._faults = faults
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        """Return the operations, each by its name."""
        return [
            web.get("/_local/faults", self.list_faults, name=f"{NAMES}list_faults"),
            web.post("/_local/faults", self.add_fault, name=f"{NAMES}add_fault"),
            web.delete("/_local/faults", self.clear_faults, name=f"{NAMES}clear_faults"),
            web.get("/_local/calls", self.count_calls, name=f"{NAMES}count_calls"),
            web.delete("/_local/calls", self.clear_calls, name=f"{NAMES}clear_calls"),
        ]

    async def list_faults(self, request: web.Request) -> web.Response:
        """Answer the failures that are switched on."""
        _require_loopback(request)
        return web.json_response(self._faults.listed())

    async def add_fault(self, request: web.Request) -> web.Response:
        """Switch on the failure that the JSON body describes, with the members of `Fault`."""
        _require_loopback(request)
        # A page in the operator's browser can post here, but not with this media type.
        if request.content_type != "application/json":
            raise ServiceError(415, "UnsupportedMediaType", "Send application/json")
        try:
            self._faults.add(Fault(**await json_object(request)))
        except (TypeError, ValueError) as error:
            raise invalid(f"That is no fault: {error}") from error
        return web.json_response(self._faults.listed(), status=201)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Switch all failures off."""
        _require_loopback(request)
        self._faults.clear()
        return web.Response(status=204)

    async def count_calls(self, request: web.Request) -> web.Response:
        """Answer the calls so far, by operation."""
        _require_loopback(request)
        return web.json_response(self._calls.counts())

    async def clear_calls(self, request: web.Request) -> web.Response:
        """Begin counting again at zero."""
        _require_loopback(request)
        self._calls.clear()
        return web.Response(status=204)


def _require_loopback(request: web.Request) -> None:
    try:
        local = ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        local = False
    if not local:
        raise ServiceError(403, "NotAuthorized", "Only callers on this machine may use /_local")
