"""Who is calling: checks OCI's request signing, version 1.

The rules are those of https://docs.oracle.com/iaas/Content/API/Concepts/signingrequests.htm, which builds on
draft-cavage-http-signatures-08: which headers must be signed, RSA-SHA256, five minutes of clock skew.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from local.emulators.identity import TokenRefusedError, session_key
from local.emulators.oci.wire import ServiceError, utc_now

MAXIMUM_SKEW = timedelta(minutes=5)
_TARGET = "(request-target)"
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_BODY_HEADERS = ("content-length", "content-type", "x-content-sha256")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
# "ST$" marks a key id that is a session token; other callers (users with API keys) have no place here.
_TOKEN_MARK = "ST$"  # noqa: S105 - a prefix of the protocol, not a token


class Authenticator:
    """Checks requests against the key that issues this machine's session tokens."""

    def __init__(self, issuer: rsa.RSAPublicKey, clock: Callable[[], datetime] = utc_now):
        self._issuer = issuer
        self._clock = clock

    async def check(self, request: web.Request, *, body_signed: bool = True) -> None:
        """Let the request pass if one of this machine's functions signed it; else ServiceError 401.

        `body_signed=False` is for Object Storage's PutObject, whose body OCI leaves out of the signature.
        """
        parameters = _parameters(request.headers.get("Authorization", ""))
        signed = parameters.get("headers", "date").lower().split()
        with_body = body_signed and request.method in _BODY_METHODS
        _check_signed_headers(signed, with_body=with_body)
        key = self._key(parameters.get("keyId", ""))
        _check_signature(key, parameters.get("signature", ""), _signing_string(request, signed))
        self._check_date(request, signed)
        if with_body:
            _check_body(request.headers["x-content-sha256"], await request.read())

    def _key(self, key_id: str) -> rsa.RSAPublicKey:
        if not key_id.startswith(_TOKEN_MARK):
            raise _refused("The key id is not a session token")
        try:
            return session_key(key_id.removeprefix(_TOKEN_MARK), self._issuer)
        except TokenRefusedError as error:
            raise _refused(str(error)) from error

    def _check_date(self, request: web.Request, signed: Sequence[str]) -> None:
        name = "x-date" if "x-date" in signed else "date"
        try:
            sent = parsedate_to_datetime(request.headers[name])
        except ValueError as error:
            raise _refused(f"The header {name} is not an HTTP date") from error
        if sent.tzinfo is None or abs(self._clock() - sent) > MAXIMUM_SKEW:
            raise _refused(f"The header {name} is more than 5 minutes off this machine's clock")


def _parameters(authorization: str) -> dict[str, str]:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "signature":
        raise _refused("The Authorization header is missing or is not of the scheme Signature")
    found = _PARAMETER.findall(rest)
    parameters = dict(found)
    if len(parameters) != len(found):
        raise _refused("The Authorization header names a parameter twice")
    if parameters.get("version") != "1" or parameters.get("algorithm", "").lower() != "rsa-sha256":
        raise _refused("The signature is not of version 1 and algorithm rsa-sha256")
    return parameters


def _check_signed_headers(signed: Sequence[str], *, with_body: bool) -> None:
    required = [_TARGET, "host", *(_BODY_HEADERS if with_body else ())]
    missing = [name for name in required if name not in signed]
    if "date" not in signed and "x-date" not in signed:
        missing.append("date")
    if missing:
        raise _refused(f"The signature leaves out {', '.join(missing)}")


def _signing_string(request: web.Request, signed: Sequence[str]) -> str:
    lines = []
    for name in signed:
        if name == _TARGET:
            value = f"{request.method.lower()} {request.raw_path}"
        elif name in request.headers:
            value = ", ".join(request.headers.getall(name))
        else:
            raise _refused(f"The signed header {name} is not in the request")
        lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _check_signature(key: rsa.RSAPublicKey, signature: str, signing_string: str) -> None:
    try:
        key.verify(
            base64.b64decode(signature, validate=True),
            signing_string.encode("utf-8"),
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
    except (InvalidSignature, ValueError) as error:
        raise _refused("The signature does not fit the request and the session token's key") from error


def _check_body(claimed: str, body: bytes) -> None:
    actual = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
    if not hmac.compare_digest(claimed.encode("utf-8"), actual.encode("ascii")):
        raise _refused("The body is not the one whose SHA-256 was signed")


def _refused(reason: str) -> ServiceError:
    return ServiceError(401, "NotAuthenticated", f"{reason}.")
