"""What keeps a call from its answer, in words that an operator can act on; no header's value is repeated."""

import http.client
import ssl
from collections.abc import Mapping
from typing import Any

import requests

from datasync.output import printable

_ADVICE = {
    403: "This key is valid, but not for this: the command needs an operator's.",
    404: "Is --url the root of the deployment, without /process?",
    405: "Is --url the root of the deployment, and is its version recent enough?",
    429: "Wait a while, then start again.",
    503: "Wait a while, then start again.",
}
_NO_KEY = "Set DATASYNC_API_KEY, or pass what the gateway wants with --header 'Name: value'."
_WRONG_KEY = "A key was sent and not accepted: is it this deployment's, in the right header, and still valid?"
# How OpenSSL calls an answer that is no TLS; which of them depends on its version and on what came.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


def unreachable(error: Exception, url: str) -> str:
    """Why no HTTP answer came."""
    cause = _innermost(error)
    is_https = url.startswith("https:")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its TLS certificate is not accepted: {printable(cause.verify_message)}.\n"
            "If a private authority has issued it, name the authority's certificate in REQUESTS_CA_BUNDLE."
        )
    if isinstance(cause, ssl.SSLError):
        if cause.reason in _NOT_TLS:
            return f"the address answers, but not with TLS.\nIf it speaks plain HTTP, write http:{url[6:]}"
        return f"no TLS connection ({printable(cause.reason or str(cause))}).\nIs --url right?"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time.\nIs --url right, and does a firewall or a proxy stand in between?"
    if isinstance(error, requests.exceptions.ProxyError):
        return (
            f"the proxy that the environment names does not connect ({_named(cause)}).\n"
            "Correct HTTPS_PROXY or HTTP_PROXY, or list the host in NO_PROXY."
        )
    if isinstance(cause, (http.client.HTTPException, ConnectionResetError)):
        advice = "Is --url right?" if is_https else f"If it expects TLS, write https:{url[5:]}"
        return f"the address does not answer in HTTP ({_named(cause)}).\n{advice}"
    return f"it can't be reached ({_named(cause)}).\nIs it running, and is --url right?"


def refused(response: requests.Response, content: Any, *, key_sent: bool) -> str:
    """What an answer other than a JSON object with status 200 means."""
    status = response.status_code
    members = content if isinstance(content, dict) else {}
    if status == 200:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip() or "no content type"
        return f"it answers with {printable(kind)}, not with the API's JSON.\n{_ADVICE[404]}"
    if 300 <= status < 400:
        where = _place(response)
        return f"it answers {status} and redirects to {where}.\nIf that is the deployment, pass it as --url."
    said = _problem(members)
    if status == 401:
        advice = _WRONG_KEY if key_sent else _NO_KEY
    elif status == 400 and not said and response.url.startswith("http:"):
        advice = "If it expects TLS, write https://"
    elif status in (404, 405) and said and "code" not in members:
        advice = ""  # the function's own answer says it all; a gateway's has a code, too
    else:
        advice = _ADVICE.get(status, "")
    return f"it answers {status}{said}" + (f"\n{advice}" if advice else "")


def _problem(content: Mapping[str, Any]) -> str:
    """The parts of a problem+json body (RFC 9457) that say what was wrong and where."""
    said = [str(content[member]) for member in ("title", "detail") if content.get(member)]
    errors = content.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict):
            said.append(f"at {error.get('pointer') or '/'}: {error.get('detail', '')}")
    return "".join(f"\n  {printable(line)}" for line in said)


def _place(response: requests.Response) -> str:
    """Where a redirect leads, without its query, in which a login's state may stand."""
    place = response.headers.get("Location", "nowhere").partition("?")[0].partition("#")[0]
    return printable(place)


def _innermost(error: BaseException) -> BaseException:
    """The innermost reason: what wraps it only repeats the address."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _named(cause: BaseException) -> str:
    """A cause in the system's words, or by its type: other texts may quote what was sent."""
    return printable(getattr(cause, "strerror", None) or type(cause).__name__)
