"""Connections to targets, over aiohttp: bounded in time, to vetted addresses, no redirects, no repeats."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared.model import targets
from shared.model.answer import Answer, HttpRequest
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.retry import retry_after_seconds
from shared.settings import Settings

_READ_BYTES = 64 * 1024  # of an answer: enough to use the connection again; the rest is not waited for
_READ_SECONDS = 0.25  # nor for longer: a new connection is cheaper
_PHRASES = {int(status): status.phrase for status in HTTPStatus}  # ours: the target's own words are not kept
_KEEP_ALIVE_SECONDS = 4.0  # less than common servers', so that they seldom close under a request


class ConnectionLost(aiohttp.ClientError):
    """The connection ended after the request had been begun, and before an answer."""


class RefusedAddress(OSError):
    """A name led to an address that is neither public nor listed by the operator."""


class Connections:
    """Makes requests; used as an asynchronous context manager, for one call."""

    def __init__(self, settings: Settings, agent: str):
        """`agent` is the User-Agent of requests that name none."""
        self._settings = settings
        self._agent = agent
        self._session: aiohttp.ClientSession | None = None
        self._usual = self._timeout(settings.longest_delivery)

    async def __aenter__(self) -> "Connections":
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
            headers={"User-Agent": self._agent},
            read_bufsize=_READ_BYTES,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def deliver(self, request: HttpRequest, seconds: float) -> Answer:
        """Make one request within `seconds`, of whose answer the status matters."""
        answer, _ = await self._exchange(request, seconds, _drained)
        return answer

    async def ask(self, request: HttpRequest, seconds: float) -> tuple[Answer, bytes]:
        """Make one request within `seconds`; with the answer's content, of which _READ_BYTES are read."""
        return await self._exchange(request, seconds, _content)

    async def _exchange(
        self, request: HttpRequest, seconds: float, read: Callable[[aiohttp.ClientResponse], Awaitable[bytes]]
    ) -> tuple[Answer, bytes]:
        """Make one request; every outcome is an Answer, none an exception."""
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

    def __init__(self, networks: tuple[targets.Network, ...]):
        self._networks = networks
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        for result in results:
            if not targets.is_allowed_address(ip_address(result["host"]), self._networks):
                raise RefusedAddress(f"{host} leads to an address that is not public")
        return results

    async def close(self) -> None:
        await self._resolver.close()


def _unanswered(error: Exception, seconds: float) -> Answer:
    """Say why no answer came, in words that hold nothing of the request or the target's bytes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RefusedAddress):
            return Answer(UNEXPECTED_ERROR, "not sent: the host leads to an address that is not public")
        cause = cause.__cause__ or cause.__context__
    for kind, reason, connected in _REASONS:
        if isinstance(error, kind):
            return Answer(UNEXPECTED_ERROR, reason.format(seconds=seconds), connected=connected)
    return Answer(UNEXPECTED_ERROR, f"no answer: {type(error).__name__}")


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
