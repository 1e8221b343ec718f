"""Names resolved on threads of its own, so that one that hangs holds up neither the loop nor another name."""

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from shared.outbound.faults import EXHAUSTED, UNRESOLVED, NoAnswer, unresolved

_THREADS = 28  # a container has 50 processes and threads in all [Fn server, see docs/decisions.md]
_IDLE_SECONDS = 4.0  # after which a thread ends


class Address(NamedTuple):
    """What can be connected to."""

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def host(self) -> str:
        """The address as text."""
        return str(self.sockaddr[0])


_Name = tuple[str, int]
_Found = list[Address] | Exception
_Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Future[_Found]]


class Resolver:
    """Asks the system's resolver; one lookup of a name serves all that wait for it, of any call.

    Its threads are daemons: a lookup that hangs doesn't keep the process from ending.
    """

    def __init__(self, look_up: Callable[[str, int], list[Address]] | None = None, threads: int = _THREADS):
        self._look_up = look_up or _look_up
        self._most_threads = threads
        self._threads = 0
        self._lock = threading.Lock()
        self._names: queue.SimpleQueue[_Name] = queue.SimpleQueue()
        self._waiting: dict[_Name, list[_Waiter]] = {}

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return a name's addresses; raises NoAnswer if there is none."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[_Found] = loop.create_future()
        self._ask((host, port), (loop, waiter))
        found = await waiter
        if isinstance(found, Exception):
            raise unresolved(found)
        if not found:
            raise NoAnswer(UNRESOLVED)
        return found

    def _ask(self, name: _Name, waiter: _Waiter) -> None:
        with self._lock:
            if name in self._waiting:
                self._waiting[name].append(waiter)
                return
            self._waiting[name] = [waiter]
            self._names.put(name)
            if self._threads < min(len(self._waiting), self._most_threads):
                self._start_thread()

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name="resolver", daemon=True).start()
        except RuntimeError:  # no more threads can be started; the existing ones do it later
            if not self._threads:
                del self._waiting[self._names.get()]  # the one and only
                raise NoAnswer(EXHAUSTED, "threads") from None
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            try:
                name = self._names.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                if self._ends():
                    return
                continue
            found: _Found
            try:
                found = self._look_up(*name)
            except Exception as error:  # noqa: BLE001 - passed on to those that wait
                found = error
            with self._lock:
                waiters = self._waiting.pop(name)
            for waiter in waiters:
                _hand_over(waiter, found)

    def _ends(self) -> bool:
        """Tell whether a thread that found nothing to do may end."""
        with self._lock:
            if not self._names.empty():
                return False
            self._threads -= 1
            return True


def _hand_over(waiter: _Waiter, found: _Found) -> None:
    loop, future = waiter
    with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_set, future, found)


def _set(future: asyncio.Future[_Found], found: _Found) -> None:
    if not future.done():
        future.set_result(found)


def _look_up(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror:
        socket.socket().close()  # fails too if files have run out, which is then the reason
        raise
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]
