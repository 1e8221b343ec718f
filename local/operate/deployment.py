"""Calls to a deployment's routes, with their errors in words that an operator can act on."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import requests

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 310.0  # seconds; a function answers within 300 (OCI Functions, "Changing Default Time-outs")
WAITS_MOST = 5  # per call
WAIT_LONGEST = 60.0  # seconds
WAIT_DEFAULT = 2.0  # seconds, where a 429 or 503 does not say when to come back

_ADVICE = {
    401: "set DATASYNC_API_KEY, or pass what the gateway wants with --header 'Name: value'",
    403: "this credential may not do that; it takes an operator's",
    404: "is --url the root of the deployment, without /process?",
    405: "is --url the root of the deployment, and is its version recent enough?",
    429: "wait a while, then start again",
    503: "wait a while, then start again",
}


class DeploymentError(Exception):
    """The deployment could not be asked, or answered with an error; the message says what to do."""


class Deployment:
    """One deployment; a session is kept for calls that follow one another.

    No redirect is followed and no ~/.netrc is read: headers go to the host that was named, as given.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._url = _checked(url)
        self._session = requests.Session()
        self._session.headers.update({"Accept": "application/json", **(headers or {})})
        self._session.auth = lambda prepared: prepared  # with an auth of its own, requests asks no ~/.netrc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at this path."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that this body is answered with."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Call, and again after a 429 or 503; a record that has succeeded meanwhile no longer matches."""
        response = self._send(method, path, body)
        for _ in range(WAITS_MOST):
            if response.status_code not in (429, 503):
                break
            wait = _wait(response)
            if wait > WAIT_LONGEST:
                break
            time.sleep(wait)
            response = self._send(method, path, body)
        return _content(response, f"{method} {self._url}{path}")

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> requests.Response:
        where = f"{method} {self._url}{path}"
        try:
            return self._session.request(
                method,
                self._url + path,
                json=body,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise DeploymentError(
                f"{where}: its TLS certificate was not accepted ({_cause(error)}). For a private authority, "
                "name its certificate in the environment variable REQUESTS_CA_BUNDLE"
            ) from None
        except requests.exceptions.ReadTimeout:
            raise DeploymentError(
                f"{where}: no answer within {READ_TIMEOUT:.0f} s; it may still be at work. Look at its logs"
            ) from None
        except requests.exceptions.RequestException as error:
            raise DeploymentError(
                f"{where}: could not be reached ({_cause(error)}). Is it running, and is --url right?"
            ) from None


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise DeploymentError("--url is not a URL; write it as https://host/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise DeploymentError("--url must be an http or https URL without query and fragment")
    if parts.username is not None or parts.password is not None:
        raise DeploymentError("--url must not hold a password; use --header 'Authorization: …' instead")
    return url.rstrip("/")


def _cause(error: BaseException) -> str:
    """The innermost reason: what wraps it only repeats the address. No header's value stands in it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return printable(getattr(error, "strerror", None) or type(error).__name__)


def _wait(response: requests.Response) -> float:
    """Seconds until the next try; Retry-After is a number of seconds or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return WAIT_DEFAULT
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return WAIT_DEFAULT
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _content(response: requests.Response, where: str) -> dict[str, Any]:
    try:
        content = response.json()
    except requests.exceptions.JSONDecodeError:
        content = None
    if response.status_code != 200:
        advice = _ADVICE.get(response.status_code)
        problem = _problem(content) if isinstance(content, dict) else ""
        message = f"{where}: answered {response.status_code}{problem}"
        raise DeploymentError(f"{message}\n{advice}" if advice else message)
    if not isinstance(content, dict):
        raise DeploymentError(f"{where}: answered 200, but without a JSON object. {_ADVICE[404]}")
    return content


def _problem(content: Mapping[str, Any]) -> str:
    """The parts of a problem+json body (RFC 9457) that say what was wrong and where."""
    said = [str(content[member]) for member in ("title", "detail") if content.get(member)]
    errors = content.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict):
            said.append(f"at {error.get('pointer') or '/'}: {error.get('detail', '')}")
    return "".join(f"\n  {printable(line)}" for line in said)


def printable(text: str) -> str:
    """Text from elsewhere without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)
