"""The answers to HTTP requests: JSON, and errors as `application/problem+json` (RFC 9457)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.model import json_codec
from shared.model.errors import DataSyncError

log = logging.getLogger(__name__)

_COMMON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class Response:
    """Status, headers and body of an answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def ok(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that has a value as JSON, with more headers if any are given.

    >>> ok({"matchingMessages": 3}).body
    b'{"matchingMessages":3}'
    """
    usual = {"Content-Type": "application/json", **_COMMON}
    return Response(status, json_codec.dump(value), usual | dict(headers or {}))


def problem(error: Exception) -> Response:
    """Return the answer that says what went wrong.

    Of an exception that isn't a DataSyncError, and so a defect, it says nothing; type and place are logged.
    """
    if not isinstance(error, DataSyncError):
        log.error("a defect: %s at %s", type(error).__name__, _place(error))
        error = DataSyncError("An unexpected error occurred; the log has its type and place.")
    body: dict[str, Any] = {"title": error.title, "status": error.status, "detail": error.detail}
    if error.faults:
        body["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in error.faults]
    headers = {"Content-Type": "application/problem+json", **_COMMON, **error.headers}
    return Response(error.status, json_codec.dump(body), headers)


def _place(error: Exception) -> str:
    """Return file and line of the innermost frame: enough to find a defect, and nobody's data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
