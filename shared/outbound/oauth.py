"""Access tokens, obtained with a secret's client credentials (OAuth 2.0, RFC 6749, section 4.4)."""

import asyncio
import math
import re
import time
from collections.abc import Callable
from urllib.parse import urlencode

from shared.model import json_codec
from shared.model.answer import Answer, Cause, Terms
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.credentials import ClientCredentials, parse
from shared.model.errors import CallerError
from shared.model.record import Document
from shared.outbound.sender import Sender

_TOKEN = re.compile(
    r"[!-~]{1,16384}"
)  # visible characters [RFC 6749, appendix A.12]; the length limit is our own
_UNSTATED_SECONDS = 300.0  # if the server omits the lifetime, as RFC 6749, section 5.1, allows
_LONGEST_SECONDS = 24 * 3600.0
_EARLY_SECONDS = 60.0  # before it expires a token is no longer used; a fifth of a short lifetime
_KINDS = ("bearer", "bearertoken")  # the second is Apigee's word
_ERRORS = frozenset(  # [RFC 6749, section 5.2]; a server's other words are not repeated
    (
        *("invalid_request", "invalid_client", "invalid_grant"),
        *("unauthorized_client", "unsupported_grant_type", "invalid_scope"),
    )
)


class NoAccessToken(Exception):
    """No access token could be obtained; the answer says why."""

    def __init__(self, reason: str, cause: Cause = "request", retry_after: float | None = None):
        super().__init__(reason)
        self.answer = Answer(UNEXPECTED_ERROR, f"no access token: {reason}", retry_after, cause)


class AccessTokens:
    """The `Authorization`s of a process, each kept until shortly before its access token expires."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._kept: dict[ClientCredentials, tuple[str, float]] = {}

    def fresh(self, credentials: ClientCredentials) -> str | None:
        """Return what is kept, if it is valid for a while yet."""
        authorization, until = self._kept.get(credentials, ("", 0.0))
        return authorization if self._clock() < until else None

    def keep(self, credentials: ClientCredentials, authorization: str, lifetime: float) -> None:
        """Keep what is valid for `lifetime` seconds, and drop what has expired."""
        now = self._clock()
        self._kept = {key: kept for key, kept in self._kept.items() if now < kept[1]}
        self._kept[credentials] = authorization, now + lifetime - min(_EARLY_SECONDS, lifetime / 5)

    def forget(self, credentials: ClientCredentials) -> None:
        """Drop what is kept: a target has refused it."""
        self._kept.pop(credentials, None)


class AuthorizedSender:
    """Sends records with access tokens; for one call.

    However many records need one, it is requested once. If that fails, it is not tried again in this call:
    the records fail, and are retried later.
    """

    def __init__(self, sender: Sender, tokens: AccessTokens):
        self._sender = sender
        self._tokens = tokens
        self._fetches: dict[ClientCredentials, asyncio.Task[str]] = {}
        self._renewed: set[ClientCredentials] = set()

    async def send(self, document: Document, secret: str, terms: Terms) -> Answer:
        """Send one record, with a token obtained with the credentials in `secret`.

        If the target answers 401, it is sent once more with another token, if there is one.
        """
        end = time.monotonic() + terms.seconds

        def left() -> Terms:
            return terms._replace(seconds=end - time.monotonic())

        try:
            credentials = parse(secret)
        except ValueError as error:
            return NoAccessToken(f"the secret describes no client: {error}").answer
        try:
            authorization = await self._authorization(credentials, terms.seconds)
            answer = await self._sender.send(document, authorization, left())
            if answer.code != 401 or not self._drops(credentials, authorization):
                return answer
            authorization = await self._authorization(credentials, left().seconds)
            return await self._sender.send(document, authorization, left())
        except NoAccessToken as error:
            return error.answer

    def _drops(self, credentials: ClientCredentials, refused: str) -> bool:
        """Drop a token that was refused, once in a call; tell whether another may be obtained."""
        if self._tokens.fresh(credentials) == refused:
            if credentials in self._renewed:
                return False
            self._renewed.add(credentials)
            self._tokens.forget(credentials)
        return True

    async def _authorization(self, credentials: ClientCredentials, seconds: float) -> str:
        """Return what is kept, or what one request obtains for all that wait."""
        kept = self._tokens.fresh(credentials)
        if kept:
            return kept
        if credentials not in self._fetches:
            self._fetches[credentials] = asyncio.create_task(self._fetch(credentials, seconds))
        return await asyncio.shield(self._fetches[credentials])

    async def _fetch(self, credentials: ClientCredentials, seconds: float) -> str:
        form = {"grant_type": "client_credentials"}
        if credentials.scope:
            form["scope"] = credentials.scope
        answer, body = await self._sender.ask(
            credentials.token_url, urlencode(form).encode(), credentials.authorization, seconds
        )
        if not answer.accepted:
            reason = f"at the token URL: {answer.reason}{_named_error(body)}"
            refused = answer.code in (400, 401, 403)  # these credentials; others may be taken
            raise NoAccessToken(reason, "request" if refused else "connection", answer.retry_after)
        authorization, lifetime = read_answer(body)
        self._tokens.keep(credentials, authorization, lifetime)
        del self._fetches[credentials]
        return authorization


def read_answer(body: bytes) -> tuple[str, float]:
    """Return the `Authorization` and its lifetime in seconds, of a successful answer [section 5.1]."""
    members = _members(body)
    token, kind = members.get("access_token"), members.get("token_type")
    if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise NoAccessToken("the token URL's answer holds none")
    if not (isinstance(kind, str) and kind.lower() in _KINDS):
        raise NoAccessToken("the token URL's answer has another token_type than Bearer")
    return f"Bearer {token}", _lifetime(members.get("expires_in"))


def _lifetime(value: object) -> float:
    """Return seconds; digits in a string are common, though section 5.1 has a number."""
    try:
        seconds = float(str(value))
    except ValueError:
        return _UNSTATED_SECONDS
    return min(seconds, _LONGEST_SECONDS) if math.isfinite(seconds) and seconds > 0 else _UNSTATED_SECONDS


def _named_error(body: bytes) -> str:
    error = _members(body).get("error")
    return f" ({error})" if isinstance(error, str) and error in _ERRORS else ""


def _members(body: bytes) -> dict[str, object]:
    try:
        value = json_codec.parse(body)
    except CallerError:
        return {}
    return value if isinstance(value, dict) else {}
