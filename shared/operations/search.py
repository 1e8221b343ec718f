"""Which failures the report shows: members of `/process/retry`, in the URL's query."""

from collections.abc import Mapping

from shared.model.codes import status_codes
from shared.model.members import OF_A_PAGE, MemberReader, page
from shared.storage.failure_queries import FAILURE_MEMBERS, FailureQuery, failure_query

REPORT_MEMBERS = ("retryCodes", *FAILURE_MEMBERS)


def failures_query(query: Mapping[str, str]) -> tuple[FailureQuery, int, str | None]:
    """Read which failures are wanted, how many of them, and behind which page."""
    reader = MemberReader(query)
    reader.refuse_unknown((*REPORT_MEMBERS, *OF_A_PAGE))
    chosen = failure_query(reader, reader.read("retryCodes", status_codes))
    limit, after = page(reader)
    reader.finish()
    return chosen, limit, after


def report_query(query: Mapping[str, str]) -> FailureQuery:
    """Read which failures the report is to show: members of `/process/retry`, in a query."""
    reader = MemberReader(query)
    reader.refuse_unknown(REPORT_MEMBERS)
    chosen = failure_query(reader, reader.read("retryCodes", status_codes))
    reader.finish()
    return chosen
