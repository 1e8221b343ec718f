"""Which failures the report shows: members of `/process/retry`, in the URL's query."""

from collections.abc import Mapping

from shared.model.codes import status_codes
from shared.model.members import MemberReader
from shared.storage.queries import FailureQuery, failure_filter

REPORT_MEMBERS = ("retryCodes", "streamOCIDToRetry", "from", "to", "targetRestApi", "streamKey")


def report_query(query: Mapping[str, str]) -> FailureQuery:
    """Read which failures the report is to show: members of `/process/retry`, in a query."""
    reader = MemberReader(query)
    reader.refuse_unknown(REPORT_MEMBERS)
    chosen = failure_filter(reader, reader.read("retryCodes", status_codes))
    reader.finish()
    return FailureQuery(chosen.narrowing, chosen.since, chosen.until, chosen.indexed)
