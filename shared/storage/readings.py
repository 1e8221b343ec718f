"""What Vault said of secrets a moment ago, so that many records cost few calls."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.model.errors import DependencyDown
from shared.storage.vault import Secret, Vault

FRESH_SECONDS = 3.0
"""How long what was read of a secret is relied upon."""
_MOST_KNOWN = 1000  # names that a process remembers


@dataclass(frozen=True)
class Reading:
    """What Vault said of a name, or why it said nothing, and when (monotonic seconds) it was asked."""

    at: float
    secret: Secret | None
    outage: DependencyDown | None = None


class Readings:
    """The readings of a process, usable from several threads."""

    def __init__(self, vault: Vault, clock: Callable[[], float] = time.monotonic):
        self._vault = vault
        self._clock = clock
        self._known: dict[str, Reading] = {}
        self._locks: dict[str, threading.Lock] = {}

    def now(self) -> float:
        """Return the monotonic seconds by which readings are timed."""
        return self._clock()

    def is_fresh(self, at: float, since: float = 0.0) -> bool:
        """Return whether what was read at `at` is relied upon, and was not read before `since`."""
        return since <= at and self._clock() < at + FRESH_SECONDS

    def remembered(self, name: str, since: float = 0.0) -> Reading | None:
        """Return the fresh reading of a secret, if there is one."""
        reading = self._known.get(name)
        return reading if reading and reading.secret and self.is_fresh(reading.at, since) else None

    def read(self, name: str) -> Reading:
        """Return what Vault says from now on. Threads that ask at once share one answer, or one outage.

        Raises DependencyDown if Vault does not answer.
        """
        asked = self._clock()
        with self._locks.setdefault(name, threading.Lock()):
            reading = self._known.get(name)
            if reading is None or reading.at < asked:
                reading = self._asked(name)
                self._remember(name, reading)
        if reading.outage is not None:
            raise reading.outage
        return reading

    def keep(self, name: str, secret: Secret, at: float) -> None:
        """Remember a secret that this process created at `at`."""
        self._remember(name, Reading(at, secret))

    def _asked(self, name: str) -> Reading:
        at = self._clock()
        try:
            return Reading(at, self._vault.current(name))
        except DependencyDown as outage:
            return Reading(at, None, outage)

    def _remember(self, name: str, reading: Reading) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known, self._locks = {}, {}
        self._known[name] = reading
