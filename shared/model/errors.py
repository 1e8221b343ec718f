"""Everything that can go wrong for a caller, as one small tree.

    DataSyncError
    ├── CallerError               the caller's mistake: nothing was stored, repeating it won't help
    │   ├── NotJson               400  the body is not JSON
    │   ├── NotFound              404  no such route or record
    │   ├── MethodNotAllowed      405  the route is there, the method is not
    │   ├── Conflict              409  what is kept already says otherwise
    │   ├── TooLarge              413  the body is over the limit
    │   ├── UnsupportedMediaType  415  the body is declared as something other than JSON
    │   └── Invalid               422  a rule of the contract is broken; `faults` says which and where
    ├── DependencyDown            503  database or Vault unavailable: nothing was stored, repeat later
    └── Misconfigured             500  the operator's settings are wrong; `faults` names all of them

A message is written for the caller: it says what was wrong, where and what to do. It never holds a token,
a payload or the text of a lower layer's exception.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_NAMED = 1000
"""Faults that one answer names: one for each record of the longest array."""


@dataclass(frozen=True)
class Fault:
    """One broken rule: where (a JSON Pointer, RFC 6901, or a setting's name) and what."""

    pointer: str
    detail: str


class DataSyncError(Exception):
    """The root: carries the HTTP status, a title, and what a caller may read."""

    status = 500
    title = "The service failed"

    def __init__(self, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})


class CallerError(DataSyncError):
    """The caller's mistake; nothing was stored."""

    status = 400
    title = "Bad request"


class NotJson(CallerError):
    """The body is not JSON (RFC 8259)."""

    title = "The body is not JSON"


class NotFound(CallerError):
    """No such route or record."""

    status = 404
    title = "Not found"


class MethodNotAllowed(CallerError):
    """The route does not answer to this method; `allowed` are the ones it answers to."""

    status = 405
    title = "Method not allowed"

    def __init__(self, method: str, allowed: Sequence[str]):
        super().__init__(
            f"This route does not answer to {method}; use {' or '.join(allowed)}.",
            headers={"Allow": ", ".join(allowed)},
        )


class Conflict(CallerError):
    """What is kept already contradicts the request."""

    status = 409
    title = "Conflict"


class TooLarge(CallerError):
    """The body is over the limit."""

    status = 413
    title = "The body is too large"


class UnsupportedMediaType(CallerError):
    """The body is declared as something other than JSON."""

    status = 415
    title = "The body must be JSON"


class Invalid(CallerError):
    """The body is JSON, and breaks rules of the contract: they are in `faults`."""

    status = 422
    title = "The request breaks a rule"

    @classmethod
    def of(cls, faults: Sequence[Fault], consequence: str) -> "Invalid":
        """Return the error for these faults; of more than MOST_NAMED the first are named."""
        more = f" or more; the first {MOST_NAMED} are named" if len(faults) > MOST_NAMED else ""
        count = min(len(faults), MOST_NAMED + 1)
        return cls(f"{count} rule(s) broken{more}; {consequence}.", faults[:MOST_NAMED])


class DependencyDown(DataSyncError):
    """The database or Vault can't be reached; nothing was stored, and the caller repeats later."""

    status = 503
    title = "Temporarily unavailable"

    def __init__(self, detail: str, retry_after: int = 5):
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class Misconfigured(DataSyncError):
    """The operator's settings are missing or wrong: `faults` names each."""

    title = "The service is not configured correctly"


def json_pointer_token(name: str) -> str:
    """Escape a member's name for a JSON Pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
