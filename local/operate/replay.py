"""The walk through `POST /process/retry`, from the oldest failed record that matches to the newest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.operate.deployment import Deployment, DeploymentError

RETRY = "/process/retry"
FROM_THE_OLDEST = "-1"


class NoProgressError(Exception):
    """The deployment says that records are left, yet handles none: going on would never end."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a walk has come to so far."""

    offset: str = FROM_THE_OLDEST
    succeeded: int = 0
    failed: int = 0
    put_off: int = 0
    ended: bool = False

    @property
    def handled(self) -> int:
        """How many records were looked at."""
        return self.succeeded + self.failed + self.put_off

    def plus(self, answer: Mapping[str, Any]) -> "Tally":
        """This tally and one answer of `/process/retry`; the offset never goes back."""
        return Tally(
            offset=_later(self.offset, str(answer.get("lastReadOffset", FROM_THE_OLDEST))),
            succeeded=self.succeeded + _number(answer, "processedmessages"),
            failed=self.failed + _number(answer, "failedMessages"),
            put_off=self.put_off + _number(answer, "skippedMessages"),
            ended=answer.get("endOfStream") is True,
        )


def matching(deployment: Deployment, filters: Mapping[str, Any], after: str) -> int:
    """How many records a walk would handle; changes nothing."""
    answer = deployment.post(RETRY, {**filters, "readAfterOffset": after, "dryRun": True})
    return _number(answer, "matchingMessages")


def walk(deployment: Deployment, filters: Mapping[str, Any], after: str) -> Iterator[Tally]:
    """Replay batch by batch; yields the tally after each.

    Ends of itself: every batch but the last must move the offset on, or have a success, which leaves fewer
    failed records. Raises NoProgressError where one does neither.
    """
    tally = Tally(offset=after)
    while not tally.ended:
        before = tally
        tally = before.plus(deployment.post(RETRY, {**filters, "readAfterOffset": before.offset}))
        yield tally
        if not tally.ended and tally.offset == before.offset and tally.succeeded == before.succeeded:
            raise NoProgressError(
                "stopped: the deployment says that there is more, but the last call neither moved on nor "
                "delivered a record. Another invocation may hold these records, or their target be down: "
                "run the command again later"
            )


def _later(old: str, new: str) -> str:
    """The later of two offsets; record ids sort by time as text."""
    if FROM_THE_OLDEST in (old, new):
        return new if old == FROM_THE_OLDEST else old
    return max(old, new)


def _number(answer: Mapping[str, Any], member: str) -> int:
    number = answer.get(member)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DeploymentError(
            f"POST {RETRY}: the answer has no number {member}; is --url the root of a deployment?"
        )
    return number
