"""Calls to a deployment's routes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import sleep
from typing import Any, Self
from urllib.parse import quote, urlsplit

import requests
from requests.exceptions import ReadTimeout, RequestException

from datasync import faults

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 310.0  # seconds; a function answers within 300 (OCI Functions, "Changing Default Time-outs")
WAITS_MOST = 5  # per call
WAIT_LONGEST = 60.0  # seconds
WAIT_DEFAULT = 2.0  # seconds, if a 429 or 503 does not say when to come back


class DeploymentError(Exception):
    """The deployment could not be reached, or answered with an error; the message says what to do."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Deployment:
    """One deployment; a session is kept for calls that follow one another.

    No redirect is followed and no ~/.netrc is read: headers go to the host that was named, as given.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = _checked(url)
        self.headers = dict(headers or {})
        """Sent with every call; their values are secrets."""
        self._session = requests.Session()
        self._session.auth = lambda prepared: prepared  # with an auth of its own, requests reads no ~/.netrc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str, *, having: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at this path, which must have the member `having`. Raises DeploymentError."""
        answer = self._call("GET", path, query=query)
        if having not in answer:
            raise DeploymentError(
                f"GET {self.url}{path}: it answers JSON, but not the API's.\nIs --url the right root?"
            )
        return answer

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that this body is answered with. Raises DeploymentError."""
        return self._call("POST", path, json=body)

    def put(self, path: str, body: Mapping[str, Any], replaced: str) -> dict[str, Any]:
        """The JSON object that this body is answered with, in the place of what has the tag `replaced`.

        Raises DeploymentError, whose status is 412 if that has changed.
        """
        return self._call("PUT", path, json=body, headers={"If-Match": replaced})

    def call(self, method: str, path: str, data: bytes | None = None) -> dict[str, Any]:
        """The JSON object that a method is answered with; `data` is JSON, and sent as it is.

        Raises DeploymentError, with the answer's status.
        """
        headers = {} if data is None else {"Content-Type": "application/json"}
        return self._call(method, path, data=data, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        data: bytes | None = None,
    ) -> requests.Response:
        """One request and its answer, whatever the status. Raises DeploymentError if none came."""
        try:
            return self._session.request(
                method,
                self.url + path,
                params=query,
                json=json,
                data=data,
                headers={"Accept": "application/json", **(headers or {}), **self.headers},
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                allow_redirects=False,
            )
        except ReadTimeout:
            raise DeploymentError(
                f"{method} {self.url}{path}: no answer within {READ_TIMEOUT:.0f} s.\n"
                "The call may still be running: look at the function's log."
            ) from None
        except (RequestException, ValueError) as error:  # ValueError: a host that is no name
            reason = faults.unreachable(error, self.url)
            raise DeploymentError(f"{method} {self.url}{path}: {reason}") from None

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Call, and again after a 429 or 503; a record that has succeeded meanwhile no longer matches."""
        response = self.send(method, path, **content)
        for _ in range(WAITS_MOST):
            if response.status_code not in (429, 503):
                break
            wait = _wait(response)
            if wait > WAIT_LONGEST:
                break
            sleep(wait)
            response = self.send(method, path, **content)
        answer = _json(response)
        if response.status_code != 200 or not isinstance(answer, dict):
            fault = faults.refused(response, answer, key_sent=bool(self.headers))
            raise DeploymentError(f"{method} {self.url}{path}: {fault}", response.status_code)
        return answer


def path_of(identity: str) -> str:
    """A record's path; its id is one part of it, whatever was typed."""
    return f"/store/{quote(identity, safe='', errors='surrogateescape')}"


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


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested beyond reason
        return None
