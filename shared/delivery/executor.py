"""One attempt at one record: prepare it, send it, and have its outcome written."""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import Any, Protocol

from shared.delivery.call import Call
from shared.delivery.completer import Completer
from shared.delivery.lease_guard import LeaseGuard
from shared.delivery.limits import Limits, Skipped
from shared.delivery.secrets import ReadsTokens, Secrets
from shared.drivers import clock, logs, threads
from shared.model import json_codec, record, transitions
from shared.model.answer import Answer, Sent, Terms
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.errors import CallerError, DependencyDown
from shared.model.history import HISTORY, noted
from shared.model.lanes import Lane
from shared.model.policy import HOLD_REASON, Policy, PolicyFailed
from shared.model.record import Document
from shared.model.retry import UNRECOVERABLE
from shared.model.transitions import Failure
from shared.storage.records import Stored
from shared.storage.tokens import NoToken
from shared.storage.vault import Secret

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What a call did with a record."""

    SUCCEEDED = auto()
    FILTERED = auto()
    """Excluded by its target's policy, and therefore finished."""
    FAILED = auto()
    DEAD = auto()
    SKIPPED = auto()
    """Due, and not for this call: nothing was written on it."""
    LEFT = auto()
    """Time, lease or database ended before its outcome was written: another call takes it."""


NOT_COUNTED = "; the target is overloaded, so this does not count"
_GATEWAY_TIMEOUT = 504  # what is behind the gateway may have received it
_OURS = ("machine", "time")  # causes that say nothing of record or target: what this call lacked
_LEVELS = {
    Outcome.SUCCEEDED: logging.DEBUG,
    Outcome.FILTERED: logging.DEBUG,
    Outcome.FAILED: logging.INFO,
    Outcome.DEAD: logging.WARNING,
}


class Sends(Protocol):
    """What sends a record: `outbound/session.py`."""

    async def send(self, document: Document, secret: str | None, terms: Terms) -> Answer:
        """Send one record; every ending is an Answer."""


class ReadsRecords(Protocol):
    """What reads a record again: `storage/records.py`."""

    def with_ids(self, identities: Collection[str], /) -> list[Stored]:
        """Return the records with these ids."""


@dataclass(frozen=True)
class Prepared:
    """A record with what is needed to send it, or with why it is not sent."""

    stored: Stored
    document: Document
    """The record as its target's policy leaves it."""
    lane: Lane
    secret: Secret | None = None
    failure: Answer | None = None
    filtered_by: str | None = None

    @property
    def is_sent(self) -> bool:
        """Tell whether anything goes to the target."""
        return self.failure is None and self.filtered_by is None


