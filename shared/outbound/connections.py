"""The connections of one call: kept a while for other requests, the last used first."""

import asyncio
from bisect import bisect_right

from shared.outbound.connection import Connection, Key

_IDLE_SECONDS = 4.0  # less than common servers', so that they seldom close under a request
_REST_SECONDS = 0.1  # in which what a target sends beyond its first answer has come; once in a process
_MOST_KNOWN = 10_000  # targets
_SWEEP_SECONDS = 1.0
_READ_BYTES = 32 * 1024


Origin = tuple[str, str, int]


class Reputations:
    """Which targets have sent nothing but answers, and which have sent more; remembered by the process."""

    def __init__(self) -> None:
        self.trusted: set[Origin] = set()
        self.suspects: set[Origin] = set()

    def trust(self, origin: Origin) -> None:
        """Remember that nothing came after an answer."""
        _add(self.trusted, origin)

    def suspect(self, origin: Origin) -> None:
        """Remember that something did."""
        _add(self.suspects, origin)


class Connections:
    """Keeps connections, and closes what is idle for long or too many."""

    def __init__(self, most: int, reputations: Reputations):
        """`most` are open at once, as long as not more are in use."""
        self.buffer = memoryview(bytearray(_READ_BYTES))
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._idle: dict[Key, list[Connection]] = {}  # each list in the order in which they were released
        self._reputations = reputations
        self._sweeping: asyncio.TimerHandle | None = None

    def make(self, key: Key) -> Connection:
        """Return a new connection, as soon as there is room for it."""
        if len(self._open) >= self._most:
            longest_idle = [idle[0] for idle in self._idle.values() if idle]
            if longest_idle:
                min(longest_idle, key=_released_at).abort()
        return Connection(key, self)

    async def take(self, key: Key) -> Connection | None:
        """Return a connection that is fit for another request; None if there is none.

        The first that a target has answered on is left alone for a moment before any is used again: there are
        targets that send more than their answer, a little later.
        """
        while idle := self._idle.get(key):
            rest = idle[0].released_at + _REST_SECONDS - self._loop.time()
            if rest > 0 and key.origin not in self._reputations.trusted:
                await asyncio.sleep(rest)
                continue
            connection = idle.pop()
            if self._loop.time() - connection.released_at < _IDLE_SECONDS and connection.is_usable():
                self._reputations.trust(key.origin)
                return connection
            connection.abort()
        return None

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end; or close it if it is not fit for reuse."""
        if connection.key.origin in self._reputations.suspects or not connection.is_idle():
            connection.abort()
            return
        connection.released_at = self._loop.time()
        self._idle.setdefault(connection.key, []).append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Close all."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._open):
            connection.abort()

    def opened(self, connection: Connection) -> None:
        """Count a connection that was made."""
        self._open.add(connection)

    def ended(self, connection: Connection) -> None:
        """Drop a connection that can't be used any more."""
        self._open.discard(connection)
        self._forget(connection)

    def suspect(self, connection: Connection) -> None:
        """Use no connection of a target again that sends what nobody asked for."""
        self._reputations.suspect(connection.key.origin)
        for key, idle in self._idle.items():
            if key.origin == connection.key.origin:
                for one in list(idle):
                    one.abort()

    def _forget(self, connection: Connection) -> None:
        """Take a connection out of the idle ones."""
        idle = self._idle.get(connection.key, [])
        if connection in idle:
            idle.remove(connection)

    def _sweep(self) -> None:
        """Close what has been idle for long."""
        self._sweeping = None
        now = self._loop.time()
        for idle in self._idle.values():
            for connection in idle[: bisect_right(idle, now - _IDLE_SECONDS, key=_released_at)]:
                connection.abort()
        self._idle = {key: idle for key, idle in self._idle.items() if idle}
        if self._idle:
            self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)


def _add(known: set[Origin], origin: Origin) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known.add(origin)


def _released_at(connection: Connection) -> float:
    return connection.released_at
