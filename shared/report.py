"""The operators' view: how many records are in which state, and which codes and streams failed."""

from datetime import UTC, datetime
from typing import Any

from shared.collection import DUE, FAILED, REPLAY, Records, Selection, due


def report(records: Records) -> dict[str, Any]:
    """Return counts by state, code and error stream, and the age of what is due.

    The counts are read one after another: while records arrive they need not add up to the last one.
    """
    now = datetime.now(UTC)
    unfinished = records.count(Selection(DUE))
    waiting = records.count(Selection(REPLAY))
    failed = records.count(Selection(FAILED))
    oldest = records.page(due(now), 1)
    return {
        "counts": {
            "not_processed": max(0, unfinished - waiting),
            "success": max(0, records.count() - unfinished - (failed - waiting)),
            "failed": failed,
            "dead": max(0, failed - waiting),
        },
        "due": records.count(due(now)),
        "oldestDueDate": str(oldest[0].document["datasync"][DUE]).split(" ")[0] if oldest else None,
        "failed": {
            "byCode": records.failures_by("datasync.code"),
            "byStream": records.failures_by("error_stream"),
        },
    }
