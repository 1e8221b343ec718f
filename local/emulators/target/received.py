"""What the target received, and what became of it."""

import base64
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

REQUESTS_KEPT = 50_000
BYTES_KEPT = 128 * 2**20


@dataclass(slots=True)
class Received:
    """One request as it came, and its answer once there is one."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    key: str | None
    body: bytes
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None
    status: int | None = None

    def finish(self, status: int | None) -> None:
        """Keep the answer; None if the connection ended without one."""
        self.status, self.finished = status, time.monotonic()

    def repeats(self, earlier: "Received") -> bool:
        """Whether the earlier one had succeeded, or was still open, when this one came."""
        was_open = earlier.finished is None or earlier.finished > self.started
        return was_open or (earlier.status is not None and 200 <= earlier.status < 300)

    def as_json(self) -> dict[str, Any]:
        """The request in `GET /_received`; `started` and `finished` are seconds of the monotonic clock."""
        return {
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "idempotencyKey": self.key,
            "bodyBase64": base64.b64encode(self.body).decode(),
            "at": self.at.isoformat(),
            "started": self.started,
            "finished": self.finished,
            "status": self.status,
        }


class Log:
    """The latest requests, bounded in number and in bytes of body; the oldest are forgotten first."""

    def __init__(self, most: int = REQUESTS_KEPT, most_bytes: int = BYTES_KEPT) -> None:
        self._most, self._most_bytes = most, most_bytes
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.requests: deque[Received] = deque()
        self.forgotten = 0
        self._bytes = 0

    def add(self, received: Received) -> None:
        """Keep a request, and forget the oldest if that is too much."""
        self.requests.append(received)
        self._bytes += len(received.body)
        while len(self.requests) > self._most or self._bytes > self._most_bytes:
            self._bytes -= len(self.requests.popleft().body)
            self.forgotten += 1

    def duplicates(self) -> Counter[str]:
        """How often each Idempotency-Key came once too often."""
        by_key: defaultdict[str, list[Received]] = defaultdict(list)
        found: Counter[str] = Counter()
        for received in self.requests:
            if received.key is None:
                continue
            earlier = by_key[received.key]
            if any(received.repeats(one) for one in earlier):
                found[received.key] += 1
            earlier.append(received)
        return found
