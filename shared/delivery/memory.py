"""What a process remembers from one call for the next: how much targets take, and where reading stopped."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ANEW_SECONDS = 30.0
"""After so long queues are read from the beginning again: what was held may have been released elsewhere."""


@dataclass(frozen=True)
class Bookmark:
    """Where the queues of a call stopped, if what it left behind it was held back by earlier records.

    The next call goes on there. What it delivers releases the later records of the same key, which are found
    by their key.
    """

    partitions: frozenset[int]
    policies: int
    """The version of the policies under which they were read."""
    until: float
    """Monotonic seconds until which it holds."""
    held: int
    """How many records were held back."""
    main: str
    own: Mapping[str, str]
    """The positions of lanes' own queues, by their names."""


@dataclass
class Memory:
    """What one process remembers; it is lost without harm."""

    FEW = 256
    """So many records that are held back are read again by each call."""

    windows: dict[str, int] = field(default_factory=dict)
    """How many requests at once targets have taken."""
    paced: set[str] = field(default_factory=set)
    """The targets that were overloaded, and have a pace since."""
    bookmark: Bookmark | None = None

    def bookmark_for(self, partitions: frozenset[int], policies: int, now: float) -> Bookmark | None:
        """Return where a call with these partitions and policies goes on; None if at the beginning."""
        mark = self.bookmark
        is_ours = mark is not None and (mark.partitions, mark.policies) == (partitions, policies)
        return mark if is_ours and mark is not None and now < mark.until else None
