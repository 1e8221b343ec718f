"""The operators' page: one document, which holds no data, and asks the same address for the report."""

import base64
import functools
import hashlib
import re
from pathlib import Path

from shared.drivers.responses import Response

_FILE = Path(__file__).with_name("page.html")
_INLINE = {tag: re.compile(f"<{tag}>(.*?)</{tag}>".encode(), re.DOTALL) for tag in ("style", "script")}


@functools.cache
def page() -> Response:
    """Return the page, whose own style and script are all that a browser may use; it asks no other host.

    Content Security Policy Level 3, section 2.3.1: an inline element is named by its text's digest.
    """
    content = _FILE.read_bytes()
    rules = [f"{tag}-src {' '.join(map(_digest, found.findall(content)))}" for tag, found in _INLINE.items()]
    policy = "; ".join(
        (
            *("default-src 'none'", *rules, "connect-src 'self'", "img-src data:"),
            *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
        )
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(200, content, headers)


def _digest(text: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
