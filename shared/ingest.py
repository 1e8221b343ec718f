"""The use case of store-data: check what a caller sends, keep its token, insert its records."""

from dataclasses import dataclass
from typing import Any

from shared import allowlist, inbound, jsontext, record
from shared.collection import Records
from shared.errors import NotFound, TooLarge
from shared.settings import Settings
from shared.vault import TokenVault


@dataclass(frozen=True)
class Ingest:
    """Keeps records; one instance serves a process's calls."""

    settings: Settings
    records: Records
    vault: TokenVault

    def store(self, body: bytes, token: str | None) -> dict[str, Any]:
        """Keep the record or records in `body`, sent with `token` in Authorization; return the answer.

        The token is kept first: a record is never stored that names a token which isn't there. All records
        of an array are stored or none.
        """
        if len(body) > self.settings.body_limit:
            raise TooLarge(f"The body has {len(body)} bytes; send at most {self.settings.body_limit}.")
        batch = inbound.parse(body, has_token=bool(token), target_refusal=self._target_refusal)
        if token:
            for name in batch.secret_names():
                self.vault.claim(name, token)
        documents = [record.stored(members, len(jsontext.dump(members))) for members in batch.records]
        self.records.insert(documents)
        answers = [_answer(document) for document in documents]
        return {"records": answers} if batch.is_array else answers[0]

    def state(self, identity: str) -> dict[str, Any]:
        """Return the state of one record: without token, payload and headers."""
        document = self.records.get(identity)
        if document is None:
            raise NotFound(f"There is no record {identity[:50]!r}.")
        return record.shown(document)

    def _target_refusal(self, url: allowlist.TargetUrl) -> str | None:
        return allowlist.refusal(url, self.settings.allowed_targets, self.settings.allowed_networks)


def _answer(document: record.Document) -> dict[str, Any]:
    return {name: document[name] for name in ("id", "status", "createdDate")}
