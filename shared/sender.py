"""HTTP requests to targets: one session per call, bounded in time, to vetted addresses, without redirects."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared import VERSION, allowlist, jsontext, telemetry
from shared.inbound import OPERATIONS, header_fault, header_pairs
from shared.record import Document
from shared.retry import retry_after_seconds
from shared.settings import Settings
from shared.signing import HEADERS, signed
from shared.values import OTHER_FAILURES

PRODUCT = f"oci-data-sync/{VERSION}"

_READ_BYTES = 64 * 1024  # of an answer: enough to use the connection again; the rest is not waited for
_READ_SECONDS = 0.25  # nor for longer: a new connection is cheaper
_PHRASES = {int(status): status.phrase for status in HTTPStatus}  # ours: the target's own words are not kept
_KEEP_ALIVE_SECONDS = 4.0  # less than common servers', so that they seldom close under a request


@dataclass(frozen=True)
class Answer:
    """What a target answered: its code, or OTHER_FAILURES with the reason why none came."""

    code: int | str
    reason: str = ""
    retry_after: float | None = None
    connected: bool = True
    seconds: float = 0.0
    """How long the attempt took, with what it waited for on its way."""

    @property
    def accepted(self) -> bool:
        """Tell whether the target took the record."""
        return isinstance(self.code, int) and 200 <= self.code < 300


class _Request(NamedTuple):
    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes | None


class ConnectionLost(aiohttp.ClientError):
    """The connection ended after the request had been begun, and before an answer."""


class RefusedAddress(OSError):
    """A name led to an address that is neither public nor listed by the operator."""


class Sender:
    """Sends records; used as an asynchronous context manager, for one call."""

    def __init__(self, settings: Settings, signing_keys: Sequence[bytes] = ()):
        self._settings = settings
        self._signing_keys = signing_keys
        self._session: aiohttp.ClientSession | None = None
        self._refusals: dict[tuple[str, str], str | None] = {}
        self._usual = self._timeout(settings.longest_delivery)

    async def __aenter__(self) -> "Sender":
        connector = aiohttp.TCPConnector(
            limit=0,  # bounded by the delivery, per target and in all, before a time-out runs
            resolver=_VettedResolver(self._settings.allowed_networks),
            ssl=ssl.create_default_context(),
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            middlewares=(_only_once,),
            headers={"User-Agent": PRODUCT},
            read_bufsize=_READ_BYTES,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, document: Document, token: str | None, seconds: float) -> Answer:
        """Send one record within `seconds`; every outcome is an Answer, none an exception."""
        try:
            request = self._signed(document["id"], _request(document, token))
        except ValueError as error:
            return Answer(OTHER_FAILURES, f"not sent: {error}")
        answer, _ = await self._exchange(request, seconds, _drained)
        return answer

    def _signed(self, identity: str, request: "_Request") -> "_Request":
        if not self._signing_keys:
            return request
        own = [pair for pair in request.headers if pair[0].lower() not in HEADERS]
        return request._replace(headers=own + signed(self._signing_keys, identity, request.body or b""))

    async def ask(self, url: str, form: bytes, authorization: str, seconds: float) -> tuple[Answer, bytes]:
        """POST a form, under the same rules; with the answer's content, of which _READ_BYTES are read."""
        sent = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
            ("Authorization", authorization),
        ]
        return await self._exchange(_Request("POST", url, sent, form), seconds, _content)

    async def _exchange(
        self, request: "_Request", seconds: float, read: Callable[[aiohttp.ClientResponse], Awaitable[bytes]]
    ) -> tuple[Answer, bytes]:
        """Make one request, whose outcome is an Answer.

        The URL is checked again: what the operator allows may have changed, and nothing is trusted because
        it stands in the database.
        """
        try:
            refusal = self._refusal(allowlist.parse_url(request.url))
        except ValueError as error:
            refusal = f"the URL {error}"
        if seconds <= 0:  # which aiohttp takes for no bound at all
            refusal = refusal or "no time is left for it"
        if refusal:
            return Answer(OTHER_FAILURES, f"not sent: {refusal}"), b""
        assert self._session is not None  # noqa: S101 - entered: the type checker can't know
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=request.headers,
                timeout=self._usual if seconds == self._usual.total else self._timeout(seconds),
                allow_redirects=False,
                skip_auto_headers=("Content-Type",),
            ) as response:
                return _answered(response), await read(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return _unanswered(error, seconds), b""

    def _refusal(self, url: allowlist.TargetUrl) -> str | None:
        """Say why a target may not be sent to; looked at once for each origin, on which alone it depends."""
        origin = url.scheme, url.origin
        if origin not in self._refusals:
            settings = self._settings
            self._refusals[origin] = allowlist.refusal(
                url, settings.allowed_targets, settings.allowed_networks
            )
        return self._refusals[origin]

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=seconds,
            sock_connect=self._settings.target_connect_timeout,
            sock_read=self._settings.target_read_timeout,
        )


async def _only_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a PUT or DELETE by itself: the target may have acted on the first."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLost from error


