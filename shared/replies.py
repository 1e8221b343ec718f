"""What a caller reads: results and errors as JSON, the latter as `application/problem+json` (RFC 9457)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import jsontext
from shared.errors import DataSyncError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """Status, headers and body of an answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def ok(value: Any, status: int = 200) -> Reply:
    """Answer with a value as JSON."""
    return Reply(status, jsontext.dump(value), {"Content-Type": "application/json", **_COMMON})


def problem(error: Exception) -> Reply:
    """Answer with what went wrong; of an error that isn't ours nothing is told, and its type is logged."""
    if not isinstance(error, DataSyncError):
        log.error("a defect: %s at %s", type(error).__name__, _place(error))
        error = DataSyncError("An error that should not happen; the log has its type and place.")
    body: dict[str, Any] = {"title": error.title, "status": error.status, "detail": error.detail}
    if error.faults:
        body["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in error.faults]
    headers = {"Content-Type": "application/problem+json", **_COMMON, **error.headers}
    return Reply(error.status, jsontext.dump(body), headers)


_COMMON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _place(error: Exception) -> str:
    """Return file and line of the innermost frame: enough to find a defect, and no value of anybody's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
