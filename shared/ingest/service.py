"""The use case of store-data: validate what a caller sends, keep its token, insert its records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.drivers import logs
from shared.drivers.database import Taken
from shared.ingest import connector_hub, validation
from shared.ingest.connector_hub import Message
from shared.ingest.protocols import Notifier, RecordStore, TokenStore
from shared.ingest.validation import Conditions
from shared.model import json_codec, record
from shared.model.codes import INVALID
from shared.model.credentials import describes_client
from shared.model.errors import Conflict, DependencyDown, Fault, Invalid, TooLarge
from shared.model.record import MACHINERY, NO_KEY, Document, IdempotencyKey
from shared.monitoring.call_stats import CallStats
from shared.settings import Settings

_MOST_RACES = 8
_GROUP = 500  # messages that are stored together
_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}")


@dataclass(frozen=True)
class StoreRequest:
    """One call of `/store`: its body, who sent it, and what came along with it."""

    body: bytes
    caller: str = ""
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
        body was stored before under the same idempotency key of the same caller, that answer is given again;
        Conflict if it was another body. A direct invocation may also bring a batch from Connector Hub, which
        the platform bounds in size.
        """
        _check_headers(request)
        if request.is_direct:
            items = json_codec.parse(request.body, connector_hub.MOST_BATCH_VALUES)
            if connector_hub.is_batch(items):
                return StoreResult(_answer(self._store_batch(items), is_array=True), is_new=True)
        if len(request.body) > self.settings.body_limit:
            raise TooLarge(
                f"The body has {len(request.body)} bytes; send at most {self.settings.body_limit}."
            )
        return self._store_records(json_codec.parse(request.body), request)

    def _store_records(self, value: Any, request: StoreRequest) -> StoreResult:
        conditions = Conditions(validation.refusal_by(self.settings), has_token=bool(request.token))
        read = validation.read(value, conditions)
        proofs = self.vault.claim_all(read.secret_names(), request.token) if request.token else {}
        key, now = None, self.records.now()
        if request.idempotency_key is not None:
            key = IdempotencyKey.of(request.caller, request.idempotency_key, request.body)
        documents = [
            record.new(
                members,
                request.caller,
                key.members(place) if key else None,
                proofs.get(members.get("vaultSecretName", "")),
                now,
            )
            for place, members in enumerate(read.records)
        ]
        documents = self._behind_what_waits(documents)
        try:
            self.records.insert(documents)
        except Taken:
            if key is None:
                raise
            return StoreResult(_answer(self._stored_before(key), read.is_array), is_new=False)
        return StoreResult(_answer(documents, read.is_array), is_new=True)

    def _behind_what_waits(self, documents: list[Document]) -> list[Document]:
        """Return records whose ids are greater than those of all that wait with their keys.

        Ids of different machines sort by their clocks, so there may be greater ones than ours.
        """
        keys = {record.key_digest(document) for document in documents} - {NO_KEY}
        newest = self.records.newest_waiting(keys, documents[0]["id"]) if keys else None
        if newest is None:
            return documents
        behind = []
        for document in documents:
            if record.key_digest(document) != NO_KEY:
                document = record.identified_after(document, newest)
                newest = document["id"]
            behind.append(document)
        return behind

    def _stored_before(self, key: IdempotencyKey) -> list[Document]:
        documents = self.records.received(key.digest)
        if not documents or documents[0][MACHINERY]["digest"] != key.body_digest:
            raise Conflict(
                "This Idempotency-Key was used before with another body; nothing was stored. Use a new key"
                " for a new request."
            )
        return documents

    def _store_batch(self, items: list[Any]) -> list[Document]:
        """Store the messages of a batch that are new: the Hub repeats a batch that it got no answer for.

        They are stored in groups: what is stored when the invocation fails is known when it is repeated.
        """
        conditions = Conditions(
            validation.refusal_by(self.settings), hub_secrets=self.settings.connector_hub_secrets
        )
        messages = connector_hub.read(items, conditions, self.settings.body_limit)
        stored: list[Document] = []
        for group in connector_hub.groups(messages, _GROUP):
            stored += self._store_messages(group)
        return stored

    def _store_messages(self, messages: Sequence[Message]) -> list[Document]:
        now = self.records.now()
        made = self._behind_what_waits([self._document(message, now) for message in messages])
        documents = {document[MACHINERY]["ingest"]: document for document in made}
        for _ in range(_MOST_RACES):
            known = self.records.already_received(documents)
            new = [document for key, document in documents.items() if key not in known]
            try:
                if new:
                    self.records.insert(new)
            except Taken:  # another invocation with the same messages was faster
                continue
            self._notify_of_set_aside(new)
            return [known.get(key, document) for key, document in documents.items()]
        raise DependencyDown("Other invocations are storing the same messages. Repeat the invocation later.")

    def _document(self, message: Message, now: datetime) -> Document:
        """Return the document of a message: a new record, or one that is set aside."""
        key = message.key.members(0)
        if not message.fault:
            return record.new(message.members, idempotency=key, moment=now)
        stream = self.settings.retry_policy().error_stream(INVALID)
        return record.set_aside(message.kept, message.fault, stream, key, now)

    def _notify_of_set_aside(self, new: Sequence[Document]) -> None:
        """Have the next call of process-data notify operators of the messages that were set aside."""
        stats = CallStats()
        stats.record_set_aside(sum(document["status"] == record.FAILED for document in new))
        if stats.dead:
            self.notifications.notify(stats, logs.call_id.get(), publishing=False)


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
