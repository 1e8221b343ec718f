"""One exchange with a target: the request that goes out, and what came back or why nothing did."""

from dataclasses import dataclass
from typing import NamedTuple


class HttpRequest(NamedTuple):
    """What goes out: its target was checked before."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes | None


@dataclass(frozen=True)
class Answer:
    """What a target answered: its code, or UNEXPECTED_ERROR with the reason why none came."""

    code: int | str
    reason: str = ""
    retry_after: float | None = None
    connected: bool = True
    seconds: float = 0.0
    """How long the attempt took, with what it waited for on its way."""

    @property
    def accepted(self) -> bool:
        """Tell whether the target took the record."""
        return isinstance(self.code, int) and 200 <= self.code < 300
