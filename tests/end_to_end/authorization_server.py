"""An OAuth 2.0 authorization server, and an API that takes its tokens, on ports of this machine."""

import asyncio
import base64
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from aiohttp import web

from tests.end_to_end.bundle import secret


@dataclass
class AuthorizationServer:
    """`POST /token` gives tokens to one client (RFC 6749, section 4.4); `POST /api` takes the valid ones."""

    name: str = field(default_factory=lambda: f"erp-{secrets.token_hex(4)}")
    client_id: str = "data sync"
    client_secret: str = field(default_factory=lambda: f"{secrets.token_urlsafe(24)}:+%")
    lifetime: object = 3600
    fault: web.Response | None = None
    pause: float = 0.0
    refuses: bool = False
    requests: list[dict[str, str]] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    url: str = ""

    def reset(self) -> None:
        vars(self).update(vars(AuthorizationServer(url=self.url)))

    def revoke(self) -> None:
        self.valid.clear()

    async def token(self, request: web.Request) -> web.Response:
        self.requests.append({name: str(value) for name, value in (await request.post()).items()})
        await asyncio.sleep(self.pause)
        if self.fault is not None:
            return web.Response(status=self.fault.status, body=self.fault.body, headers=self.fault.headers)
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        pair = base64.b64decode(encoded).decode().split(":")
        if scheme != "Basic" or [unquote_plus(one) for one in pair] != [self.client_id, self.client_secret]:
            return web.json_response({"error": "invalid_client", "error_description": str(pair)}, status=401)
        self.issued.append(secret(secrets.token_urlsafe(24)))
        self.valid.add(self.issued[-1])
        answer = {"access_token": self.issued[-1], "token_type": "bearer"}
        return web.json_response(answer | ({} if self.lifetime is None else {"expires_in": self.lifetime}))

    async def api(self, request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key", "")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.valid and not self.refuses:
            self.accepted.append(key)
            return web.Response(status=201)
        self.refused.append(key)
        return web.Response(status=401)


@contextmanager
def serving() -> Iterator[AuthorizationServer]:
    """Serve until the block ends."""
    server = AuthorizationServer()
    started, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/token", server.token)
        app.router.add_post("/api", server.api)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await ended.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(120)
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(120)
        loop.close()
