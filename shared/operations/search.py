"""Which failures the report shows: members of `/process/retry`, in the URL's query."""

from collections.abc import Mapping

from shared.model.codes import status_codes
from shared.model.members import MemberReader, offset, whole_number
from shared.storage.failure_queries import FAILURE_MEMBERS, FailureQuery, failure_query

LATEST, MOST = 50, 100  # failures on a page
REPORT_MEMBERS = ("retryCodes", *FAILURE_MEMBERS)


def failures_query(query: Mapping[str, str]) -> tuple[FailureQuery, int, str | None]:
    """Read which failures are wanted, how many of them, and behind which page."""
    reader = MemberReader(query)
    reader.refuse_unknown((*REPORT_MEMBERS, "limit", "after"))
    chosen = failure_query(reader, reader.read("retryCodes", status_codes))
    limit = reader.read("limit", whole_number) or LATEST
    if limit > MOST:
        reader.complain("limit", f"must be at most {MOST}")
    after = reader.read("after", offset)
    reader.finish()
    return chosen, limit, after


def report_query(query: Mapping[str, str]) -> FailureQuery:
    """Read which failures the report is to show: members of `/process/retry`, in a query."""
    reader = MemberReader(query)
    reader.refuse_unknown(REPORT_MEMBERS)
    chosen = failure_query(reader, reader.read("retryCodes", status_codes))
    reader.finish()
    return chosen
