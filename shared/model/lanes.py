"""Lanes: the records of one host that one policy is for, which are limited and read by themselves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.model import record
from shared.model.policy import USUAL, Area, Document, Policy
from shared.model.targets import bases_of, normalised_prefix

_MOST_KNOWN = 4096  # URLs and operations whose lanes are remembered


@dataclass(frozen=True)
class Lane:
    """What is sent to one host (`host:port`) under one policy."""

    name: str
    """What tells it from others: the host, and the policy's name if it has one."""
    origin: str
    policy: Policy = USUAL
    area: Area | None = None
    """Which of the host's records belong to it; None if all do that are not excluded."""
    others: tuple[Area, ...] = ()
    """Areas whose records do not belong to it."""

    @property
    def is_whole(self) -> bool:
        """Whether all of the host's records belong to it."""
        return self.area is None and not self.others


class Policies:
    """All policies, as one version of the document has them."""

    def __init__(self, entries: Iterable[Policy] = (), version: int = 0):
        self.entries: Sequence[Policy] = tuple(
            sorted(entries, key=lambda one: one.area.precedence, reverse=True)
        )
        self.version = version
        self._known: dict[tuple[str, str], Lane] = {}
        self._whole: dict[str, Lane] = {}

    def lane(self, document: Document) -> Lane:
        """Return the lane of a record."""
        if not self.entries:
            return self._plain(record.target(document))
        key = str(document.get("targetRestApi", "")), str(document.get("targetRestApiOperation", ""))
        lane = self._known.get(key)
        if lane is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            lane = self._known[key] = self._lane(record.target(document), _comparable(key[0]), key[1])
        return lane

    def lanes_at(self, origin: str) -> list[Lane]:
        """Return the lanes that a host's records can be in."""
        host = [Area(base) for base in bases_of(origin)]
        found = [
            self._of(origin, one) for one in self.entries if any(one.area.overlaps(each) for each in host)
        ]
        return found if any(lane.area is None for lane in found) else [*found, self._of(origin, USUAL)]

    def named(self, name: str) -> Lane | None:
        """Return the lane with this name; None if there is none any more."""
        if not self.entries:
            return self._plain(name) if " " not in name else None
        return next((lane for lane in self.lanes_at(host_of(name)) if lane.name == name), None)

    def paused(self, now: datetime) -> list[Policy]:
        """Return the policies by which nothing is sent now."""
        return [one for one in self.entries if one.is_paused(now)]

    def _plain(self, origin: str) -> Lane:
        lane = self._whole.get(origin)
        if lane is None:
            lane = self._whole[origin] = Lane(origin, origin)
        return lane

    def _lane(self, origin: str, url: str, operation: str) -> Lane:
        policy = next((one for one in self.entries if one.area.covers(url, operation)), USUAL)
        return self._of(origin, policy)

    def _of(self, origin: str, policy: Policy) -> Lane:
        bases = bases_of(origin)
        own = policy.area
        is_all = own.operation is None and any(base.startswith(own.prefix) for base in bases)
        others = tuple(
            one.area
            for one in self.entries
            if (policy is USUAL or one.area.precedence > own.precedence)
            and one.area.overlaps(own)
            and any(one.area.overlaps(Area(base)) for base in bases)
        )
        name = f"{origin} {policy.name}" if policy.name else origin
        return Lane(name, origin, policy, None if is_all else own, others)


def host_of(name: str) -> str:
    """Return the host of the lane with this name.

    >>> host_of("erp.example.com:443 orders")
    'erp.example.com:443'
    """
    return name.partition(" ")[0]


def _comparable(url: str) -> str:
    """Return a URL as policies' prefixes are compared with: with a path (RFC 3986, section 6.2.3)."""
    text = normalised_prefix(url)
    scheme, _, rest = text.partition("://")
    authority, question, query = rest.partition("?")
    return text if "/" in authority else f"{scheme}://{authority}/{question}{query}"
