"""One attempt at one record: prepare it, send it, and have its outcome written."""

import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Protocol

from shared.delivery.call import Call
from shared.delivery.completer import Completer
from shared.delivery.limits import Limits, Skipped
from shared.delivery.secrets import ReadsTokens, Secrets
from shared.drivers import clock, logs, threads
from shared.model import record, rules, transitions
from shared.model.answer import Answer, Sent
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.model.retry import UNRECOVERABLE
from shared.model.rules import RuleFailed
from shared.model.transitions import Failure
from shared.storage.records import Stored
from shared.storage.tokens import NoToken
from shared.storage.vault import Secret

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What a call did with a record."""

    SUCCEEDED = auto()
    FILTERED = auto()
    """Excluded by one of the operator's rules, and therefore finished."""
    FAILED = auto()
    DEAD = auto()
    SKIPPED = auto()
    """Due, and not for this call: nothing was written on it."""
    LEFT = auto()
    """Time, lease or database ended before its outcome was written: another call takes it."""


NOT_COUNTED = "; the target is overloaded, so this does not count"
_OURS = ("machine", "time")  # causes that say nothing of record or target: what this call lacked
_LEVELS = {
    Outcome.SUCCEEDED: logging.DEBUG,
    Outcome.FILTERED: logging.DEBUG,
    Outcome.FAILED: logging.INFO,
    Outcome.DEAD: logging.WARNING,
}


class Sends(Protocol):
    """What sends a record: `outbound/session.py`."""

    async def send(self, document: Document, secret: str | None, seconds: float) -> Answer:
        """Send one record within `seconds`; every ending is an Answer."""


@dataclass(frozen=True)
class Prepared:
    """A record with what is needed to send it, or with why it is not sent."""

    stored: Stored
    document: Document
    """The record as the operator's rules leave it."""
    secret: Secret | None = None
    failure: Answer | None = None
    filtered_by: str | None = None

    @property
    def is_sent(self) -> bool:
        """Tell whether anything goes to the target."""
        return self.failure is None and self.filtered_by is None


