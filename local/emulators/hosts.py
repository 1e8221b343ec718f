"""Which requests are meant for a server on this machine: its defence against DNS rebinding.

A page that a browser has loaded from `evil.example` may send anything to `evil.example`, and read the answer,
also once that name resolves to 127.0.0.1. The browser then names `evil.example` in `Host`.
"""

from urllib.parse import urlsplit

from aiohttp import web

_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HTTP_PORT = 80  # what a client omits from Host


def is_for_this_server(request: web.Request) -> bool:
    """Tell whether a request names this machine, or the address that it reached, and this server's port.

    `Host` must stand there once. A request target with a host of its own must name this server, too.
    """
    if request.transport is None:
        return False
    address, port = request.transport.get_extra_info("sockname")[:2]
    names = _NAMES | {f"[{address}]" if ":" in address else address}
    ours = {f"{name}:{port}" for name in names} | (names if port == _HTTP_PORT else frozenset())
    hosts = request.headers.getall("Host", ())
    given = {host.lower() for host in hosts}
    if not request.raw_path.startswith("/"):
        given.add(urlsplit(request.raw_path).netloc.lower())
    return len(hosts) == 1 and given <= ours