def _request(document: Document, token: str | None) -> _Request:
    """Return what goes out; ValueError where somebody has put into the record what `/store` refuses."""
    for name in ("targetRestApi", "targetRestApiOperation"):
        if name not in document:
            raise ValueError(f"the record has no {name}")
    method = document["targetRestApiOperation"]
    if method not in OPERATIONS:
        raise ValueError(f"the record's operation is none of {', '.join(OPERATIONS)}")
    return _Request(method, document["targetRestApi"], headers(document, token), body(document))


def headers(document: Document, token: str | None) -> list[tuple[str, str]]:
    """Return the headers to send: the record's own, the token, and what the system adds.

    Raises ValueError where the record's are not what `/store` lets in.
    """
    pairs = []
    for place, name, value in header_pairs(document.get("targetRestApiHeaders", [])):
        fault = header_fault(name, value)
        if fault:
            raise ValueError(f"the record's header {place} {fault}")
        pairs.append((name, value))
    own = {name.lower(): value for name, value in pairs}
    pairs = [(name, value) for name, value in pairs if name.lower() != "user-agent"]
    pairs.append(("User-Agent", f"{own['user-agent']} {PRODUCT}" if "user-agent" in own else PRODUCT))
    if "targetRestApiPayload" in document and "content-type" not in own:
        pairs.append(("Content-Type", "application/json"))
    if token is not None:
        pairs.append(("Authorization", token))
    pairs.append(("Idempotency-Key", document["id"]))
    trace = telemetry.traceparent()
    if trace and "traceparent" not in own:  # the source's own trace goes on
        pairs.append(("traceparent", trace))
    return pairs


def body(document: Document) -> bytes | None:
    """Return the payload as it goes out: JSON, or a string's text where Content-Type isn't JSON's."""
    if "targetRestApiPayload" not in document:
        return None
    payload = document["targetRestApiPayload"]
    if isinstance(payload, str) and not _is_json(document):
        return payload.encode()
    return jsontext.dump(payload)


def _is_json(document: Document) -> bool:
    for _, name, value in header_pairs(document.get("targetRestApiHeaders", [])):
        if name.lower() == "content-type":
            essence = value.partition(";")[0].strip().lower()
            return essence == "application/json" or essence.endswith("+json")
    return True


def _answered(response: aiohttp.ClientResponse) -> Answer:
    code = response.status
    if 200 <= code < 300:
        return Answer(code)
    reason = f"the target answered {code} {_PHRASES.get(code, '')}".rstrip()
    if 300 <= code < 400:
        reason += "; redirects are not followed"
    delay = retry_after_seconds(response.headers.get("Retry-After"), datetime.now(UTC))
    return Answer(code, reason, delay)


async def _drained(response: aiohttp.ClientResponse) -> bytes:
    """Read a short answer to its end, so that its connection serves again; leave a long or slow one."""
    if response.content.is_eof():
        return b""
    try:
        async with asyncio.timeout(_READ_SECONDS):
            await response.content.readexactly(_READ_BYTES)
    except asyncio.IncompleteReadError:
        return b""
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass  # the status was read: what happens to the rest changes no outcome
    response.close()
    return b""


async def _content(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer whose content matters; of a long one the beginning."""
    try:
        content = await response.content.readexactly(_READ_BYTES)
    except asyncio.IncompleteReadError as error:
        return error.partial
    response.close()
    return content


class _VettedResolver(AbstractResolver):
    """Resolves a name, and refuses it where one of its addresses may not be connected to."""

    def __init__(self, networks: tuple[allowlist.Network, ...]):
        self._networks = networks
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        for result in results:
            if not allowlist.is_allowed_address(ip_address(result["host"]), self._networks):
                raise RefusedAddress(f"{host} leads to an address that is not public")
        return results

    async def close(self) -> None:
        await self._resolver.close()


def _unanswered(error: Exception, seconds: float) -> Answer:
    """Say why no answer came, in words that hold nothing of the request or the target's bytes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RefusedAddress):
            return Answer(OTHER_FAILURES, "not sent: the host leads to an address that is not public")
        cause = cause.__cause__ or cause.__context__
    for kind, reason, connected in _REASONS:
        if isinstance(error, kind):
            return Answer(OTHER_FAILURES, reason.format(seconds=seconds), connected=connected)
    return Answer(OTHER_FAILURES, f"no answer: {type(error).__name__}")


_Reason = tuple[type[Exception] | tuple[type[Exception], ...], str, bool]
_REASONS: tuple[_Reason, ...] = (
    (aiohttp.ConnectionTimeoutError, "no connection to the target within the connect time-out", False),
    (TimeoutError, "no answer from the target within {seconds:.3g} s", True),
    (aiohttp.ClientConnectorCertificateError, "the target's certificate is not valid for its host", False),
    (aiohttp.ClientSSLError, "no TLS connection to the target could be agreed", False),
    (aiohttp.ClientConnectorDNSError, "the target's host name could not be resolved", False),
    (aiohttp.ClientConnectorError, "the target refused the connection or could not be reached", False),
    (ConnectionLost, "the connection to the target was lost before an answer came", True),
    ((aiohttp.ClientResponseError, aiohttp.ClientPayloadError), "the target's answer is not HTTP", True),
)
