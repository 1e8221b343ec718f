"""How often each operation was called, for tests and benchmarks that hold a budget."""

import threading
from collections import Counter


class Calls:
    """Counts by operation (`vault.create_secret`), refused and failed calls included; safe across threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, operation: str) -> None:
        """Record one call."""
        with self._lock:
            self._counts[operation] += 1

    def counts(self) -> dict[str, int]:
        """Return the calls so far, by operation."""
        with self._lock:
            return dict(self._counts)

    def clear(self) -> None:
        """Begin again at zero."""
        with self._lock:
            self._counts.clear()