class Executor:
    """Makes the attempts of one call."""

    def __init__(self, call: Call, tokens: ReadsTokens, session: Sends, completer: Completer, limits: Limits):
        self._call = call
        self._secrets = Secrets(tokens, call.stop_at, adopt=call.request.adopt_token)
        self._session = session
        self._completer = completer
        self._limits = limits

    async def prepare(self, stored: Stored) -> Prepared:
        """Apply the rules and look up the secret. Raises Skipped if Vault does not answer."""
        document, its_rules = stored.document, self._call.settings.rules
        if its_rules and rules.concern(its_rules, document):
            try:
                mapped, rule = await threads.RULES.run(rules.apply, its_rules, document)
            except RuleFailed as error:
                return Prepared(stored, document, failure=Answer(UNEXPECTED_ERROR, f"not sent: {error}"))
            if mapped is None:
                return Prepared(stored, document, filtered_by=rule)
            document = mapped
        try:
            secret = await self._secrets.get(document)
        except NoToken as error:
            return Prepared(stored, document, failure=_not_sent(error))
        return Prepared(self._bound(stored, document, secret), document, secret)

    def _bound(self, stored: Stored, document: Document, secret: Secret | None) -> Stored:
        """Return a record, bound to its secret from now on if an operator says so.

        Messages of a Stream, which nobody proves, stay bound to none.
        """
        if secret is None or not self._call.request.adopt_token:
            return stored
        listed = self._call.settings.connector_hub_secrets
        is_message = record.proof(stored.document) is None and document.get("vaultSecretName") in listed
        bound = stored.document if is_message else record.bound_to(stored.document, secret.proof)
        return replace(stored, document=bound)

    async def execute(self, prepared: Prepared) -> Outcome:
        """Make the attempt, and return once its outcome is durable.

        Raises Skipped if a limit says that nothing goes to the target now, DependencyDown if the database
        stays unavailable.
        """
        if prepared.filtered_by is not None:
            after = transitions.filtered(prepared.stored.document, prepared.filtered_by, clock.now())
            return await self._complete(prepared.stored, after, Answer(""), Outcome.FILTERED)
        answer = prepared.failure or await self._send(prepared)
        if answer is not None and answer.code == 401 and prepared.secret is not None:
            prepared, answer = await self._refused(prepared, prepared.secret, answer)
        return Outcome.LEFT if answer is None else await self._complete_answered(prepared.stored, answer)

    async def _refused(
        self, prepared: Prepared, secret: Secret, answer: Answer
    ) -> tuple[Prepared, Answer | None]:
        """Look again at a secret that the target has refused, before the record is dead of it.

        Returns the record as it is bound now, and the answer to it.
        """
        try:
            now = await self._secrets.get(prepared.document, since=time.monotonic() - answer.seconds)
        except NoToken as error:
            return prepared, replace(answer, code=error.code, reason=f"{answer.code}, and {error.reason}")
        except Skipped:
            reason = f"{answer.code}, and Vault does not answer whether its token has changed"
            return prepared, replace(answer, code=UNEXPECTED_ERROR, reason=reason)
        if now is None or now.proof == secret.proof:
            return prepared, answer
        stored = self._bound(prepared.stored, prepared.document, now)
        renewed = replace(prepared, stored=stored, secret=now)
        return renewed, await self._send(renewed)

    async def fail(self, stored: Stored, reason: str) -> Outcome:
        """Write that a record could not be attempted, for a reason of its own."""
        return await self._complete_answered(stored, Answer(UNEXPECTED_ERROR, reason))

    async def _send(self, prepared: Prepared) -> Answer | None:
        """Send a record as soon as the limits let it; None if no time is left by then."""
        target = record.target(prepared.document)
        async with self._limits.place(target):
            started, seconds = time.monotonic(), self._call.seconds_for_delivery()
            if not self._call.may_begin() or seconds <= 0:
                return None
            answer = await self._completer.expect(self._answer(prepared, seconds))
            if answer.cause in _OURS:
                raise Skipped
            self._limits.record(target, answer)
            return replace(answer, seconds=time.monotonic() - started)

    async def _answer(self, prepared: Prepared, seconds: float) -> Answer:
        secret = None if prepared.secret is None else prepared.secret.text
        try:
            return await self._session.send(prepared.document, secret, seconds)
        except Exception as error:  # noqa: BLE001 - a defect, after which nobody knows what the target has received
            reason = f"the attempt broke off: {type(error).__name__}"
            return Answer(UNEXPECTED_ERROR, reason, cause="answer", sent="unknown")

    async def _complete_answered(self, stored: Stored, answer: Answer) -> Outcome:
        document, moment = stored.document, clock.now()
        if answer.accepted:
            after = transitions.succeeded(document, int(answer.code), moment, answer.seconds)
            outcome = Outcome.SUCCEEDED
        else:
            failure = self._failure(document, answer, moment)
            after = transitions.failed(document, failure, moment, answer.seconds)
            outcome = Outcome.DEAD if after.get("dead") else Outcome.FAILED
        try:
            return await self._complete(stored, after, answer, outcome)
        except DependencyDown:
            raise
        except Exception as error:  # noqa: BLE001 - the database refuses what stands in it
            return await self._complete_refused(stored, answer, type(error).__name__)

    async def _complete_refused(self, stored: Stored, answer: Answer, error: str) -> Outcome:
        """Write that an outcome was refused, in our own words; what was accepted is not sent again."""
        document, moment = stored.document, clock.now()
        reason = f"its outcome, {answer.code}, can't be written: {error}"
        following = None if answer.accepted else self._failure(document, answer, moment).next_attempt
        sent: Sent = "no" if answer.sent == "no" else "unknown"
        failure = Failure(UNEXPECTED_ERROR, reason, UNRECOVERABLE, following, sent)
        after = transitions.failed(document, failure, moment, answer.seconds)
        outcome = Outcome.FAILED if following else Outcome.DEAD
        try:
            return await self._complete(stored, after, answer, outcome)
        except DependencyDown:
            raise
        except Exception:  # noqa: BLE001 - as above
            log.warning("record %s can't be written at all: %s", document["id"], error)
            return Outcome.LEFT

    async def _complete(self, stored: Stored, after: Document, answer: Answer, outcome: Outcome) -> Outcome:
        if not await self._completer.put(stored, after):
            log.warning(
                "record %s was changed by another worker; this outcome is dropped", stored.document["id"]
            )
            return Outcome.LEFT
        self._call.stats.record(stored.document, after, answer.seconds)
        _log(stored.document, answer, outcome)
        return outcome

    def _failure(self, document: Document, answer: Answer, moment: datetime) -> Failure:
        policy = self._call.request.policy
        if answer.overloaded:
            rest = timedelta(seconds=self._limits.rest(record.target(document)))
            stream = policy.error_stream(answer.code)
            reason = answer.reason + NOT_COUNTED
            return Failure(answer.code, reason, stream, moment + rest, answer.sent, answer.said, counts=False)
        attempts = record.attempts(document) + (answer.sent != "no")
        tries = record.tries(document) + 1
        following = policy.next_attempt(answer.code, attempts, tries, moment, answer.retry_after)
        stream = policy.error_stream(answer.code)
        return Failure(answer.code, answer.reason, stream, following, answer.sent, answer.said)


def _not_sent(error: NoToken) -> Answer:
    return Answer(error.code, error.reason)


def _log(document: Document, answer: Answer, outcome: Outcome) -> None:
    level = _LEVELS[outcome]
    if log.isEnabledFor(level):
        logs.event(
            *(log, level, f"a delivery {outcome.name.lower()}"),
            record=document["id"],
            target=record.target(document),
            code=answer.code,
            durationMs=round(answer.seconds * 1000),
        )
