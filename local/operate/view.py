"""The command `view`: the operators' page, where the gateway wants a header that a browser can't send.

A server on this machine alone passes the page's requests on, with the header; the browser never has it.
"""

import asyncio
import webbrowser
from collections.abc import Mapping

import aiohttp
from aiohttp import web

HOST = "127.0.0.1"
_PASSED_ON = ("Accept", "Content-Type")
_PASSED_BACK = (
    *("Content-Type", "Content-Security-Policy", "Cache-Control"),
    *("Referrer-Policy", "X-Content-Type-Options", "Retry-After"),
)
_SECONDS = 310  # a function answers within 300


def view(url: str, headers: Mapping[str, str], *, port: int, opening: bool) -> int:
    """Serve the page until stopped; returns the exit code."""
    try:
        asyncio.run(_serve(url, headers, port, opening))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        print(f"Port {port} can't be served: {error.strerror}. Name another with --port.")
        return 1
    return 0


def create_app(url: str, headers: Mapping[str, str]) -> web.Application:
    """Return the application that passes requests on to the deployment at `url`."""

    async def session(app: web.Application) -> object:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as opened:
            app[_SESSION] = opened
            yield opened

    async def handle(request: web.Request) -> web.Response:
        if not _is_own(request):
            return web.Response(status=403, text="This server answers to its own page only.")
        passed = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            async with request.app[_SESSION].request(
                request.method,
                url.rstrip("/") + request.path_qs,
                data=await request.read() or None,
                headers={**passed, **headers},
                allow_redirects=False,
            ) as answer:
                back = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=back)
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=502, text=f"The deployment was not reached: {type(error).__name__}")

    app = web.Application()
    app.cleanup_ctx.append(session)  # type: ignore[arg-type]  # a generator, as aiohttp documents
    app.add_routes(
        [
            web.get("/process", handle),
            web.post("/process/retry", handle),
            web.get("/store/{id}", handle),
        ]
    )
    return app


def _is_own(request: web.Request) -> bool:
    """Tell whether a request comes from this server's own page, or was typed by the operator.

    A page elsewhere may have a name that leads here, or send a form here; a browser says so (Fetch Standard,
    section 3.2; Fetch Metadata, section 2.4). JSON it sends across only where it was asked before.
    """
    headers = request.headers
    return (
        request.url.host in (HOST, "localhost")
        and headers.get("Origin", str(request.url.origin())) == str(request.url.origin())
        and headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        and (request.method != "POST" or request.content_type == "application/json")
    )


_SESSION = web.AppKey("session", aiohttp.ClientSession)


async def _serve(url: str, headers: Mapping[str, str], port: int, opening: bool) -> None:
    runner = web.AppRunner(create_app(url, headers), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        page = f"http://{HOST}:{runner.addresses[0][1]}/process"
        print(f"{page}  (until Ctrl-C)", flush=True)
        if opening:
            webbrowser.open(page)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
