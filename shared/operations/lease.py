"""The lease of maintenance: one run at a time, and a run that has lost it changes nothing more.

The lease is one small document, which its holder replaces, each time with a matching version: a run that was
presumed dead, and resumes, finds that it has lost before it has changed anything. The document also holds
what runs remember for each other.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from shared.drivers.documents import Content, SmallDocument, SmallDocuments

_NAME = "maintenance"
_LOOK_AGAIN_SECONDS = 0.2
_RENEWALS = 4  # in a lease's length

Write = Callable[[SmallDocument, Content], SmallDocument | None]


class LeaseLost(Exception):
    """Another run presumed this one dead, and continues in its place."""


class MaintenanceLease:
    """The lease as one run sees it. `seconds` is its length: a run that has not renewed it since is dead."""

    def __init__(
        self,
        documents: SmallDocuments,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._documents = documents
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._held: SmallDocument | None = None
        self._renewed = 0.0

    def memory(self) -> Mapping[str, Any]:
        """Return what runs remember for each other; a run without the lease may look at it, too."""
        return _memory(self._held or self._documents.find(_NAME))

    def take(self, until: float) -> bool:
        """Take the lease; False if another run holds it, and is alive.

        Whether it is alive shows in its renewals, watched until `until` (monotonic seconds), since no clock
        of another machine is trusted. One that may be alive by then is presumed alive.
        """
        watched, dead_at = "", 0.0
        while True:
            known, now = self._documents.find(_NAME), self._clock()
            if known is None or not known.content["held"] or (known.version == watched and now >= dead_at):
                self._held = self._documents.replace(_NAME, known, self._content(_memory(known)))
                if self._held is not None:
                    self._renewed = now
                    return True
            elif not watched:
                watched, dead_at = known.version, now + float(known.content["seconds"])
            elif known.version != watched:
                return False
            if self._clock() + _LOOK_AGAIN_SECONDS > until:
                return False
            self._sleep(_LOOK_AGAIN_SECONDS)

    def keep(self) -> None:
        """Renew the lease if it is time to; LeaseLost if it is another's."""
        if self._clock() >= self._renewed + self._seconds / _RENEWALS:
            self.remember()

    def remember(self, **members: Any) -> None:
        """Remember these members, None for none, and renew the lease; LeaseLost if it is another's."""
        if not self.remember_by(
            lambda held, content: self._documents.replace(_NAME, held, content), **members
        ):
            raise LeaseLost

    def remember_by(self, write: Write, **members: Any) -> bool:
        """Remember these members if `write` replaces the document it is given; tell whether it did."""
        if self._held is None:
            raise LeaseLost
        began = self._clock()
        kept = {name: value for name, value in (_memory(self._held) | members).items() if value is not None}
        written = write(self._held, self._content(kept))
        if written is None:
            return False
        self._held, self._renewed = written, began
        return True

    def release(self) -> None:
        """Give the lease up, if it is held."""
        if self._held is not None:
            content = self._content(_memory(self._held)) | {"held": False}
            self._documents.replace(_NAME, self._held, content)
            self._held = None

    def _content(self, memory: Mapping[str, Any]) -> Content:
        return {"held": True, "seconds": self._seconds, "memory": dict(memory)}


def _memory(document: SmallDocument | None) -> dict[str, Any]:
    return {} if document is None else dict(document.content["memory"])
