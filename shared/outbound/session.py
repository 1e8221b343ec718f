"""Sessions in which records are sent, with whatever their secrets hold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.drivers import threads
from shared.model.answer import Answer, Terms
from shared.model.credentials import describes_client
from shared.model.record import Document
from shared.outbound.oauth import AccessTokens, AuthorizedSender
from shared.outbound.sender import Sender
from shared.outbound.signing import SigningKeys
from shared.settings import Settings


class Session:
    """Sends the records of one call."""

    def __init__(self, sender: Sender, tokens: AccessTokens):
        self._sender = sender
        self._authorized = AuthorizedSender(sender, tokens)

    async def send(self, document: Document, secret: str | None, terms: Terms) -> Answer:
        """Send one record, with what its secret holds, a token or client credentials."""
        if secret is not None and describes_client(secret):
            return await self._authorized.send(document, secret, terms)
        return await self._sender.send(document, secret, terms)


class Outbound:
    """Opens sessions; access tokens and signing keys are kept between them."""

    def __init__(self, settings: Settings, signing: SigningKeys):
        self._settings = settings
        self._signing = signing
        self._tokens = AccessTokens()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Open a session; DependencyDown if the signing keys can't be read: nothing is sent unsigned."""
        keys = await threads.VAULT.run(self._signing.current)
        async with Sender(self._settings, keys) as sender:
            yield Session(sender, self._tokens)
