"""Everything that can go wrong for a caller, as one small tree.

    DataSyncError
    ├── CallerError               the caller's mistake: nothing was stored, and repeating it won't help
    │   ├── NotJson               400  the body is not JSON
    │   ├── Forbidden             403  the request comes from another site
    │   ├── NotFound              404  no such route or record
    │   ├── MethodNotAllowed      405  the route exists, but not for this method
    │   ├── Conflict              409  the request contradicts what is stored
    │   ├── PreconditionFailed    412  what the request replaces has changed meanwhile
    │   ├── TooLarge              413  the body exceeds a limit
    │   ├── UnsupportedMediaType  415  the body is not declared as JSON
    │   ├── Invalid               422  rules are broken; `faults` says which and where
    │   └── PreconditionRequired  428  the request does not say which version it replaces
    ├── DependencyDown            503  the database or Vault is unavailable: nothing was stored, repeat later
    └── Misconfigured             500  the operator's settings are wrong; `faults` names all of them

A message is written for the caller: it says what was wrong, where and what to do. It never contains a token,
a payload or the text of an exception from below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_NAMED = 1000
"""The most faults that one answer names: one for each record of the longest array."""


@dataclass(frozen=True)
class Fault:
    """One broken rule: where (a JSON Pointer, RFC 6901, or the name of a setting) and what."""

    pointer: str
    detail: str


class DataSyncError(Exception):
    """The root: carries the HTTP status, a title, and what a caller may read of it."""

    status = 500
    title = "Internal server error"

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

    title = "Malformed JSON"


class Forbidden(CallerError):
    """The request comes from a place that may not send it, such as another site's page."""

    status = 403
    title = "Forbidden"


class NotFound(CallerError):
    """No such route or record."""

    status = 404
    title = "Not found"


class MethodNotAllowed(CallerError):
    """The route does not support this method; `allowed` are those that it supports."""

    status = 405
    title = "Method not allowed"

    def __init__(self, method: str, allowed: Sequence[str]):
        super().__init__(
            f"This route does not support {method}; use {' or '.join(allowed)}.",
            headers={"Allow": ", ".join(allowed)},
        )


class Conflict(CallerError):
    """The request contradicts what is stored."""

    status = 409
    title = "Conflict"


class PreconditionFailed(CallerError):
    """What the request replaces is not, or no longer, the version that it names."""

    status = 412
    title = "Precondition failed"


class TooLarge(CallerError):
    """The body exceeds a limit."""

    status = 413
    title = "Content too large"


class UnsupportedMediaType(CallerError):
    """The body is not declared as JSON."""

    status = 415
    title = "Unsupported media type"


class Invalid(CallerError):
    """The request breaks rules: `faults` names them."""

    status = 422
    title = "Validation failed"

    @classmethod
    def of(cls, faults: Sequence[Fault], consequence: str) -> "Invalid":
        """Return the error for these faults; if there are more than MOST_NAMED, it names the first of them.

        >>> Invalid.of([Fault("/streamKey", "must be a string")], "nothing was stored").detail
        'The request has 1 error; nothing was stored.'
        """
        number = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
        if len(faults) > MOST_NAMED:
            number = f"more than {MOST_NAMED} errors, of which the first are listed"
        return cls(f"The request has {number}; {consequence}.", faults[:MOST_NAMED])


class PreconditionRequired(CallerError):
    """The request does not name the version that it replaces (RFC 6585, section 3)."""

    status = 428
    title = "Precondition required"


class DependencyDown(DataSyncError):
    """The database or Vault is unavailable; nothing was stored, and the caller repeats the request later."""

    status = 503
    title = "Service unavailable"

    def __init__(self, detail: str, retry_after: int = 5):
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class Misconfigured(DataSyncError):
    """The operator's settings are missing or wrong: `faults` names each."""

    title = "Service misconfigured"
