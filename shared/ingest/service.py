"""The use case of store-data: check what a caller sends, keep its token, insert its records."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from shared.drivers import logs
from shared.drivers.database import Taken
from shared.ingest import connector_hub, validation
from shared.model import json_codec, record, targets
from shared.model.credentials import describes_client
from shared.model.errors import Conflict, DependencyDown, Fault, Invalid, NotFound, TooLarge
from shared.model.record import INVALID, MACHINERY, Document, Origin
from shared.monitoring.call_stats import CallStats
from shared.monitoring.notifications import Notifications
from shared.settings import Settings
from shared.storage.records import Records
from shared.storage.tokens import TokenVault

_MOST_RACES = 8
_KEY = re.compile(r"[ -~]{1,255}")


@dataclass(frozen=True)
class StoreResult:
    """The answer to a request, and whether its records are new or were stored before."""

    answer: dict[str, Any]
    is_new: bool


@dataclass(frozen=True)
class IngestService:
    """Keeps records; one instance serves a process's calls."""

    settings: Settings
    records: Records
    vault: TokenVault
    notices: Notifications

    def store(
        self, body: bytes, token: str | None, key: str | None = None, *, direct: bool = False
    ) -> StoreResult:
        """Keep the record or records in `body`, sent with `token` in Authorization.

        The token is kept first: a record is never stored that names a token which isn't there. All records
        of an array are stored or none. What was stored before under the same idempotency key is answered
        again; Conflict where that was another body. Only a batch that Connector Hub has sent, and no gateway
        (`direct`), may name secrets without their tokens.
        """
        _check_headers(token, key)
        if len(body) > self.settings.body_limit:
            raise TooLarge(f"The body has {len(body)} bytes; send at most {self.settings.body_limit}.")
        value = json_codec.parse(body)
        if connector_hub.is_batch(value):
            secrets = self.settings.connector_hub_secrets if direct else frozenset()
            return StoreResult(_answer(self._kept_messages(value, secrets), is_array=True), is_new=True)
        batch = validation.read(value, has_token=bool(token), target_refusal=self._target_refusal)
        if token:
            for name in batch.secret_names():
                self.vault.claim(name, token)
        origin = None if key is None else Origin.of(key, body)
        documents = [
            record.stored(members, len(json_codec.dump(members)), origin.members(place) if origin else None)
            for place, members in enumerate(batch.records)
        ]
        try:
            self.records.insert(documents)
        except Taken:
            if origin is None:
                raise
            return StoreResult(_answer(self._stored_before(origin), batch.is_array), is_new=False)
        return StoreResult(_answer(documents, batch.is_array), is_new=True)

    def _kept_messages(self, items: list[dict[str, Any]], secrets: Collection[str]) -> list[Document]:
        """Keep the messages of a batch that are not kept yet: the Hub repeats what it got no answer for."""
        documents = dict(self._of_message(item, secrets) for item in items)
        for _ in range(_MOST_RACES):
            known = self.records.already_received(documents)
            fresh = [document for place, document in documents.items() if place not in known]
            try:
                if fresh:
                    self.records.insert(fresh)
            except Taken:  # by another delivery of the same messages, in this moment
                continue
            self._tell(fresh)
            return [known.get(place, document) for place, document in documents.items()]
        raise DependencyDown("Others are storing the same messages; nothing was stored. Repeat it later.")

    def _tell(self, fresh: Sequence[Document]) -> None:
        """Leave word of messages that were set aside: the next call of process-data publishes it."""
        seen = CallStats()
        seen.record_set_aside(sum(document["status"] == record.FAILED for document in fresh))
        if seen.dead:
            self.notices.notify(seen, logs.call_id.get(), publishing=False)

    def _of_message(self, item: dict[str, Any], secrets: Collection[str]) -> tuple[str, Document]:
        message = connector_hub.read(item, secrets, self._target_refusal)
        size = len(json_codec.dump(item))
        origin = Origin.of(message.name, str(item["value"]).encode()).members(0)
        if message.fault:
            stream = self.settings.retry_policy().error_stream(INVALID)
            return origin["ingest"], record.set_aside(item, message.fault, stream, size, origin)
        return origin["ingest"], record.stored(message.members, size, origin)

    def _stored_before(self, origin: Origin) -> list[Document]:
        documents = self.records.received(origin.key)
        if not documents or documents[0][MACHINERY]["digest"] != origin.digest:
            raise Conflict(
                "This Idempotency-Key has been used with another body; nothing was stored. Use a new key for"
                " a new request."
            )
        return documents

    def state(self, identity: str) -> dict[str, Any]:
        """Return the state of one record: without token, payload and headers."""
        document = self.records.get(identity)
        if document is None:
            raise NotFound(f"There is no record {identity[:50]!r}.")
        return record.shown(document)

    def _target_refusal(self, url: targets.TargetUrl) -> str | None:
        return targets.refusal(url, self.settings.allowed_targets, self.settings.allowed_networks)


def _check_headers(token: str | None, key: str | None) -> None:
    faults = []
    if key is not None and not _KEY.fullmatch(key):
        faults.append(
            Fault("", "was sent with an Idempotency-Key that is not 1 to 255 visible ASCII characters")
        )
    if token and describes_client(token):
        faults.append(
            Fault("", "was sent with an Authorization that begins with {; only an operator keeps credentials")
        )
    if faults:
        raise Invalid.of(faults, "nothing was stored")


def _answer(documents: Sequence[Document], is_array: bool) -> dict[str, Any]:
    answers = [{name: document[name] for name in ("id", "status", "createdDate")} for document in documents]
    return {"records": answers} if is_array else answers[0]
