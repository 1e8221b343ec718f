"""One record's delivery: its token, a place among the requests, the request, the outcome's write."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Protocol

from shared.delivery.completer import Completer
from shared.delivery.limits import Limits, Skipped
from shared.delivery.requests import DeliveryRequest
from shared.drivers import logs
from shared.model import record, rules, transitions
from shared.model.answer import Answer
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.credentials import describes_client
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.model.rules import RuleFailed
from shared.model.transitions import Failure
from shared.monitoring.call_stats import CallStats
from shared.outbound.oauth import AccessTokens, AuthorizedSender
from shared.outbound.sender import Sender
from shared.settings import Settings
from shared.storage.leases import Lease
from shared.storage.records import Stored
from shared.storage.tokens import TokenVault

log = logging.getLogger(__name__)

AFTER_LAST_ANSWER = 2.0  # seconds kept to write outcomes and to answer before the deadline


class Blocking(Protocol):
    """Runs a blocking call on a thread."""

    def __call__(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Awaitable[Any]:
        """Return what the call returns."""


class Outcome(Enum):
    """What a call did with a record."""

    SUCCEEDED = auto()
    FILTERED = auto()
    """Not sent, since a rule of the operator's says so; finished all the same."""
    FAILED = auto()
    DEAD = auto()
    PUT_OFF = auto()
    """Due, and not for this call: nothing was written on it."""
    LEFT = auto()
    """Time, lease or database ended before its outcome was written: another call takes it."""


_LEVELS = {
    Outcome.SUCCEEDED: logging.DEBUG,
    Outcome.FILTERED: logging.DEBUG,
    Outcome.FAILED: logging.INFO,
    Outcome.DEAD: logging.WARNING,
}


class Executor:
    """Delivers the records of one call."""

    def __init__(
        self,
        settings: Settings,
        order: DeliveryRequest,
        lease: Lease,
        vault: TokenVault,
        blocking: Blocking,
        evaluating: Blocking,
        sender: Sender,
        tokens: AccessTokens,
        writer: Completer,
        bounds: Limits,
        seen: CallStats,
    ):
        self._settings = settings
        self._order = order
        self._lease = lease
        self._sender = sender
        self._authorized_sender = AuthorizedSender(sender, tokens)
        self._writer = writer
        self._seen = seen
        self._vault = vault
        self._blocking = blocking
        self._evaluating = evaluating
        self._secrets: dict[str, asyncio.Future[str | None]] = {}
        self.trouble: DependencyDown | None = None  # what kept a record from being delivered
        self._vault_is_down = False
        self.bounds = bounds
        left = order.deadline - time.monotonic()
        self._stop_at = order.deadline - min(settings.longest_delivery + AFTER_LAST_ANSWER, left / 2)

    def must_stop(self) -> bool:
        """Tell whether nothing more may be begun: it could outlast the lease or the deadline."""
        now = time.monotonic()
        outlasts = now + self._settings.longest_delivery >= self._lease.valid_until
        return (self.trouble is not None and not self._vault_is_down) or now > self._stop_at or outlasts

    async def deliver(self, stored: Stored) -> Outcome:
        """Make one attempt at a record, and write what came of it."""
        try:
            return await self._delivered(stored)
        except Skipped:
            return Outcome.PUT_OFF
        except DependencyDown as error:
            self.trouble = error
            return Outcome.LEFT

    async def _delivered(self, stored: Stored) -> Outcome:
        """Apply the rules, send what they leave, and write the outcome."""
        document: Document | None = stored.document
        rule = ""
        try:
            if rules.concern(self._settings.rules, stored.document):
                document, rule = await self._evaluating(rules.apply, self._settings.rules, stored.document)
        except RuleFailed as error:
            return await self._settle(stored, Answer(UNEXPECTED_ERROR, f"not sent: {error}"))
        if document is None:
            return await self._filtered(stored, rule)
        answer = await self._attempt(document)
        return Outcome.LEFT if answer is None else await self._settle(stored, answer)

    async def _filtered(self, stored: Stored, rule: str) -> Outcome:
        after = transitions.filtered(stored.document, rule, datetime.now(UTC))
        return await self._written(stored, after, Answer(""), Outcome.FILTERED)

    async def _attempt(self, document: Document) -> Answer | None:
        """Send a record; None where no time is left."""
        name = document.get("vaultSecretName")
        secret = None if name is None else await self._secret(name)
        if name is not None and secret is None:
            return Answer(UNEXPECTED_ERROR, f"the vault has no readable secret for vaultSecretName {name!r}")
        target = record.target(document)
        async with self.bounds.place(target):
            now = time.monotonic()
            seconds = min(
                self._settings.longest_delivery,
                self._order.deadline - AFTER_LAST_ANSWER - now,
                self._lease.valid_until - now,
            )
            if self.must_stop() or seconds <= 0:
                return None
            answer = await self._writer.expect(self._sending(document, secret, seconds))
            self.bounds.note(target, answer)
            return replace(answer, seconds=time.monotonic() - now)

    def _sending(self, document: Document, secret: str | None, seconds: float) -> Coroutine[Any, Any, Answer]:
        if secret is not None and describes_client(secret):
            return self._authorized_sender.send(document, secret, seconds)
        return self._sender.send(document, secret, seconds)

    async def _settle(self, stored: Stored, answer: Answer) -> Outcome:
        document, moment = stored.document, datetime.now(UTC)
        if answer.accepted:
            outcome, after = (
                Outcome.SUCCEEDED,
                transitions.succeeded(document, int(answer.code), moment, answer.seconds),
            )
        else:
            after = transitions.failed(
                document, self._failure(document, answer, moment), moment, answer.seconds
            )
            outcome = Outcome.DEAD if after.get("dead") else Outcome.FAILED
        return await self._written(stored, after, answer, outcome)

    async def _written(self, stored: Stored, after: Document, answer: Answer, outcome: Outcome) -> Outcome:
        document = stored.document
        if await self._writer.put(stored, after):
            self._note(document, after, answer, outcome)
            return outcome
        log.warning("record %s was changed by another worker; its outcome here is dropped", document["id"])
        return Outcome.LEFT

    def _note(self, before: Document, after: Document, answer: Answer, outcome: Outcome) -> None:
        """Count and log an outcome that was written; a success is logged at the level of debugging."""
        self._seen.note(before, after, answer.seconds)
        level = _LEVELS[outcome]
        if log.isEnabledFor(level):
            logs.event(
                *(log, level, f"a delivery {outcome.name.lower()}"),
                record=before["id"],
                target=record.target(before),
                code=answer.code,
                durationMs=round(answer.seconds * 1000),
            )

    def _failure(self, document: Document, answer: Answer, moment: datetime) -> Failure:
        policy = self._order.policy
        attempts = record.attempts(document) + 1
        following = policy.next_attempt(answer.code, attempts, moment, answer.retry_after)
        return Failure(answer.code, answer.reason, policy.error_stream(answer.code), following)

    async def _secret(self, name: str) -> str | None:
        """Return what a secret holds, looked up once in a call for all records; None without one.

        Skipped where Vault can't say: records without a token go on.
        """
        if self._vault_is_down:
            raise Skipped
        if name not in self._secrets:
            self._secrets[name] = asyncio.ensure_future(self._blocking(self._vault.token, name))
        try:
            return await self._secrets[name]
        except DependencyDown as error:
            self.trouble = error
            self._vault_is_down = True
            raise Skipped from None
