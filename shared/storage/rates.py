"""The rates of targets, shared by all workers: each reserves the moments of its next requests in one go.

A rate's document says when the next request of any worker may be sent. Whoever reserves some moves it on, so
that all requests keep the rate's interval, whichever workers and calls send them. Time is the database's.
"""

import hashlib
import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.drivers.documents import Content, SmallDocuments
from shared.model.ids import timestamp
from shared.model.policy import Policy, Rate

_PREFIX = "rate-"
_MOST_RECENT = 60  # reservations that are kept to tell how much of a rate is used


def reserve(
    documents: SmallDocuments, policy: Policy, number: int, most_ahead: float, now: datetime
) -> tuple[float, bool]:
    """Reserve the next `number` requests under a policy's rate; return in how many seconds the first may go.

    The others follow at the rate's interval. None is reserved, and the answer's second part is False, if the
    first would be more than `most_ahead` seconds ahead.
    """
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

    name = _PREFIX + hashlib.sha256(policy.name.encode()).hexdigest()[:32]
    is_reserved = documents.change(name, move_on) is not None
    return ahead, is_reserved


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
    return [*itertools.islice(reversed(kept), _MOST_RECENT)][::-1] + (
        [[timestamp(now), number]] if number else []
    )
