"""Shows a call as the function sees it, and does as the request's JSON says."""

import asyncio
import json
import os
import signal
from pathlib import Path

from fdk import response


async def handler(ctx, data=None):
    """Obey the wishes in a JSON object: first `begin` (a file to make) and `await` (one to wait for).

    Then `touch`, `raise`, `die`, `status`, `headers`, `body_size`. A body that is not JSON is sent back.
    """
    body = data.getvalue()
    try:
        wish = json.loads(body)
    except ValueError:
        return response.Response(ctx, body, {"Content-Type": "application/octet-stream"})
    await asyncio.sleep(wish.get("sleep", 0))
    _touch(wish.get("begin"))
    while not _is_there(wish.get("await")):  # noqa: ASYNC110 - another process makes the file
        await asyncio.sleep(0.01)
    _touch(wish.get("touch"))
    if "raise" in wish:
        raise RuntimeError(wish["raise"])
    if wish.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    content = "x" * wish["body_size"] if "body_size" in wish else json.dumps(_seen(ctx))
    headers = {"Content-Type": "application/json", **wish.get("headers", {})}
    return response.Response(ctx, content, headers, status_code=wish.get("status", 200))


def _touch(file):
    if file:
        Path(file).touch()


def _is_there(file):
    return not file or Path(file).exists()


def _seen(ctx):
    return {
        "pid": os.getpid(),
        "url": ctx.RequestURL(),
        "method": ctx.Method(),
        "headers": ctx.Headers(),
        "http_headers": ctx.HTTPHeaders(),
        "deadline": ctx.Deadline(),
        "call_id": ctx.CallID(),
        "environment": dict(os.environ),
    }
