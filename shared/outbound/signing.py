"""Signatures by which targets recognise a request as ours: Standard Webhooks, symmetric (`v1`).

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

from shared.drivers.oci import OciClients, read_secret
from shared.model.errors import Misconfigured
from shared.settings import Settings

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_PREFIX = "whsec_"
_SIZES = range(24, 65)  # bytes of a key, as the specification asks
_CACHED_SECONDS = 300.0


class SigningKeys:
    """The keys of the operator's secret, read again after five minutes."""

    def __init__(self, clients: OciClients, settings: Settings, clock: Callable[[], float] = time.monotonic):
        self._clients = clients
        self._ocid = settings.signing_secret_ocid
        self._clock = clock
        self._kept: tuple[bytes, ...] = ()
        self._until = 0.0

    def current(self) -> tuple[bytes, ...]:
        """Return the keys, the newest first; none if nothing is to be signed.

        Raises DependencyDown if Vault can't give them: nothing is then sent unsigned.
        """
        if self._ocid and self._clock() >= self._until:
            self._kept = parse(read_secret(self._clients, self._ocid))
            self._until = self._clock() + _CACHED_SECONDS
        return self._kept


def parse(text: str) -> tuple[bytes, ...]:
    """Read keys with white space between them, each `whsec_` and base64. While one replaces another, both."""
    try:
        keys = tuple(base64.b64decode(one.removeprefix(_PREFIX), validate=True) for one in text.split())
    except (binascii.Error, ValueError):
        keys = ()
    if not keys or not all(len(key) in _SIZES for key in keys):
        raise Misconfigured(
            "The secret SIGNING_SECRET_OCID must hold one or more keys of 24 to 64 bytes, each as whsec_ and"
            " base64, with spaces between."
        )
    return keys


def signed(
    keys: Sequence[bytes], identity: str, body: bytes, moment: float | None = None
) -> list[tuple[str, str]]:
    """Return the headers that sign a body under a record's id, with every key; `moment` is Unix time."""
    seconds = str(int(time.time() if moment is None else moment))
    content = b".".join((identity.encode(), seconds.encode(), body))
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    return list(zip(HEADERS, (identity, seconds, " ".join(f"v1,{one}" for one in signatures)), strict=True))
