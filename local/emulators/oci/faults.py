"""Failures on demand: which operation fails, how, and for how many calls."""

import threading
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

_CODES = {429: "TooManyRequests", 500: "InternalServerError", 503: "ServiceUnavailable"}


@dataclass(frozen=True)
class Fault:
    """One failure to come.

    `where` is a service (`vault`), an operation (`vault.create_secret`) or `*`. What happens: a `delay` in
    seconds; then either an error `status` with `code` and `message`, or a dropped connection, `before` the
    operation took effect or `after` it, when only its answer is lost. `times` is how many calls are still to
    be hit; None means all of them until the faults are cleared.
    """

    where: str
    status: int | None = None
    code: str = ""
    message: str = "This failure was asked for"
    delay: float = 0.0
    drop: Literal["before", "after"] | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.where, str) or not self.where:
            raise ValueError("where must name a service, an operation, or *")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError("status must be an error: 400 to 599")
        if self.drop not in (None, "before", "after"):
            raise ValueError("drop must be before or after")
        if self.delay < 0 or (self.times is not None and self.times < 1):
            raise ValueError("delay must not be negative, and times must be above 0")

    @property
    def error_code(self) -> str:
        """OCI's code for the status, where none was given."""
        return self.code or _CODES.get(self.status or 500, "UnknownError")

    def hits(self, operation: str) -> bool:
        """Say whether a call of this operation is meant."""
        return self.where in ("*", operation, operation.partition(".")[0])


class Faults:
    """The failures that are switched on; safe across threads. The oldest that fits a call hits it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Switch a failure on."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Switch all of them off."""
        with self._lock:
            self._faults.clear()

    def take(self, operation: str) -> Fault | None:
        """Return the failure for a call that is now being made, and count it off."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.hits(operation):
                    self._count_off(index, fault)
                    return fault
        return None

    def listed(self) -> list[dict[str, Any]]:
        """Return what is switched on, as JSON objects."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def _count_off(self, index: int, fault: Fault) -> None:
        if fault.times is None:
            return
        if fault.times == 1:
            del self._faults[index]
        else:
            self._faults[index] = replace(fault, times=fault.times - 1)
