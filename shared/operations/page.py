"""The operators' page: one document, which holds no data, and asks the same address for what it shows."""

import base64
import functools
import hashlib
import re
from pathlib import Path

from shared.drivers.responses import Response

_FOLDER = Path(__file__).with_name("page")
_STYLE = "page.css"
_SCRIPTS = (  # in this order: what a later one says at once may need what an earlier one has said
    *("elements.js", "asking.js", "address.js", "overview.js", "targets.js", "failures.js", "acting.js"),
    *("record.js", "finding.js", "start.js"),
)
_FOR_AUTHORS = re.compile(rb"^ +|^//.*\n|^/\*\*.*\*/\n", re.MULTILINE)
"""Indentation, and comments on lines of their own."""


@functools.cache
def page() -> Response:
    """Return the page, whose own style and script are all that a browser may use; it asks no other host.

    Content Security Policy Level 3, section 2.3.1: an inline element is named by its text's digest.
    """
    style, script = _read(_STYLE), b"".join(map(_read, _SCRIPTS))
    content = _read("page.html").replace(b"{{style}}", style).replace(b"{{script}}", script)
    policy = "; ".join(
        (
            *("default-src 'none'", f"style-src {_digest(style)}", f"script-src {_digest(script)}"),
            *("connect-src 'self'", "img-src data:"),
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


def _read(name: str) -> bytes:
    return _FOR_AUTHORS.sub(b"", (_FOLDER / name).read_bytes())


def _digest(text: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
