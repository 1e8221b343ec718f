"""What a function gets of a client's headers, and what the gateway says of the client and the call."""

import re
import uuid
from collections.abc import Mapping
from ipaddress import ip_address

from local.emulators.functions import Headers, end_to_end
from local.emulators.gateway.callers import Caller

_OURS = frozenset({"forwarded", "opc-request-id", "x-forwarded-for", "x-real-ip"})
_IDENTITY = "x-datasync-"
"""Headers whose name begins so say who calls. The library trusts them, since only a gateway can set them."""
_REQUEST_ID_PART = re.compile(r"[A-Za-z0-9_-]{1,64}")


def forwarded(
    headers: Headers, caller: Caller, *, key_header: str, client: str, request_id: str
) -> list[tuple[str, str]]:
    """Return a client's headers for the function, with what the gateway says of the client.

    A client's own word on who it is stays behind, in any spelling, as does its key. Headers that end at the
    gateway are removed before its own are added: `Connection: X-Datasync-Caller` removes nothing of those.
    """
    fields = [(name, value) for name, value in end_to_end(headers) if not _is_identity(name, key_header)]
    before = {
        name: [value for key, value in fields if key.lower() == name]
        for name in ("x-forwarded-for", "forwarded")
    }
    node = f'"[{client}]"' if ip_address(client).version == 6 else client  # RFC 7239, section 6
    return [
        *((name, value) for name, value in fields if name.lower() not in _OURS),
        *_identity(caller).items(),
        ("X-Forwarded-For", ", ".join([*before["x-forwarded-for"], client])),
        ("Forwarded", ", ".join([*before["forwarded"], f"for={node}"])),
        ("X-Real-Ip", client),
        ("Opc-Request-Id", request_id),
    ]


def request_id(given: str) -> tuple[str, str]:
    """Return customer and trace part of a request id; of `customer/trace/span` the service keeps these two.

    A part that is missing or could not stand in a log line is replaced: the trace by a new one.
    """
    customer, trace = (*given.split("/"), "")[:2]
    return (
        customer if _REQUEST_ID_PART.fullmatch(customer) else "",
        trace if _REQUEST_ID_PART.fullmatch(trace) else new_id(),
    )


def new_id() -> str:
    """Return a new part of a request id."""
    return uuid.uuid4().hex.upper()


def _is_identity(name: str, key_header: str) -> bool:
    """Tell whether a header says who calls, or is the caller's key.

    An underscore counts as a hyphen, since many programs that read headers make no difference.
    """
    spelled = name.lower().replace("_", "-")
    return spelled.startswith(_IDENTITY) or spelled == key_header.lower().replace("_", "-")


def _identity(caller: Caller) -> Mapping[str, str]:
    if not caller.name:
        return {}
    return {"X-Datasync-Caller": caller.name, "X-Datasync-Role": caller.role}
