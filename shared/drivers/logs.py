"""Logs of a running function, one JSON line per event on standard error; and trace headers."""

import json
import logging
import re
import secrets
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from shared.model.ids import timestamp

LINE = {
    "time": "time of the event, in UTC",
    "level": "`debug`, `info`, `warning` or `error`",
    "call": "id of the call (`Fn-Call-Id`)",
    "logger": "module that wrote the line",
    "message": "what happened",
}
"""The members of every line and their meaning."""
EVENT = {
    "record": "id of the record",
    "target": "`host:port` of the target",
    "code": "status code of the response, or `unexpectedError`",
    "durationMs": "duration of the attempt in milliseconds",
}
"""The further members of a line about an attempt."""

_TRACE_ID = re.compile(r"(?=.*[1-9a-f])[0-9a-f]{16}([0-9a-f]{16})?")

call_id: ContextVar[str] = ContextVar("call_id", default="")
_trace: ContextVar[tuple[str, str] | None] = ContextVar("trace", default=None)


class _JsonLine(logging.Formatter):
    """Formats an event as a line of JSON. Messages contain ids, codes and names, but no token or payload."""

    def format(self, event: logging.LogRecord) -> str:
        line = {
            "time": timestamp(datetime.fromtimestamp(event.created, UTC)),
            "level": event.levelname.lower(),
            "call": call_id.get(),
            "logger": event.name,
            "message": event.getMessage(),
        }
        return json.dumps(line | getattr(event, "event", {}))


def event(logger: logging.Logger, level: int, message: str, **members: Any) -> None:
    """Log a line that has members of EVENT."""
    logger.log(level, message, extra={"event": members})


def configure() -> None:
    """Send this package's events to standard error, once, and only warnings of other packages.

    The FDK opens the root logger for every level, and HTTP clients would then log every request.
    """
    root = logging.getLogger("shared")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLine())
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
        logging.getLogger().setLevel(logging.WARNING)


def set_level(name: str) -> None:
    """Write only lines of at least this level, such as `info`."""
    logging.getLogger("shared").setLevel(name.upper())


def begin_trace(context: Any) -> None:
    """Continue the trace that the platform started for this call, if tracing is on."""
    trace = context.TracingContext()
    identity = str(trace.trace_id() or "").lower() if trace and trace.is_tracing_enabled() else ""
    begun = _TRACE_ID.fullmatch(identity)
    _trace.set((identity, "01" if trace.is_sampled() else "00") if begun else None)


def traceparent() -> str | None:
    """Return the header that tells a target which trace its request belongs to; None outside a trace.

    W3C Trace Context, section 3.2: version, trace of 32 hexadecimal digits, span of 16, flags. The
    platform's traces may have 16 (Zipkin B3), which are padded.
    """
    trace = _trace.get()
    if trace is None:
        return None
    identity, flags = trace
    return f"00-{identity.zfill(32)}-{secrets.token_hex(8)}-{flags}"
