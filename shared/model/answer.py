"""One request to a target, and its answer: what came back, or why nothing did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Sent = Literal["no", "unknown", "yes"]
"""Whether the target has the request: it can't have seen it; it may have; it answered."""

Cause = Literal["request", "time", "machine", "name", "connection", "answer"]
"""What a failure without an answer is due to:

- `request`: the record itself, which may not be sent so
- `time`: there was none left
- `machine`: this one lacks something (files, threads); it says nothing of the target
- `name`: the target's name was not resolved
- `connection`: none to the target came about
- `answer`: the target got the request, or may have, and did not answer
"""


class TlsIdentity(NamedTuple):
    """Certificates to use for TLS: nothing but the public authorities, by default."""

    certificate: str = ""
    """PEM: the client's certificate with its chain, and its private key."""
    authorities: str = ""
    """PEM: certificates that are trusted beside the public ones."""


ANONYMOUS = TlsIdentity()


class HttpRequest(NamedTuple):
    """What goes out: its target was checked before."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes | None
    credential: str = ""
    """What it proves itself with: a connection that served one is never used for another."""
    identity: TlsIdentity = ANONYMOUS


class Terms(NamedTuple):
    """How a request is made, in seconds, and what is wanted of the answer's body."""

    seconds: float
    """For all of it, whatever it has to wait for."""
    connect: float
    """To connect."""
    read: float
    """From sending the request to the end of the answer."""
    keeps_successes: bool = False
    """Whether what the target says is kept of successes, too."""
    keeps_failures: bool = True
    reads_body: bool = False
    """Whether the body is read to its end, to tell a success by it."""


@dataclass(frozen=True)
class Answer:
    """What a target answered: its code, or UNEXPECTED_ERROR with the reason why none came."""

    code: int | str
    reason: str = ""
    retry_after: float | None = None
    cause: Cause | None = None
    """Set if no answer came."""
    sent: Sent = "no"
    seconds: float = 0.0
    """How long the attempt took, including what it waited for."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By lower-case names; the values of one name with commas between."""
    content: bytes = field(default=b"", repr=False)
    """The beginning of the body, as far as it was asked for."""
    is_whole: bool = False
    """Whether that is all of it."""
    verdict: bool | None = None
    """What the target's policy says of the answer, if it says anything."""
    said: str = field(default="", repr=False)
    """The text to keep of it, without anything of a token."""

    @property
    def accepted(self) -> bool:
        """Tell whether the target took the record."""
        if self.verdict is not None:
            return self.verdict
        return isinstance(self.code, int) and 200 <= self.code < 300

    @property
    def overloaded(self) -> bool:
        """Tell whether the target speaks of itself, and not of the record: it asks for fewer requests."""
        is_plea = self.code == 429 or (self.code == 503 and self.retry_after is not None)
        return is_plea and not self.accepted

    @property
    def connected(self) -> bool:
        """Tell whether the target could be connected to, as far as is known."""
        return self.cause not in ("name", "connection")
