"""The command `view`: the operators' page in a browser, for a gateway that wants a key.

A server that only this machine reaches passes the page's requests on, with the key; the browser never has it.
"""

import argparse
import json
import re
import secrets
import sys
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

from datasync.deployment import Deployment, DeploymentError
from datasync.output import complain

if TYPE_CHECKING:
    from argparse import _SubParsersAction

HOST = "127.0.0.1"
BODY_MOST = 16 * 1024 * 1024  # bytes; the page sends filters, policies, and payloads that were edited
_RECORD = r"/store/[A-Za-z0-9-]+"
_PATHS = {
    "GET": re.compile(rf"/process(/(failures|history|targets))?(\?.*)?|/store\?.*|{_RECORD}"),
    "POST": re.compile(r"/process/retry"),
    "PUT": re.compile(r"/process/targets"),
    "PATCH": re.compile(_RECORD),
    "DELETE": re.compile(_RECORD),
}
_PASSED_ON = ("Accept", "Content-Type", "If-Match")
_PASSED_BACK = ("ETag", "Content-Type", "Content-Security-Policy", "X-Content-Type-Options", "Retry-After")


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command, and return its parser."""
    parser = commands.add_parser("view", help="show the operators' page in a browser", allow_abbrev=False)
    parser.add_argument(
        "--port", type=int, default=0, help="of this machine, to serve it on (default: a free one)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser


def run(deployment: Deployment, arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; returns the exit code."""
    deployment.get("/process", having="counts")  # a wrong address or key is better said here than on the page
    try:
        server = PageServer(arguments.port, deployment.url, deployment.headers)
    except (OSError, OverflowError) as error:
        complain(f"Port {arguments.port} can't be served ({error}). Name another with --port.")
        return 1
    with server:
        print(f"{server.page}  (until Ctrl-C; whoever has this address is the operator)", flush=True)
        if not arguments.no_browser:
            opening = threading.Thread(target=webbrowser.open, args=[server.link_for_once()], daemon=True)
            opening.start()  # a browser in the terminal returns only when it is closed
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


class PageServer(ThreadingHTTPServer):
    """Answers requests below a path that nobody can guess, since any program on this machine can connect."""

    daemon_threads = True

    def __init__(self, port: int, url: str, headers: dict[str, str]) -> None:
        super().__init__((HOST, port), _Handler)
        self.url, self.headers = url, headers
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}
        self.root = f"/{secrets.token_urlsafe(32)}"
        self._unused: set[str] = set()

    @property
    def page(self) -> str:
        """The page's address, which is a secret."""
        return f"http://{HOST}:{self.server_port}{self.root}/process"

    def link_for_once(self) -> str:
        """Make an address that leads to the page once: others can see what a browser is started with."""
        path = f"/{secrets.token_urlsafe(32)}"
        self._unused.add(path)
        return f"http://{HOST}:{self.server_port}{path}"

    def is_below_root(self, path: str) -> bool:
        """Tell whether a path begins with the secret."""
        return secrets.compare_digest(path[: len(self.root) + 1].encode(), f"{self.root}/".encode())

    def handle_error(self, request: object, client_address: object) -> None:
        """Say what kind of error ended a request, unless its client has only left."""
        error = sys.exception()
        if not isinstance(error, OSError):
            complain(f"A request ended early: {type(error).__name__}")

    def use(self, path: str) -> bool:
        """Use up a link that works once; returns whether it is one."""
        try:
            self._unused.remove(path)
        except KeyError:
            return False
        return True


class _Handler(BaseHTTPRequestHandler):
    timeout = 60  # seconds that a connection may be silent
    server_version, sys_version = "datasync", ""

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that the base class looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives
        """Write no log: the secret stands in each request's first line."""

    def _handle(self) -> None:
        server = cast(PageServer, self.server)
        if not self._is_own(server):
            self._refuse(403, "This server answers its own page only.")
        elif self.command == "GET" and server.use(self.path):
            self._answer(303, b"", {"Location": f"{server.root}/process"})
        elif not server.is_below_root(self.path):
            self._refuse(403, "This address is used up, or was never right. Start `datasync view` again.")
        elif not _PATHS[self.command].fullmatch(path := self.path[len(server.root) :]):
            self._refuse(404, "The page has no such part.")
        elif (body := self._body()) is not None:
            self._pass_on(server, path, body)

    def _is_own(self, server: PageServer) -> bool:
        """Tell whether a request comes from this server's own page, or was typed by the operator.

        A page elsewhere may have a name that leads here, or send a form here; a browser says so (Fetch
        Standard, section 3.2; Fetch Metadata, section 2.4). It can't send JSON here without being allowed to.
        """
        host = self.headers.get("Host", "")
        return (
            host in server.hosts
            and self.headers.get("Origin", f"http://{host}") == f"http://{host}"
            and self.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
            and (self.command in ("GET", "DELETE") or self.headers.get_content_type() == "application/json")
        )

    def _body(self) -> bytes | None:
        """The request's body; None if it was refused."""
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            self._refuse(400, "The body's length must be declared.")
        elif int(length[:9]) > BODY_MOST:
            self._refuse(413, f"The body has more than {BODY_MOST} bytes.")
        else:
            return self.rfile.read(int(length))
        return None

    def _pass_on(self, server: PageServer, path: str, body: bytes) -> None:
        headers = {name: value for name in _PASSED_ON if (value := self.headers.get(name))}
        try:
            with Deployment(server.url, server.headers) as deployment:  # sessions are for one thread each
                answer = deployment.send(self.command, path, headers=headers, data=body or None)
        except DeploymentError as error:
            self._refuse(502, str(error))
            return
        back = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        self._answer(answer.status_code, answer.content, back)

    def _refuse(self, status: int, detail: str) -> None:
        problem = {"title": "Not shown", "status": status, "detail": detail}
        self._answer(status, json.dumps(problem).encode(), {"Content-Type": "application/problem+json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        always = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        for name, value in {**headers, **always, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
