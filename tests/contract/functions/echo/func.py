"""Shows a call as the function sees it, and does as the request's JSON says."""

import asyncio
import json
import os
import signal
from pathlib import Path

from fdk import response


async def handler(ctx, data=None):
    """Obey `sleep`, `touch`, `raise`, `die`, `status`, `headers`, `body_size`; echo what is not JSON."""
    body = data.getvalue()
    try:
        wish = json.loads(body)
    except ValueError:
        return response.Response(ctx, body, {"Content-Type": "application/octet-stream"})
    await asyncio.sleep(wish.get("sleep", 0))
    if "touch" in wish:
        _touch(Path(wish["touch"]))
    if "raise" in wish:
        raise RuntimeError(wish["raise"])
    if wish.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    content = "x" * wish["body_size"] if "body_size" in wish else json.dumps(_seen(ctx))
    headers = {"Content-Type": "application/json", **wish.get("headers", {})}
    return response.Response(ctx, content, headers, status_code=wish.get("status", 200))


def _touch(path):
    path.touch()


def _seen(ctx):
    return {
        "pid": os.getpid(),
        "url": ctx.RequestURL(),
        "method": ctx.Method(),
        "headers": ctx.Headers(),
        "http_headers": ctx.HTTPHeaders(),
        "deadline": ctx.Deadline(),
        "environment": dict(os.environ),
    }
