"""The use case of store-data: validate what a caller sends, keep its token, insert its records."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.drivers import logs
from shared.drivers.database import Taken
from shared.ingest import connector_hub, validation
from shared.ingest.validation import Conditions
from shared.model import json_codec, record, targets
from shared.model.codes import INVALID
from shared.model.credentials import describes_client
from shared.model.errors import Conflict, DependencyDown, Fault, Invalid, NotFound, TooLarge
from shared.model.record import MACHINERY, Document, IdempotencyKey
from shared.monitoring.call_stats import CallStats
from shared.settings import Settings

_MOST_RACES = 8
_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}")


class RecordStore(Protocol):
    """The records of storage, as far as they are used here."""

    def insert(self, documents: Sequence[Document]) -> None:
        """Store new records, all or none; Taken if another request has used a key of theirs."""

    def get(self, identity: str) -> Document | None:
        """Return the record with this id."""

    def received(self, key: str) -> list[Document]:
        """Return the records that one request has stored under an idempotency key, in their order."""

    def already_received(self, places: Collection[str]) -> dict[str, Document]:
        """Return the records with these idempotency keys, by key."""


class TokenStore(Protocol):
    """The callers' tokens, as far as they are used here."""

    def claim(self, name: str, token: str) -> None:
        """Keep a token under a new name, or prove by it the right to use the name."""


class Notifier(Protocol):
    """What tells operators of failures, as far as it is used here."""

    def notify(self, seen: CallStats, call: str, *, publishing: bool = True) -> None:
        """Publish what failed, or keep it for a later call to publish."""


@dataclass(frozen=True)
class StoreRequest:
    """One call of `/store`: its body, and what came along with it."""

    body: bytes
    token: str | None = None
    """The target's token, as it stood in Authorization."""
    idempotency_key: str | None = None
    is_direct: bool = False
    """Whether the function was invoked without the gateway, as Connector Hub does."""


@dataclass(frozen=True)
class StoreResult:
    """The answer to a request, and whether its records are new or were stored before."""

    answer: dict[str, Any]
    is_new: bool


@dataclass(frozen=True)
class IngestService:
    """Stores records; one instance serves a process's calls."""

    settings: Settings
    records: RecordStore
    vault: TokenStore
    notifications: Notifier

    def store(self, request: StoreRequest) -> StoreResult:
        """Store the record or records in a request's body: all of an array, or none.

        Tokens are kept first: no record is ever stored that names a token which isn't there. If the same
        body was stored before under the same idempotency key, that answer is given again; Conflict if it
        was another body. Only a batch from Connector Hub (`is_direct`) may name secrets without their tokens.
        """
        _check_headers(request)
        if len(request.body) > self.settings.body_limit:
            raise TooLarge(
                f"The body has {len(request.body)} bytes; send at most {self.settings.body_limit}."
            )
        value = json_codec.parse(request.body)
        if connector_hub.is_batch(value):
            secrets = self.settings.connector_hub_secrets if request.is_direct else frozenset()
            stored = self._store_messages(value, Conditions(self._target_refusal, hub_secrets=secrets))
            return StoreResult(_answer(stored, is_array=True), is_new=True)
        return self._store_records(value, request)

    def state(self, identity: str) -> dict[str, Any]:
        """Return the state of one record: everything but token, payload and headers."""
        document = self.records.get(identity)
        if document is None:
            raise NotFound(f"There is no record {identity[:50]!r}.")
        return record.public_view(document)

    def _store_records(self, value: Any, request: StoreRequest) -> StoreResult:
        conditions = Conditions(self._target_refusal, has_token=bool(request.token))
        read = validation.read(value, conditions)
        if request.token:
            for name in read.secret_names():
                self.vault.claim(name, request.token)
        key = None
        if request.idempotency_key is not None:
            key = IdempotencyKey.of(request.idempotency_key, request.body)
        documents = [
            record.new(members, key.members(place) if key else None)
            for place, members in enumerate(read.records)
        ]
        try:
            self.records.insert(documents)
        except Taken:
            if key is None:
                raise
            return StoreResult(_answer(self._stored_before(key), read.is_array), is_new=False)
        return StoreResult(_answer(documents, read.is_array), is_new=True)

    def _stored_before(self, key: IdempotencyKey) -> list[Document]:
        documents = self.records.received(key.digest)
        if not documents or documents[0][MACHINERY]["digest"] != key.body_digest:
            raise Conflict(
                "This Idempotency-Key was used before with another body; nothing was stored. Use a new key"
                " for a new request."
            )
        return documents

    def _store_messages(self, items: list[dict[str, Any]], conditions: Conditions) -> list[Document]:
        """Store those messages of a batch that are new: the Hub repeats what it got no answer for."""
        documents = dict(self._document(item, conditions) for item in items)
        for _ in range(_MOST_RACES):
            known = self.records.already_received(documents)
            new = [document for key, document in documents.items() if key not in known]
            try:
                if new:
                    self.records.insert(new)
            except Taken:  # another delivery of the same messages was faster
                continue
            self._notify_of_set_aside(new)
            return [known.get(key, document) for key, document in documents.items()]
        raise DependencyDown(
            "Other requests are storing the same messages; nothing was stored. Repeat the request later."
        )

    def _document(self, item: dict[str, Any], conditions: Conditions) -> tuple[str, Document]:
        """Return a message's idempotency key and its document: a new record, or one that is set aside."""
        message = connector_hub.read(item, conditions)
        key = IdempotencyKey.of(message.name, str(item["value"]).encode()).members(0)
        if message.fault:
            stream = self.settings.retry_policy().error_stream(INVALID)
            return key["ingest"], record.set_aside(item, message.fault, stream, key)
        return key["ingest"], record.new(message.members, key)

    def _notify_of_set_aside(self, new: Sequence[Document]) -> None:
        """Have the next call of process-data notify operators of the messages that were set aside."""
        stats = CallStats()
        stats.record_set_aside(sum(document["status"] == record.FAILED for document in new))
        if stats.dead:
            self.notifications.notify(stats, logs.call_id.get(), publishing=False)

    def _target_refusal(self, url: targets.TargetUrl) -> str | None:
        return targets.refusal(url, self.settings.allowed_targets, self.settings.allowed_networks)


def _check_headers(request: StoreRequest) -> None:
    faults = []
    if request.idempotency_key is not None and not _IDEMPOTENCY_KEY.fullmatch(request.idempotency_key):
        faults.append(Fault("", "has an Idempotency-Key that is not 1 to 255 visible ASCII characters"))
    if request.token and describes_client(request.token):
        faults.append(Fault("", "has an Authorization that begins with {; only operators keep credentials"))
    if faults:
        raise Invalid.of(faults, "nothing was stored")


def _answer(documents: Sequence[Document], is_array: bool) -> dict[str, Any]:
    answers = [{name: document[name] for name in ("id", "status", "createdDate")} for document in documents]
    return {"records": answers} if is_array else answers[0]
