"""HTTP/1.1 requests to targets: each made once, bounded in time and size, no redirect, proxy or cookie."""

import asyncio
from dataclasses import replace
from http import HTTPStatus

from shared.drivers import clock
from shared.model import targets
from shared.model.answer import Answer, HttpRequest, Terms
from shared.model.retry import retry_after_seconds
from shared.outbound import http1
from shared.outbound.connection import DRAINED_BYTES, Connection, Key, Limit
from shared.outbound.connections import Connections, Reputations
from shared.outbound.connector import Connector
from shared.outbound.faults import BAD_REQUEST, NO_TIME, NOT_WRITTEN, NoAnswer
from shared.outbound.http1 import AnswerReader
from shared.outbound.resolver import Resolver
from shared.settings import Settings

_DRAIN_SECONDS = 0.25  # to read what nobody needs of an answer; a new connection is cheaper
_PHRASES = {
    int(status): status.phrase for status in HTTPStatus
}  # not the target's own reason phrase, which is never kept
_RESOLVER = Resolver()  # one per process: a name that hangs does so for all calls
_REPUTATIONS = Reputations()  # one per process, too


class Client:
    """Makes requests; used as an asynchronous context manager, for one call."""

    def __init__(
        self,
        settings: Settings,
        resolver: Resolver = _RESOLVER,
        reputations: Reputations = _REPUTATIONS,
    ):
        self._connect_seconds = settings.target_connect_timeout
        self._read_seconds = settings.target_read_timeout
        self._most = settings.concurrency
        self._connector = Connector(resolver, settings.allowed_networks)
        self._reputations = reputations
        self._connections: Connections

    async def __aenter__(self) -> "Client":
        self._loop = asyncio.get_running_loop()
        self._connections = Connections(self._most, self._reputations)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connections.close()

    async def deliver(self, request: HttpRequest, terms: Terms, keep: int = 0) -> Answer:
        """Make one request; of the answer only the status matters, unless the body is to be read.

        `keep` bytes of what comes at once with the status are in the answer's content.
        """
        if terms.reads_body:
            return await self._answered(request, terms, AnswerReader(DRAINED_BYTES + 1), terms.read)
        return await self._answered(request, terms, AnswerReader(keep), _DRAIN_SECONDS)

    async def ask(self, request: HttpRequest, seconds: float) -> tuple[Answer, bytes]:
        """Make one request within `seconds`, and return the answer with the beginning of its content."""
        terms = Terms(seconds, self._connect_seconds, self._read_seconds)
        answer = await self._answered(request, terms, AnswerReader(DRAINED_BYTES), seconds)
        return answer, answer.content

    async def _answered(
        self, request: HttpRequest, terms: Terms, reader: AnswerReader, body_seconds: float
    ) -> Answer:
        """Make one request; every outcome is an Answer, none an exception."""
        try:
            await self._request(request, terms, reader, body_seconds)
        except NoAnswer as fault:
            return fault.answer
        return _answer(reader)

    async def _request(
        self, request: HttpRequest, terms: Terms, reader: AnswerReader, body_seconds: float
    ) -> None:
        if terms.seconds <= 0:
            raise NoAnswer(NO_TIME)
        try:
            url = targets.parse_url(request.url)
            data = http1.encoded(request, url)
        except ValueError as error:
            raise NoAnswer(BAD_REQUEST, str(error)) from None
        key = Key((url.scheme, url.host, url.port), request.identity, request.credential)
        end = Limit(self._loop.time() + terms.seconds, f"the {terms.seconds:.3g} s that there were for it")
        while kept := await self._connections.take(key):
            try:
                limit = self._limit("read", terms.read, end)
                return await self._on(kept, data, reader, limit, body_seconds)
            except NoAnswer as fault:
                if fault.fault is not NOT_WRITTEN:
                    raise
        limit = self._limit("connect", terms.connect, end)
        made = await self._connector.open(url, request.identity, lambda: self._connections.make(key), limit)
        return await self._on(made, data, reader, self._limit("read", terms.read, end), body_seconds)

    async def _on(
        self, connection: Connection, data: bytes, reader: AnswerReader, limit: Limit, body_seconds: float
    ) -> None:
        try:
            await connection.request(data, reader, limit, body_seconds)
        finally:
            if reader.overflowed:
                self._connections.suspect(connection)
            if reader.reusable:
                self._connections.give_back(connection)
            else:
                connection.abort()

    def _limit(self, name: str, seconds: float, end: Limit) -> Limit:
        """Return the time-out of that name, or that of the whole request if it comes first."""
        at = self._loop.time() + seconds
        return Limit(at, f"the {name} time-out of {seconds:g} s") if at <= end.at else end


def _answer(reader: AnswerReader) -> Answer:
    head = reader.head
    assert head is not None  # noqa: S101 - a request that ends without a fault has one
    content = http1.decoded(head.headers, bytes(reader.kept), DRAINED_BYTES + 1)
    is_whole = reader.complete and max(reader.body_bytes, len(content)) <= DRAINED_BYTES
    answer = Answer(
        head.code, sent="yes", headers=head.headers, content=content[:DRAINED_BYTES], is_whole=is_whole
    )
    if answer.accepted:
        return answer
    reason = f"the target answered {head.code} {_PHRASES.get(head.code, '')}".rstrip()
    if 300 <= head.code < 400:
        reason += "; redirects are not followed"
    delay = retry_after_seconds(head.headers.get("retry-after"), clock.now())
    return replace(answer, reason=reason, retry_after=delay)
