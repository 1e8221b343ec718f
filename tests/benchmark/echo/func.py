"""A function that answers with what it got, and does nothing else: what the platform itself costs."""

import io
from typing import Any

from fdk import response


def handler(ctx: Any, data: io.BytesIO | None = None) -> Any:
    """Answer with the body."""
    body = data.getvalue() if data is not None else b""
    return response.Response(ctx, body, {"Content-Type": "application/json"}, 200)
