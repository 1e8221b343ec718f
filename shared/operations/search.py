"""Which failures the report shows: members of `/process/retry`, in the URL's query."""

from collections.abc import Mapping

from shared.model.codes import status_codes
from shared.model.members import MemberReader, moment
from shared.storage.queries import FailureQuery, failure_conditions

REPORT_MEMBERS = ("retryCodes", "streamOCIDToRetry", "from", "to", "targetRestApi", "streamKey")


def report_query(query: Mapping[str, str]) -> FailureQuery:
    """Read which failures the report is to show: members of `/process/retry`, in a query."""
    reader = MemberReader(query)
    reader.refuse_unknown(REPORT_MEMBERS)
    codes = reader.read("retryCodes", status_codes)
    conditions = [{"datasync.code": {"$in": sorted(codes)}}] if codes else []
    conditions += failure_conditions(reader)
    since, until = (reader.read(name, moment) for name in ("from", "to"))
    reader.finish()
    return FailureQuery(conditions, since, until)
