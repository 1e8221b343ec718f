"""Who calls the gateway: keys with names and roles, and how often each caller may ask.

On OCI the API Gateway does both: it takes a token from a header of its own, so that `Authorization` stays
the target's, and asks for what `callers` in `terraform/routes.json` says of the route.
"""

import hashlib
import math
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from local.emulators.functions import Reply, problem

ROLES = ("source", "operator")
_KEY = re.compile(r"[!-+\--~]{16,256}")  # visible ASCII without the comma
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # a token, RFC 9110, section 5.6.2
_MOST_BUCKETS = 10_000


@dataclass(frozen=True)
class Caller:
    """Who calls. Without a name: somebody without a key, at a gateway that asks for none."""

    name: str = ""
    role: str = ""


@dataclass
class _Bucket:
    """Requests that a caller may still make at once; filled up at the rate."""

    level: float
    moment: float


@dataclass
class Callers:
    """Says who sends a request, or why it is refused; without keys everybody may call."""

    keys: Mapping[bytes, Caller] = field(default_factory=dict)
    header: str = "X-API-Key"
    rate: float | None = None
    """Requests per second of one caller, and as many at once."""
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Callers":
        """Read API_KEYS (`source/mobile:KEY,operator/ops:KEY`), API_KEY_HEADER and RATE_LIMIT (per second).

        Raises ValueError, which names no key.
        """
        keys: dict[bytes, Caller] = {}
        entries = [entry.strip() for entry in environment.get("API_KEYS", "").split(",") if entry.strip()]
        for number, entry in enumerate(entries, 1):
            who, _, key = entry.partition(":")
            role, _, name = who.partition("/")
            if role not in ROLES or not _NAME.fullmatch(name) or not _KEY.fullmatch(key):
                raise ValueError(
                    f"API_KEYS: entry {number} must be source/NAME:KEY or operator/NAME:KEY, the key of 16 to"
                    " 256 visible ASCII characters without a comma"
                )
            if _digest(key) in keys:
                raise ValueError(f"API_KEYS: entry {number} has a key that another caller has")
            if any(one.name == name and one.role != role for one in keys.values()):
                raise ValueError(f"API_KEYS: entry {number} names {name}, which has another role above")
            keys[_digest(key)] = Caller(name, role)
        header = environment.get("API_KEY_HEADER") or cls.header
        if not _HEADER.fullmatch(header) or header.lower() == "authorization":
            raise ValueError("API_KEY_HEADER must be a header's name other than Authorization, the target's")
        return cls(keys, header, _rate(environment.get("RATE_LIMIT", "")))

    def admit(self, headers: Mapping[str, str], address: str, roles: Collection[str]) -> Caller | Reply:
        """Return who sends a request to a route for callers with these roles, or why it is refused.

        `address` is the client's IP address: those without a key are counted by it.
        """
        caller = self.keys.get(_digest(headers.get(self.header, "").removeprefix("Bearer ")))
        who = address if caller is None else f"{caller.role}/{caller.name}"
        wait = self._wait(who)
        if wait:
            detail = f"More than {self.rate:g} requests per second; repeat it later."
            return problem(429, "TooManyRequests", detail, [("Retry-After", str(math.ceil(wait)))])
        if not self.keys:
            return Caller()
        if caller is None:
            return problem(
                401,
                "NotAuthenticated",
                f"Pass the caller's key in {self.header}; Authorization is for the target's token.",
                [("WWW-Authenticate", 'Bearer realm="oci-data-sync"')],
            )
        if caller.role not in roles:
            return problem(403, "NotAuthorized", f"This route is for callers that are {' or '.join(roles)}.")
        return caller

    def _wait(self, who: str) -> float:
        """Take one request from a caller's bucket; return the seconds to wait if it is empty."""
        if self.rate is None:
            return 0.0
        now, most = self.clock(), max(self.rate, 1.0)
        if len(self._buckets) >= _MOST_BUCKETS:
            full = [name for name, one in self._buckets.items() if (now - one.moment) * self.rate >= most]
            for name in full:
                del self._buckets[name]
        bucket = self._buckets.setdefault(who, _Bucket(most, now))
        bucket.level = min(most, bucket.level + (now - bucket.moment) * self.rate)
        bucket.moment = now
        if bucket.level < 1:
            return (1 - bucket.level) / self.rate
        bucket.level -= 1
        return 0.0


def _rate(text: str) -> float | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or float(text) == 0:
        raise ValueError("RATE_LIMIT must be a number of requests per second above 0, such as 50")
    return float(text)


def _digest(key: str) -> bytes:
    """Return what keys are looked up by: how long it takes then says nothing about a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
