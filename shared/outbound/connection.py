"""One connection to a target, used for one request at a time."""

import asyncio
import select
from typing import NamedTuple, Protocol, cast

from shared.model.answer import TlsIdentity
from shared.outbound.chunks import Bytes
from shared.outbound.faults import NOT_WRITTEN, UNANSWERED_IN_TIME, NoAnswer, lost
from shared.outbound.http1 import LONGEST_HEAD, AnswerReader

DRAINED_BYTES = 64 * 1024  # of a body: the rest of a longer one isn't waited for; a new connection is cheaper


class Key(NamedTuple):
    """What requests must have in common to share connections."""

    origin: tuple[str, str, int]
    """Scheme, host, port."""
    identity: TlsIdentity
    credential: str


class Limit(NamedTuple):
    """A time of the loop's clock, and which time-out that is, in words."""

    at: float
    words: str


class Owner(Protocol):
    """What keeps connections for later requests."""

    buffer: memoryview
    """The buffer to read into; one for all connections, since what was read is processed at once."""

    def opened(self, connection: "Connection") -> None:
        """Handle a connection that was made."""

    def ended(self, connection: "Connection") -> None:
        """Handle a connection that can't be used any more."""

    def suspect(self, connection: "Connection") -> None:
        """Handle a target that sends what nobody asked for."""


class Connection(asyncio.BufferedProtocol):
    """A connection; it is closed if anything arrives while nothing is awaited."""

    def __init__(self, key: Key, owner: Owner):
        self.key = key
        self.released_at = 0.0
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._poll = select.poll()
        self._requests = 0
        self._early = bytearray()  # what came before the first of them
        self._ended = False
        self._reader: AnswerReader | None = None
        self._waiter: asyncio.Future[None]
        self._limit = Limit(0.0, "")
        self._body_seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def request(self, data: bytes, reader: AnswerReader, limit: Limit, body_seconds: float) -> None:
        """Send a request and read its answer, with what of its body comes within `body_seconds` of its head.

        Raises NoAnswer.
        """
        self._requests += 1
        self._reader, self._limit, self._body_seconds = reader, limit, body_seconds
        self._waiter = self._loop.create_future()
        try:
            self._transport.write(data)
            if self._early:
                self._read(self._early)
                self._early = bytearray()
            if self._ended or self._transport.is_closing():
                self._end_unwritten(reader)
            self._watch()
            await self._waiter
        finally:
            self._reader = None
            del self._waiter  # or what was read stays in memory: the exception in it leads to this frame

    def _end_unwritten(self, reader: AnswerReader) -> None:
        """End a request of which nothing was sent: its first write failed, or it came too late."""
        reader.end()
        self._finish(None if reader.head else NoAnswer(NOT_WRITTEN))

    def is_idle(self) -> bool:
        """Tell whether it is open, and all is written."""
        return not (self._ended or self._transport.is_closing() or self._transport.get_write_buffer_size())

    def is_usable(self) -> bool:
        """Tell whether another request may be sent: it is idle, and there is nothing to be read."""
        return self.is_idle() and not self._poll.poll(0)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
        self._end(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer to read into."""
        return self._owner.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Process what was read."""
        data = self._owner.buffer[:nbytes]
        if self._reader is not None:
            self._read(data)
        elif not self._requests and len(self._early) < LONGEST_HEAD:
            self._early += data
        else:
            self._owner.suspect(self)
            self.abort()

    def eof_received(self) -> bool:
        """Handle the end of what the target sends; the transport then closes."""
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the loss of the connection."""
        self._end(exc)

    def _read(self, data: Bytes) -> None:
        reader = self._reader
        assert reader is not None  # noqa: S101 - so it is called
        try:
            reader.feed(data)
        except NoAnswer as fault:
            self._finish(fault)
            return
        if reader.complete or reader.body_bytes > DRAINED_BYTES:
            self._finish()
        elif reader.head is not None and self._body_seconds:
            until = self._loop.time() + self._body_seconds
            self._body_seconds = 0.0  # counted from the head on
            self._limit = min(self._limit, Limit(until, ""))
            self._watch()

    def _end(self, error: Exception | None) -> None:
        """Handle the end of the answer."""
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._owner.ended(self)
        reader = self._reader
        if reader is None:
            return
        if error is None:
            reader.end()
        first = self._requests == 1 and not reader.begun
        self._finish(None if reader.head else lost(error, first=first))

    def _watch(self) -> None:
        """Make sure that the time-out is noticed; a timer that an earlier request has set will do."""
        if self._ended or (self._timer is not None and self._timer.when() <= self._limit.at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._limit.at, self._look_at_time)

    def _look_at_time(self) -> None:
        self._timer = None
        if self._reader is None:
            return
        if self._loop.time() < self._limit.at:
            self._watch()
        else:
            late = NoAnswer(UNANSWERED_IN_TIME, self._limit.words)
            self._finish(None if self._reader.head else late)

    def _finish(self, fault: NoAnswer | None = None) -> None:
        """End the request, with its answer or with `fault`."""
        self._reader = None
        if self._waiter.done():
            return
        if fault is None:
            self._waiter.set_result(None)
        else:
            self._waiter.set_exception(fault)
