"""What a call did, and the answer that says so."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Summary:
    """What a call did: how many records ended how, the last one's id, and whether nothing is left to send.

    Those that a rule filtered count among those that succeeded.
    """

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    last: str = "-1"
    end: bool = False

    @property
    def handled(self) -> int:
        """How many records were sent."""
        return self.succeeded + self.failed

    def plus(self, later: "Summary") -> "Summary":
        """Return this and a later part of the same call as one."""
        return Summary(
            self.succeeded + later.succeeded,
            self.failed + later.failed,
            self.skipped + later.skipped,
            max(self.last, later.last),
            later.end,
        )

    def answer(self) -> dict[str, Any]:
        """Return the answer of `/process` and `/process/retry`."""
        return {"lastReadOffset": self.last, **self.counts(), "endOfStream": self.end}

    def counts(self) -> dict[str, int]:
        """Return its numbers by the names that they have in an answer."""
        return {
            "processedmessages": self.succeeded,
            "failedMessages": self.failed,
            "skippedMessages": self.skipped,
        }