class Executor:
    """Makes the attempts of one call."""

    def __init__(
        self,
        call: Call,
        records: ReadsRecords,
        tokens: ReadsTokens,
        session: Sends,
        completer: Completer,
        limits: Limits,
    ):
        self._call = call
        self._records = records
        self._policies = call.policies
        self._guard = LeaseGuard(call.lease)
        self._secrets = Secrets(tokens, call.stop_at, adopt=call.request.adopt_token)
        self._session = session
        self._completer = completer
        self._limits = limits
        self._too_long: set[str] = set()  # policies

    async def prepare(self, stored: Stored) -> Prepared:
        """Apply its policy and look up the secret. Raises Skipped if Vault does not answer."""
        document, lane = stored.document, self._policies.lane(stored.document)
        if lane.policy.maps:
            try:
                mapped = await threads.RULES.run(lane.policy.applied, document)
            except PolicyFailed as error:
                failure = Answer(UNEXPECTED_ERROR, f"not sent: {error}")
                return Prepared(stored, document, lane, failure=failure)
            if mapped is None:
                return Prepared(stored, document, lane, filtered_by=lane.policy.name)
            document = mapped
        try:
            secret = await self._secrets.get(document)
        except NoToken as error:
            return Prepared(stored, document, lane, failure=_not_sent(error))
        return Prepared(self._bound(stored, document, secret), document, lane, secret)

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
        stays unavailable, LeaseEnded if that cut the request off.
        """
        if prepared.filtered_by is not None:
            change = partial(transitions.filtered, rule=prepared.filtered_by, moment=clock.now())
            return await self._complete(prepared.stored, change, Answer(""))
        answer = prepared.failure or await self._send(prepared)
        if answer is not None and answer.code == 401 and prepared.secret is not None:
            prepared, answer = await self._refused(prepared, prepared.secret, answer)
        if answer is None:
            return Outcome.LEFT
        return await self._complete_answered(prepared.stored, prepared.lane, answer)

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
        lane = self._policies.lane(stored.document)
        return await self._complete_answered(stored, lane, Answer(UNEXPECTED_ERROR, reason))

    def close(self) -> None:
        """Stop guarding requests."""
        self._guard.close()

    async def _send(self, prepared: Prepared) -> Answer | None:
        """Send a record as soon as the limits let it; None if no time, or no lease, is left by then."""
        name, policy = prepared.lane.name, prepared.lane.policy
        async with self._limits.place(name):
            if self._policies.is_paused(prepared.stored.document) or self._is_too_long(policy):
                raise Skipped
            started, terms = time.monotonic(), self._call.terms(policy)
            if not self._call.may_begin(policy) or terms.seconds <= 0:
                return None
            async with self._guard.request():
                answer = await self._completer.expect(self._answer(prepared, terms))
            if answer.cause in _OURS:
                raise Skipped
            self._limits.record(name, answer)
            return replace(answer, seconds=time.monotonic() - started)

    def _is_too_long(self, policy: Policy) -> bool:
        """Tell whether no call is long enough for a policy's time-outs; say so once."""
        if not policy.name or not self._call.is_too_short(policy):
            return False
        if policy.name not in self._too_long:
            self._too_long.add(policy.name)
            log.error(
                "policy %r: a delivery may take %g s, longer than this call: raise the function's time-out,"
                " or lower the policy's",
                *(policy.name, self._call.longest(policy)),
            )
        return True

    async def _answer(self, prepared: Prepared, terms: Terms) -> Answer:
        secret = None if prepared.secret is None else prepared.secret.text
        try:
            answer = await self._session.send(prepared.document, secret, terms)
        except Exception as error:  # noqa: BLE001 - a defect, after which nobody knows what the target has received
            reason = f"the attempt broke off: {type(error).__name__}"
            return Answer(UNEXPECTED_ERROR, reason, cause="answer", sent="unknown")
        policy = prepared.lane.policy
        if policy.success is None or answer.sent != "yes":
            return answer
        return await threads.RULES.run(_judged, policy, answer)

    async def _complete_answered(self, stored: Stored, lane: Lane, answer: Answer) -> Outcome:
        moment, seconds = clock.now(), answer.seconds
        if answer.accepted:
            said = answer.said if lane.policy.answers == "all" else ""
            change = partial(
                transitions.succeeded, code=int(answer.code), moment=moment, seconds=seconds, said=said
            )
        else:
            failure = self._failure(stored.document, lane, answer, moment)
            change = partial(transitions.failed, failure=failure, moment=moment, seconds=seconds)
        try:
            return await self._complete(stored, change, answer)
        except DependencyDown:
            raise
        except Exception as error:  # noqa: BLE001 - the database refuses what stands in it
            return await self._complete_refused(stored, lane, answer, type(error).__name__)

    async def _complete_refused(self, stored: Stored, lane: Lane, answer: Answer, error: str) -> Outcome:
        """Write that an outcome was refused, in our own words; what was accepted is not sent again."""
        document, moment = stored.document, clock.now()
        reason = f"its outcome, {answer.code}, can't be written: {error}"
        following = None if answer.accepted else self._failure(document, lane, answer, moment).next_attempt
        sent: Sent = "no" if answer.sent == "no" else "unknown"
        failure = Failure(UNEXPECTED_ERROR, reason, UNRECOVERABLE, following, sent)
        change = partial(transitions.failed, failure=failure, moment=moment, seconds=answer.seconds)
        try:
            return await self._complete(stored, change, answer)
        except DependencyDown:
            raise
        except Exception:  # noqa: BLE001 - as above
            log.warning("record %s can't be written at all: %s", document["id"], error)
            return Outcome.LEFT

    async def _complete(
        self, stored: Stored, change: Callable[[Document], Document], answer: Answer
    ) -> Outcome:
        """Write what an outcome makes of a record: of its newest state, if somebody acted on it meanwhile."""
        after = self._changed(stored.document, change)
        while not await self._completer.put(stored, after):
            newest = await self._acted_on(stored)
            if newest is None:
                log.warning(
                    "record %s was changed by another worker; this outcome is dropped", stored.document["id"]
                )
                return Outcome.LEFT
            stored, after = newest, self._changed(newest.document, change)
        outcome = _outcome(after)
        self._call.stats.record(stored.document, after, answer.seconds)
        _log(stored.document, answer, outcome)
        return outcome

    def _changed(self, document: Document, change: Callable[[Document], Document]) -> Document:
        after, replayed = change(document), self._call.request.replayed
        return after if replayed is None else noted(after, replayed, clock.now())

    async def _acted_on(self, stored: Stored) -> Stored | None:
        """Return a record as people left it since it was read; None if anything else changed it."""
        document = stored.document
        found = await threads.DATABASE.run(self._records.with_ids, [document["id"]])
        if not found or record.tries(found[0].document) != record.tries(document):
            return None
        newest = found[0]
        if newest.document.get(HISTORY) == document.get(HISTORY):
            return None
        proof = record.proof(document)  # which this call may have adopted
        return replace(newest, document=record.bound_to(newest.document, proof)) if proof else newest

    def _failure(self, document: Document, lane: Lane, answer: Answer, moment: datetime) -> Failure:
        policy = lane.policy.retry(self._call.request.policy)
        stream = policy.error_stream(answer.code)
        said = answer.said if lane.policy.answers != "none" else ""
        if answer.overloaded:
            rest = timedelta(seconds=self._limits.rest(lane.name))
            reason = answer.reason + NOT_COUNTED
            return Failure(answer.code, reason, stream, moment + rest, answer.sent, said, counts=False)
        if lane.policy.holds_unknown and (answer.sent == "unknown" or answer.code == _GATEWAY_TIMEOUT):
            reason = f"{answer.reason}; it {HOLD_REASON}"
            return Failure(answer.code, reason, stream, None, answer.sent, said, is_held=True)
        attempts = record.attempts(document) + (answer.sent != "no")
        tries = record.tries(document) + 1
        following = policy.next_attempt(answer.code, attempts, tries, moment, answer.retry_after)
        return Failure(answer.code, answer.reason, stream, following, answer.sent, said)


