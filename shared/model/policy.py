"""The operator's policies: what holds for the records of one target, as the policies document says it.

A policy is for the URLs that begin as its own does, and for one operation or all; of several that match a
record, the longest URL decides, and then the one that names the operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from shared.model.expressions import Expression, ExpressionFailed
from shared.model.ids import timestamp
from shared.model.retry import RetryPolicy

Document = dict[str, Any]
Answers = Literal["failures", "all", "none"]

FOREVER = datetime.max.replace(tzinfo=UTC)
HOLD_REASON = "may have been received: look at the target before replaying"


class PolicyFailed(Exception):
    """A policy's expression could not be applied; says which and why, with nothing of the record."""


@dataclass(frozen=True)
class Rate:
    """So many requests in so many seconds, over all workers."""

    requests: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds between two requests."""
        return self.seconds / self.requests


@dataclass(frozen=True)
class Area:
    """The records that a policy is for: those whose URL begins so, and whose operation is this, if any is."""

    prefix: str = ""
    operation: str | None = None

    def covers(self, url: str, operation: str) -> bool:
        """Tell whether a record with this normalised URL and operation is one of them."""
        return url.startswith(self.prefix) and self.operation in (None, operation)

    def overlaps(self, other: "Area") -> bool:
        """Tell whether some record may belong to both."""
        same_operation = None in (self.operation, other.operation) or self.operation == other.operation
        nested = self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix)
        return same_operation and nested

    @property
    def precedence(self) -> tuple[int, bool]:
        """What decides between two that cover a record: the greater."""
        return len(self.prefix), self.operation is not None


@dataclass(frozen=True)
class Policy:
    """What holds for the records of one area; None means what the settings say."""

    name: str = ""
    area: Area = Area()
    paused_until: datetime | None = None
    rate: Rate | None = None
    concurrency: int | None = None
    connect_timeout: float | None = None
    read_timeout: float | None = None
    retry_codes: frozenset[str] | None = None
    retry_limit: int | None = None
    retry_backoff: tuple[float, float] | None = None
    holds_unknown: bool = False
    """Whether a request that may have been received, and got no answer, waits for a person."""
    success: Expression | None = None
    answers: Answers = "failures"
    """Whose answers are kept."""
    filter: Expression | None = None
    payload: Expression | None = None
    headers: Expression | None = None

    def is_paused(self, now: datetime) -> bool:
        """Tell whether nothing is sent now."""
        return self.paused_until is not None and now < self.paused_until

    def shown_until(self) -> str | None:
        """Return the time until which it is paused; None if somebody has to resume it, or it never was."""
        until = self.paused_until
        return None if until in (None, FOREVER) else timestamp(until)

    @property
    def maps(self) -> bool:
        """Whether there is an expression to apply before a record is sent."""
        return not (self.filter is None and self.payload is None and self.headers is None)

    def retry(self, usual: RetryPolicy) -> RetryPolicy:
        """Return what holds for failures, where this policy says nothing, as usual."""
        return replace(
            usual,
            codes=usual.codes if self.retry_codes is None else self.retry_codes,
            limit=self.retry_limit or usual.limit,
            backoff=self.retry_backoff or usual.backoff,
        )

    def applied(self, document: Document) -> Document | None:
        """Return what is to be sent of a record; None if the filter excludes it. Raises PolicyFailed."""
        if self.filter is not None:
            wanted = self._result("filter", self.filter, visible(document))
            if not (wanted is None or isinstance(wanted, bool)):  # 1 == True, but is not a valid result
                raise PolicyFailed(f"policy {self.name!r}: filter gives neither true nor false")
            if wanted is not True:
                return None
        changed = dict(document)
        if self.payload is not None:
            changed["targetRestApiPayload"] = self._given("payload", self.payload, document)
        if self.headers is not None:
            headers = self._given("headers", self.headers, document)
            if not isinstance(headers, dict) or not all(isinstance(one, str) for one in headers.values()):
                raise PolicyFailed(f"policy {self.name!r}: headers gives no object of strings")
            # Names differ by more than their case (RFC 9110, section 5.1): of two alike the later counts.
            by_name = {name.lower(): (name, value) for name, value in headers.items()}
            changed["targetRestApiHeaders"] = dict(by_name.values())
        return changed

    def judges(self, status: int, headers: Mapping[str, str], body: Any) -> bool:
        """Tell whether an answer is a success by `success`. Raises PolicyFailed if that can't be told."""
        assert self.success is not None  # noqa: S101 - else there is nothing to judge by
        given = self._result(
            "success", self.success, {"status": status, "headers": dict(headers), "body": body}
        )
        if not isinstance(given, bool):
            raise PolicyFailed(f"policy {self.name!r}: success gives neither true nor false")
        return given

    def _given(self, member: str, expression: Expression, document: Document) -> Any:
        result = self._result(member, expression, visible(document))
        if result is None:
            raise PolicyFailed(f"policy {self.name!r}: {member} gives null")
        return result

    def _result(self, member: str, expression: Expression, value: Any) -> Any:
        try:
            return expression.evaluate(value)
        except ExpressionFailed as error:
            raise PolicyFailed(f"policy {self.name!r}: {member} {error}") from None


def visible(document: Document) -> Document:
    """Return what expressions see of a record: never its token, nor the name of it."""
    headers = document.get("targetRestApiHeaders") or {}
    if isinstance(headers, list):
        headers = {pair["key"]: pair["value"] for pair in headers}
    return {
        "payload": document.get("targetRestApiPayload"),
        "headers": headers,
        "streamKey": document.get("streamKey"),
        "reference": document.get("reference"),
        "targetRestApiOperation": document.get("targetRestApiOperation"),
        "targetRestApi": document.get("targetRestApi"),
        "id": document.get("id"),
        "createdDate": document.get("createdDate"),
    }


USUAL = Policy()
"""The policy of a target of which the operator says nothing."""
