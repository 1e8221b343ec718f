"""A gateway on a free port, with real FDK processes of `functions/echo` behind it, and calls to it."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from local.emulators import gateway
from local.emulators.functions import Function, FunctionRunner

FUNCTIONS = Path(__file__).parent / "functions"
ROUTES = {
    "path_prefix": "/v1/",
    "routes": [
        {"path": "/store", "methods": ["POST", "GET"], "callers": ["source"], "function": "echo"},
        {"path": "/store/{id}", "methods": ["GET"], "callers": ["source"], "function": "echo"},
        {"path": "/gone", "methods": ["GET"], "callers": ["source"], "function": "missing"},
    ],
}


@asynccontextmanager
async def serving(folder, **environment):
    """Serve the gateway with the callers that the environment names; a session with its URL."""
    echo = Function("echo", FUNCTIONS / "echo", "ocid1.fnfunc.oc1.local.echo", timeout=60, max_processes=2)
    (folder / "routes.json").write_text(json.dumps(ROUTES))
    routes = gateway.load_routes(folder / "routes.json")
    callers = gateway.Callers.from_environment(environment)
    async with (
        FunctionRunner([echo], folder) as runner,
        gateway.serve(routes, runner, callers=callers) as url,
        aiohttp.ClientSession(url, skip_auto_headers=("Content-Type", "User-Agent")) as session,
    ):
        yield session


def is_problem(response, body, status, code):
    assert response.status == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"]
    assert body["detail"] == body["message"]
    return True


async def call(api, method="POST", path="/v1/store", *, wish=None, **options):
    options.setdefault("data", None if method == "GET" else json.dumps(wish or {}))
    async with api.request(method, path, **options) as response:
        return response, json.loads(await response.read() or "null")


async def raw(api, *lines, target="/v1/store", body=b"{}"):
    """Send a request as it is written here, `PORT` replaced; its status and the answer's JSON."""
    port = api._base_url.port
    head = [f"POST {target} HTTP/1.1", *lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join(head).replace("PORT", str(port)).encode("latin-1") + body)
    answer = await reader.read()
    writer.close()
    fields, _, content = answer.partition(b"\r\n\r\n")
    return int(fields.split()[1]), json.loads(content) if content.startswith(b"{") else None


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)
