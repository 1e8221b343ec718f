"""What travels between the gateway, the runner and a function's processes."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

Headers = Collection[tuple[str, str]]
"""Header fields in order; a repeated name stands once per value."""

MAX_BODY_BYTES = 6 * 1024 * 1024
"""The most that OCI Functions takes as a request and gives as a response (OCI docs, "Functions: limits")."""


@dataclass(frozen=True)
class Function:
    """A function as Terraform would define it; times are in seconds."""

    name: str
    folder: Path
    """Holds `func.py`, whose `handler` is called."""
    function_id: str
    """The OCID under which the function can be invoked as well."""
    config: Mapping[str, str] = field(default_factory=dict)
    """The function configuration: environment variables of its processes."""
    timeout: float = 30.0
    detached_timeout: float = 300.0
    max_processes: int = 1
    memory_mb: int = 256
    """What `FN_MEMORY` says; not enforced here."""


@dataclass(frozen=True)
class Reply:
    """The answer to a call: HTTP status, header fields without Content-Length, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, by name in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def problem(status: int, code: str, detail: str, headers: Headers = ()) -> Reply:
    """An error of the platform itself, as RFC 9457 problem details.

    OCI's own services answer `{"code", "message"}`: both members are in it too, so that OCI's SDKs read it.
    """
    body = {
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "message": detail,
    }
    return Reply(status, (("Content-Type", "application/problem+json"), *headers), json.dumps(body).encode())
