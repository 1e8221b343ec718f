"""What an operator reads of a running function: one JSON line per event on standard error."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from shared.record import timestamp

call_id: ContextVar[str] = ContextVar("call_id", default="")


class _JsonLine(logging.Formatter):
    """Formats an event as a line of JSON. Messages hold ids, codes and names: no token, no payload."""

    def format(self, event: logging.LogRecord) -> str:
        line = {
            "time": timestamp(datetime.fromtimestamp(event.created, UTC)),
            "level": event.levelname.lower(),
            "call": call_id.get(),
            "logger": event.name,
            "message": event.getMessage(),
        }
        return json.dumps(line)


def configure() -> None:
    """Send this package's events to standard error, once, and of other packages only warnings.

    The FDK opens the root logger for everything, and HTTP clients would then write of every request.
    """
    root = logging.getLogger("shared")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLine())
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
        logging.getLogger().setLevel(logging.WARNING)
