"""The pace that a target without a rate has taught by being overloaded, as all workers share it.

With a refusal it gets slower (multiplicative decrease), and with the time that it is used and nothing is
refused gradually faster (additive increase: Chiu and Jain, 1989). A target that accepts nothing between two
refusals rests for twice as long each time, so that one in maintenance is asked now and then only.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.model.ids import timestamp

_DECREASE = 0.95  # with a refusal
_SOON_SECONDS = 1.0  # after a rest: with each such refusal in a row the decrease is squared
_MOST_SQUARED = 4
_FIRST = 10.0  # requests a second, at least, after the first refusal: others may have had the whole second
_AS_ONE_SECONDS = 1.0  # refusals within are of one overload
_INCREASE = 0.001  # of the pace, in a second
_FASTER = 1.0  # by so much more, with each second in which nothing was refused
_LONGEST_STEP = 5.0  # seconds between two reservations that count as use
_FIRST_REST_SECONDS = 1.0  # if the target says nothing; it doubles, whatever it says, ...
_LONGEST_REST_SECONDS = 600.0  # ... and so long at the most, so that it is soon seen when it is back
_LEAST = 0.05  # requests a second
_MOST = 2000.0  # beyond that it is none
_KNOWN_SECONDS = 3600.0  # after which it is forgotten


@dataclass(frozen=True)
class Refusal:
    """What one worker has seen of an overload."""

    taken: int
    """How many requests it got through in the second before."""
    retry_after: float | None
    """The seconds that the target named."""
    longest: float
    """The seconds for which any target may rest."""
    has_accepted: bool = True
    """Whether it got any through since the last overload."""

    def rest(self, futile: int) -> float:
        """Return for how many seconds the target rests, after so many rests that were in vain."""
        own = min(_FIRST_REST_SECONDS * 2.0 ** min(futile, 40), _LONGEST_REST_SECONDS)
        own *= random.uniform(0.9, 1.0)
        return min(max(self.retry_after or 0.0, own), self.longest)


@dataclass(frozen=True)
class Pace:
    """How many requests a second a target gets from all workers."""

    per_second: float
    since: datetime
    """The first refusal of the last overload."""
    learnt: datetime
    """The first refusal of all."""
    rests_until: datetime
    next: datetime
    """When the next request may be sent."""
    grown: datetime
    """Until when the increase is counted."""
    calm: float = 0.0
    """For how many seconds it was used since the last rest."""
    taken: float = 0.0
    """How many requests within a second went through before the first refusals of all workers."""
    soon: int = 0
    """How many refusals in a row came soon after a rest."""
    futile: int = 0
    """After how many rests in a row nothing was accepted."""

    @classmethod
    def read(cls, content: Mapping[str, Any], now: datetime) -> "Pace | None":
        """Return the pace that a document keeps; None if there is none, or it is too old."""
        if not content.get("perSecond"):
            return None
        since, learnt, rests_until, next_, grown = (datetime.fromisoformat(content[name]) for name in _DATES)
        per_second, calm, taken = (float(content[name]) for name in ("perSecond", "calm", "taken"))
        soon, futile = int(content["soon"]), int(content["futile"])
        pace = cls(per_second, since, learnt, rests_until, next_, grown, calm, taken, soon, futile)
        return None if (now - pace.grown).total_seconds() > _KNOWN_SECONDS else pace

    def content(self) -> dict[str, Any]:
        """Return what is kept of it."""
        dates = (self.since, self.learnt, self.rests_until, self.next, self.grown)
        return {
            "perSecond": self.per_second,
            "calm": self.calm,
            "taken": self.taken,
            "soon": self.soon,
            "futile": self.futile,
            **dict(zip(_DATES, map(timestamp, dates), strict=True)),
        }

    @property
    def interval(self) -> float:
        """Seconds between two requests."""
        return 1 / self.per_second

    def faster(self, now: datetime) -> "Pace | None":
        """Return the pace after the time for which it was used; None once it limits nothing any more."""
        since = max(self.grown, self.rests_until)
        seconds = min((now - since).total_seconds(), _LONGEST_STEP)
        if seconds <= 0 or self.next < now - timedelta(seconds=_SOON_SECONDS):  # it was not used to the full
            return replace(self, grown=max(now, self.grown))
        growth = _INCREASE * seconds * (1 + _FASTER * (self.calm + seconds / 2))
        per_second = self.per_second * (1 + min(growth, 0.5))
        if per_second > _MOST:
            return None
        return replace(self, per_second=per_second, calm=self.calm + seconds, grown=now)

    def ahead(self, now: datetime) -> float:
        """Return in how many seconds the next request may be sent."""
        return max(0.0, (max(self.next, self.rests_until) - now).total_seconds())

    def reserved(self, number: int, now: datetime) -> "Pace":
        """Return the pace once so many requests are reserved."""
        return replace(self, next=now + timedelta(seconds=self.ahead(now) + number * self.interval))

    def slower(self, refusal: Refusal, now: datetime) -> "Pace":
        """Return the pace after a refusal.

        What several workers hear of one overload makes it slower once; what they had of it at first adds up.
        """
        if now <= max(self.since + timedelta(seconds=_AS_ONE_SECONDS), self.rests_until):
            rests_until = max(self.rests_until, now + timedelta(seconds=refusal.rest(0)))
            if now > self.learnt + timedelta(seconds=_AS_ONE_SECONDS):
                return replace(self, rests_until=rests_until)
            together = self.taken + refusal.taken
            per_second = max(self.per_second, _DECREASE * together)
            return replace(self, per_second=per_second, taken=together, rests_until=rests_until)
        soon = min(self.soon + 1, _MOST_SQUARED) if self.calm < _SOON_SECONDS else 0
        futile = 0 if refusal.has_accepted else self.futile + 1
        return replace(
            self,
            per_second=max(_LEAST, self.per_second * _DECREASE ** (2**soon)),
            since=now,
            rests_until=now + timedelta(seconds=refusal.rest(futile)),
            grown=now,
            calm=0.0,
            soon=soon,
            futile=futile,
        )


_DATES = ("since", "learnt", "restsUntil", "next", "grown")


def first(refusal: Refusal, now: datetime) -> Pace:
    """Return the pace after the first refusal of all."""
    per_second, rests_until = max(_FIRST, _DECREASE * refusal.taken), now + timedelta(seconds=refusal.rest(0))
    return Pace(per_second, now, now, rests_until, now, now, taken=refusal.taken)
