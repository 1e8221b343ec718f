"""The use case of store-data: check what a caller sends, keep its token, insert its records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared import allowlist, inbound, jsontext, record
from shared.collection import Records
from shared.database import Taken
from shared.errors import Conflict, Fault, Invalid, NotFound, TooLarge
from shared.record import MACHINERY, Document, Origin
from shared.settings import Settings
from shared.vault import TokenVault

_KEY = re.compile(r"[ -~]{1,255}")


@dataclass(frozen=True)
class Kept:
    """The answer to a request, and whether its records are new or were stored before."""

    answer: dict[str, Any]
    is_new: bool


@dataclass(frozen=True)
class Ingest:
    """Keeps records; one instance serves a process's calls."""

    settings: Settings
    records: Records
    vault: TokenVault

    def store(self, body: bytes, token: str | None, key: str | None = None) -> Kept:
        """Keep the record or records in `body`, sent with `token` in Authorization.

        The token is kept first: a record is never stored that names a token which isn't there. All records
        of an array are stored or none. What was stored before under the same idempotency key is answered
        again; Conflict where that was another body.
        """
        _check_key(key)
        if len(body) > self.settings.body_limit:
            raise TooLarge(f"The body has {len(body)} bytes; send at most {self.settings.body_limit}.")
        batch = inbound.parse(body, has_token=bool(token), target_refusal=self._target_refusal)
        if token:
            for name in batch.secret_names():
                self.vault.claim(name, token)
        origin = None if key is None else Origin.of(key, body)
        documents = [
            record.stored(members, len(jsontext.dump(members)), origin.members(place) if origin else None)
            for place, members in enumerate(batch.records)
        ]
        try:
            self.records.insert(documents)
        except Taken:
            if origin is None:
                raise
            return Kept(_answer(self._stored_before(origin), batch.is_array), is_new=False)
        return Kept(_answer(documents, batch.is_array), is_new=True)

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

    def _target_refusal(self, url: allowlist.TargetUrl) -> str | None:
        return allowlist.refusal(url, self.settings.allowed_targets, self.settings.allowed_networks)


def _check_key(key: str | None) -> None:
    if key is not None and not _KEY.fullmatch(key):
        raise Invalid(
            "1 rule(s) broken; nothing was stored.",
            [Fault("", "was sent with an Idempotency-Key that is not 1 to 255 visible ASCII characters")],
        )


def _answer(documents: Sequence[Document], is_array: bool) -> dict[str, Any]:
    answers = [{name: document[name] for name in ("id", "status", "createdDate")} for document in documents]
    return {"records": answers} if is_array else answers[0]
