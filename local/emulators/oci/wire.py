"""What requests and answers of all the services have in common: JSON bodies, error codes, times."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

JsonObject = dict[str, Any]


class ServiceError(Exception):
    """An answer of a service that is an error: HTTP status, OCI's error code, and a message.

    The codes are those of https://docs.oracle.com/iaas/Content/API/References/apierrors.htm
    """

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> web.Response:
        """Return the error as the services send it."""
        return web.json_response({"code": self.code, "message": self.message}, status=self.status)


def not_found(what: str) -> ServiceError:
    """Return the 404 by which OCI hides whether a thing is missing or merely not yours."""
    return ServiceError(404, "NotAuthorizedOrNotFound", f"{what} was not found, or you may not see it")


def invalid(message: str) -> ServiceError:
    """Return the 400 for a parameter that breaks a rule."""
    return ServiceError(400, "InvalidParameter", message)


async def json_object(request: web.Request) -> JsonObject:
    """Return the request's body, which must be one JSON object."""
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise ServiceError(400, "CannotParseRequest", "The body is not JSON") from error
    if not isinstance(body, dict):
        raise ServiceError(400, "CannotParseRequest", "The body is not a JSON object")
    return body


def required_text(source: Mapping[str, Any], name: str) -> str:
    """Return a member or query parameter that must be a string with something in it."""
    value = source.get(name)
    if value is None:
        raise ServiceError(400, "MissingParameter", f"{name} is required")
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"{name} must be a string that is not empty")
    return value


def positive_int(source: Mapping[str, str], name: str, default: int) -> int:
    """Return a query parameter that must be a whole number above zero."""
    text = source.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise invalid(f"{name} must be a whole number above 0")
    return int(text)


def check_if_match(request: web.Request, etag: str) -> None:
    """Refuse with 412 if the caller names an etag that is no longer the thing's."""
    wanted = request.headers.get("If-Match")
    if wanted not in (None, "*", etag):
        raise ServiceError(412, "NoEtagMatch", "The etag in if-match is not the current one: read it again")


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


def as_text(moment: datetime) -> str:
    """Write a time as the services do: RFC 3339 in UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_time(text: object, name: str) -> datetime:
    """Read an RFC 3339 time with a zone; `name` is for the error's message."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise invalid(f"{name} must be an RFC 3339 time such as 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise invalid(f"{name} must carry a time zone, such as Z")
    return moment