def _judged(policy: Policy, answer: Answer) -> Answer:
    """Return an answer with what the target's policy says of it: whether it is a success."""
    assert policy.success is not None  # noqa: S101 - else there is nothing to judge by
    if not answer.is_whole and "body" in policy.success.text:
        return _untold(answer, "its body was not read, since it is longer than 64 KiB, or broke off")
    try:
        if policy.judges(int(answer.code), answer.headers, _body(answer)):
            return replace(answer, verdict=True)
    except PolicyFailed as error:
        return _untold(answer, str(error))
    return _unsuccessful(answer, f", which policy {policy.name!r} does not call a success")


def _untold(answer: Answer, why: str) -> Answer:
    return _unsuccessful(answer, f"; whether it is a success can't be told: {why}")


def _unsuccessful(answer: Answer, added: str) -> Answer:
    reason = answer.reason or f"the target answered {answer.code}"
    return replace(answer, verdict=False, reason=reason + added)


def _body(answer: Answer) -> Any:
    """Return an answer's body: what it is as JSON, or else its text."""
    if not answer.content:
        return None
    try:
        return json_codec.parse(answer.content)
    except CallerError:
        return answer.content.decode(errors="replace")


def _outcome(after: Document) -> Outcome:
    """Return what a call has done with a record that it leaves so."""
    if after["status"] == record.SUCCESS:
        return Outcome.SUCCEEDED
    if after["status"] == record.FILTERED:
        return Outcome.FILTERED
    return Outcome.DEAD if after.get("dead") or record.is_finished(after) else Outcome.FAILED


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
