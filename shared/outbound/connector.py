"""Opens connections: the name resolved, its addresses vetted, one of these connected to, TLS agreed on it."""

import asyncio
import errno
import functools
import socket
import ssl
import tempfile
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TypeVar

from shared.model.addresses import Network, is_allowed_address
from shared.model.answer import TlsIdentity
from shared.model.targets import TargetUrl
from shared.outbound.connection import Limit
from shared.outbound.faults import (
    BAD_REQUEST,
    EXHAUSTED,
    FORBIDDEN,
    TLS_IN_TIME,
    UNCONNECTED_IN_TIME,
    UNRESOLVED_IN_TIME,
    NoAnswer,
    unconnected,
    without_tls,
)
from shared.outbound.resolver import Address, Resolver

_NEXT_ADDRESS_SECONDS = 0.25  # [RFC 8305, section 5]
_TLS_BUFFER = 32 * 1024  # bytes of each TLS connection's read buffer; asyncio's own has 256 KiB
SSLProtocol.max_size = _TLS_BUFFER

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Connector:
    """Opens connections to addresses that are public, or in networks that the operator lists."""

    def __init__(self, resolver: Resolver, networks: Sequence[Network]):
        self._resolver = resolver
        self._networks = networks

    async def open(self, url: TargetUrl, identity: TlsIdentity, protocol: Callable[[], P], limit: Limit) -> P:
        """Return `protocol` on a connection; raises NoAnswer if none comes about in time."""
        late = UNRESOLVED_IN_TIME
        try:
            async with asyncio.timeout_at(limit.at):
                addresses = await self._addresses(url)
                late = UNCONNECTED_IN_TIME
                connected = await open_socket(addresses)
                late = TLS_IN_TIME
                return await _on(connected, url, identity, protocol)
        except TimeoutError:
            raise NoAnswer(late, limit.words) from None

    async def _addresses(self, url: TargetUrl) -> list[Address]:
        """Return the addresses to connect to; all of them may be."""
        host = url.host.strip("[]")
        try:
            family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
            addresses = [Address(family, (host, url.port))]
        except ValueError:
            addresses = await self._resolver.addresses(host, url.port)
        for address in addresses:
            if not is_allowed_address(ip_address(address.host), self._networks):
                raise NoAnswer(FORBIDDEN)
        return addresses


async def _on(
    connected: socket.socket, url: TargetUrl, identity: TlsIdentity, protocol: Callable[[], P]
) -> P:
    """Return `protocol` on a socket, which from now on its transport closes."""
    loop = asyncio.get_running_loop()
    if url.scheme == "http":
        return (await loop.create_connection(protocol, sock=connected))[1]
    try:
        context = tls_context(identity)
    except BaseException:
        connected.close()
        raise
    host = url.host.strip("[]")
    try:
        return (await loop.create_connection(protocol, sock=connected, ssl=context, server_hostname=host))[1]
    except OSError as error:
        raise without_tls(error) from None


async def open_socket(addresses: Sequence[Address]) -> socket.socket:
    """Connect to the first address that answers, each tried a while after the one before [RFC 8305].

    Raises NoAnswer if none does.
    """
    left, errors = _alternating(addresses), list[BaseException]()
    trying: set[asyncio.Task[socket.socket]] = set()
    try:
        while left or trying:
            if left:
                trying.add(asyncio.create_task(_connected(left.pop(0))))
            seconds = _NEXT_ADDRESS_SECONDS if left else None
            done, trying = await asyncio.wait(trying, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    trying |= done - {task}
                    return task.result()
                errors.append(error)
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_close)
    raise unconnected(errors)


def _alternating(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with the families in turn, beginning with the first's [section 4]."""
    first = [address for address in addresses if address.family == addresses[0].family]
    ranks = {address: 2 * rank for rank, address in enumerate(first)}
    second = [address for address in addresses if address not in ranks]
    ranks.update({address: 2 * rank + 1 for rank, address in enumerate(second)})
    return sorted(ranks, key=ranks.__getitem__)


async def _connected(address: Address) -> socket.socket:
    # With TCP's protocol number, without which asyncio does not switch Nagle's delay off.
    opened = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, address.sockaddr)
    except BaseException as error:
        opened.close()
        if getattr(error, "errno", 0) == errno.EADDRNOTAVAIL and address.family == socket.AF_INET:
            raise NoAnswer(EXHAUSTED, "ports to connect from") from None  # with IPv6: no address of its own
        raise
    return opened


def _close(task: "asyncio.Task[socket.socket]") -> None:
    """Close what nobody needs any more."""
    if not task.cancelled() and not task.exception():
        task.result().close()


@functools.lru_cache(maxsize=64)
def tls_context(identity: TlsIdentity) -> ssl.SSLContext:
    """Return what TLS is agreed with; made once for each identity, since it reads all authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    try:
        if identity.authorities:
            context.load_verify_locations(cadata=identity.authorities)
        if identity.certificate:
            with tempfile.NamedTemporaryFile(
                "w", suffix=".pem"
            ) as file:  # of mode 0600; ssl reads certificates from files only
                file.write(identity.certificate)
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError):
        raise NoAnswer(BAD_REQUEST, "the certificates to use can't be read") from None
    return context
