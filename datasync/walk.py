"""The walk through `POST /process/retry`, from the oldest failed record that matches to the newest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datasync.deployment import Deployment, DeploymentError
from datasync.filters import FAILURES

RETRY = "/process/retry"
FROM_THE_OLDEST = "-1"


class NoProgressError(Exception):
    """The deployment says that records are left, yet handles none: going on would never end."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What a walk has done so far; `offset` is the id of the last record that it handled."""

    offset: str = FROM_THE_OLDEST
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    ended: bool = False

    @property
    def records(self) -> int:
        """How many records were looked at."""
        return self.succeeded + self.failed + self.skipped

    def plus(self, answer: Mapping[str, Any]) -> "Handled":
        """This and one answer of `/process/retry`; the offset never goes back."""
        return Handled(
            offset=_later(self.offset, str(answer.get("lastReadOffset", FROM_THE_OLDEST))),
            succeeded=self.succeeded + _number(answer, "processedmessages"),
            failed=self.failed + _number(answer, "failedMessages"),
            skipped=self.skipped + _number(answer, "skippedMessages"),
            ended=answer.get("endOfStream") is True,
        )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Failed records that match but for their state; if there may be more, `at_least` is true."""

    waiting: int
    dead: int
    at_least: bool


@dataclass(frozen=True, slots=True)
class Matching:
    """How many records a walk would handle, and of what."""

    total: int
    by_code: Mapping[str, int]
    by_target: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """The members of a dry run's answer."""
        return {
            "matchingMessages": self.total,
            "byCode": dict(self.by_code),
            "byTarget": dict(self.by_target),
        }


def matching(deployment: Deployment, filters: Mapping[str, Any], after: str) -> Matching:
    """Count what a walk would handle; changes nothing."""
    body = {**filters, "readAfterOffset": after, "dryRun": True, "breakdown": True}
    answer = deployment.post(RETRY, body)
    by_code, by_target = (_numbers(answer.get(name)) for name in ("byCode", "byTarget"))
    return Matching(_number(answer, "matchingMessages"), by_code, by_target)


def left_out(deployment: Deployment, filters: Mapping[str, Any], after: str) -> LeftOut:
    """Which records only `force` would replay: among the latest failures, as the report shows them."""
    query = {name: str(filters[name]) for name in FAILURES if name in filters}
    report = deployment.get("/process", having="latestFailures", query=query)
    shown = [one for one in report["latestFailures"] or () if isinstance(one, dict)]
    matched = [one for one in shown if after == FROM_THE_OLDEST or str(one.get("id", "")) > after]
    now = str(report.get("time", ""))  # both are UTC with microseconds, and compare as text
    return LeftOut(
        waiting=sum(not one.get("dead") and str(one.get("nextAttemptDate", "")) > now for one in matched),
        dead=sum(one.get("dead") is True for one in matched),
        at_least=report.get("failuresNext") is not None,
    )


def walk(deployment: Deployment, filters: Mapping[str, Any], after: str) -> Iterator[Handled]:
    """Replay batch by batch; yields what was done so far after each.

    Ends of itself: every batch but the last must move the offset on, or have a success, which leaves fewer
    failed records. Raises NoProgressError if one does neither.
    """
    handled = Handled(offset=after)
    while not handled.ended:
        before = handled
        handled = before.plus(deployment.post(RETRY, {**filters, "readAfterOffset": before.offset}))
        yield handled
        if not handled.ended and handled.offset == before.offset and handled.succeeded == before.succeeded:
            raise NoProgressError(
                "Stopped: the deployment says that there is more, but the last call neither moved on nor "
                "delivered a record. Another invocation may hold these records, or their target be down: "
                "run the command again later."
            )


def _later(old: str, new: str) -> str:
    """The later of two offsets; record ids sort by time as text."""
    if FROM_THE_OLDEST in (old, new):
        return new if old == FROM_THE_OLDEST else old
    return max(old, new)


def _numbers(groups: Any) -> dict[str, int]:
    members = groups if isinstance(groups, dict) else {}
    return {name: number for name, number in members.items() if isinstance(number, int)}


def _number(answer: Mapping[str, Any], member: str) -> int:
    number = answer.get(member)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DeploymentError(
            f"POST {RETRY}: the answer has no number {member}.\nIs --url the root of a deployment?"
        )
    return number
