"""The rates of targets, shared by all workers: each reserves the moments of its next requests in one go.

A document says when the next request of any worker may be sent. Whoever reserves some moves it on, so that
all requests keep the interval, whichever workers and calls send them. Time is the database's.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.drivers.documents import Content, SmallDocuments
from shared.model import pace
from shared.model.ids import timestamp
from shared.model.pace import Pace, Refusal
from shared.model.policy import Policy, Rate

_PREFIX = "rate-"
_PACE_PREFIX = "pace-"
_MOST_RECENT = 60  # reservations that are kept to tell how much of a rate is used


@dataclass(frozen=True)
class Reserved:
    """The moments that were reserved, of this process's monotonic clock."""

    first: float
    interval: float
    number: int
    """None are reserved if the first would be too far ahead."""
    rests: float = 0.0
    """The seconds for which the target still rests."""


class RateBook:
    """The documents of all rates; one instance serves a process."""

    def __init__(self, documents: SmallDocuments, clock: Callable[[], datetime]):
        """`clock` tells the database's time."""
        self._documents = documents
        self._clock = clock

    def _moment(self) -> tuple[datetime, float]:
        """Return one moment in the database's time and in this process's."""
        before = time.monotonic()
        now = self._clock()
        return now, (before + time.monotonic()) / 2

    def reserve(self, policy: Policy, most_ahead: float, number: int) -> Reserved:
        """Reserve so many requests under a policy's rate, the first in `most_ahead` seconds at the most."""
        now, moment = self._moment()
        rate = policy.rate
        assert rate is not None  # noqa: S101 - else there is nothing to reserve
        ahead = 0.0

        def move_on(content: Content) -> Content | None:
            nonlocal ahead
            ahead = max(0.0, _next(content, rate, now))
            if ahead > most_ahead:
                return None
            return {
                "policy": policy.name,
                "requests": rate.requests,
                "seconds": rate.seconds,
                "next": timestamp(now + timedelta(seconds=ahead + number * rate.interval)),
                "recent": _recent(content, rate, now, number),
            }

        is_reserved = self._documents.change(_name(_PREFIX, policy.name), move_on) is not None
        return Reserved(moment + ahead, rate.interval, number if is_reserved else 0)

    def reserve_paced(self, target: str, most_ahead: float, number: int) -> Reserved | None:
        """Reserve so many requests at the pace that a target has taught; None if there is none any more."""
        now, moment = self._moment()
        result: Reserved | None = None

        def move_on(content: Content) -> Content | None:
            nonlocal result
            known = Pace.read(content, now)
            faster = known and known.faster(now)
            if faster is None:
                result = None
                return {"target": target} if known else None
            ahead, rests = faster.ahead(now), (faster.rests_until - now).total_seconds()
            is_soon = ahead <= most_ahead
            result = Reserved(moment + ahead, faster.interval, number if is_soon else 0, max(0.0, rests))
            return {"target": target, **faster.reserved(number, now).content()} if is_soon else None

        self._documents.change(_name(_PACE_PREFIX, target), move_on)
        return result

    def slow_down(self, target: str, refusal: Refusal) -> float:
        """Note that a target is overloaded; return for how many seconds it rests."""
        now = self._clock()
        rests = 0.0

        def move_on(content: Content) -> Content:
            nonlocal rests
            known = Pace.read(content, now)
            slower = pace.first(refusal, now) if known is None else known.slower(refusal, now)
            rests = (slower.rests_until - now).total_seconds()
            return {"target": target, **slower.content()}

        self._documents.change(_name(_PACE_PREFIX, target), move_on)
        return rests


def used(documents: Mapping[str, Content], now: datetime) -> dict[str, int]:
    """Return how many requests of the last period were reserved, by policy, from all small documents."""
    found = {}
    for name, content in documents.items():
        if name.startswith(_PREFIX):
            rate = Rate(int(content["requests"]), float(content["seconds"]))
            found[str(content["policy"])] = sum(number for _, number in _recent(content, rate, now, 0))
    return found


def _next(content: Content, rate: Rate, now: datetime) -> float:
    """Return in how many seconds the next request may be sent, by a rate that may be new."""
    if not content:
        return 0.0
    ahead = (datetime.fromisoformat(content["next"]) - now).total_seconds()
    is_same = (int(content["requests"]), float(content["seconds"])) == (rate.requests, rate.seconds)
    return ahead if is_same else min(ahead, rate.interval)


def _recent(content: Content, rate: Rate, now: datetime, number: int) -> list[Any]:
    """Return when how many were reserved within the last period, and `number` now."""
    since = timestamp(now - timedelta(seconds=rate.seconds))
    kept = [[date, int(some)] for date, some in content.get("recent", ()) if date > since]
    new = [[timestamp(now), number]] if number else []
    return kept[-_MOST_RECENT:] + new


def _name(prefix: str, name: str) -> str:
    return prefix + hashlib.sha256(name.encode()).hexdigest()[:32]
