"""Connector Hub and a database that fails at any moment: each message is stored once, by the status alone."""

import base64
import json
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from shared.drivers import fdk, responses
from shared.drivers.database import Database
from shared.drivers.request import Request
from shared.drivers.responses import Response
from shared.ingest.service import IngestService, StoreRequest
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.storage.records import Records
from tests.unit.ingest_world import RECORD, SETTINGS, MemoryTokens, Told
from tests.unit.invocations import directly


@dataclass
class FailingRecords:
    """Records in a database that is away at random, before it has done something or before it says so."""

    records: Records
    chance: random.Random
    outages: int = 0

    def _maybe_away(self) -> None:
        if self.chance.random() < 0.15:
            self.outages += 1
            raise DependencyDown("The database is away.")

    def now(self) -> datetime:
        return self.records.now()

    def newest_waiting(self, keys: Collection[str], after: str) -> str | None:
        self._maybe_away()
        return self.records.newest_waiting(keys, after)

    def insert(self, documents: Sequence[Document]) -> None:
        self._maybe_away()
        self.records.insert(documents)
        self._maybe_away()

    def get(self, identity: str) -> Document | None:
        return self.records.get(identity)

    def received(self, key: str) -> list[Document]:
        return self.records.received(key)

    def already_received(self, places: Collection[str]) -> dict[str, Document]:
        self._maybe_away()
        return self.records.already_received(places)


def message(offset: int) -> dict[str, Any]:
    value = RECORD | {"number": offset} if offset % 7 else {"number": offset}
    encoded = base64.b64encode(json.dumps(value).encode()).decode()
    return {"stream": "s", "partition": "0", "offset": offset, "key": None, "value": encoded, "timestamp": 1}


@pytest.mark.parametrize("seed", range(3))
def test_each_message_of_a_hundred_batches_is_stored_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    database = Database(f"sqlite:{tmp_path / 'records.db'}", "", lambda: "")
    records = FailingRecords(Records(database, "records"), chance)
    service = IngestService(SETTINGS, records, MemoryTokens(), Told())

    def handle(request: Request) -> Response:
        return responses.ok(
            service.store(StoreRequest(request.body, is_direct=request.is_direct)).answer, 202
        )

    sent, waiting = 0, list[dict[str, Any]]()
    for _ in range(100):
        new = chance.randint(1, 30)
        waiting += [message(offset) for offset in range(sent, sent + new)]
        sent += new
        while True:  # the Hub repeats what failed, in batches of another size as it likes
            size = chance.randint(1, len(waiting))
            body = json.dumps(waiting[:size]).encode()
            if (
                directly(lambda context, data: fdk.respond(context, data, handle), body).status_for_an_invoker
                == 200
            ):
                waiting = waiting[size:]
                break
    while waiting:
        body = json.dumps(waiting).encode()
        if (
            directly(lambda context, data: fdk.respond(context, data, handle), body).status_for_an_invoker
            == 200
        ):
            waiting = []
    assert records.outages > 20
    with database.collection(records.records._spec) as collection:
        documents = [one.getContent() for one in collection.find().getDocuments()]
    stored = [document.get("number") for document in documents if document["status"] == "not_processed"]
    aside = [document["setAside"]["offset"] for document in documents if document["status"] == "failed"]
    assert sorted(stored) == [offset for offset in range(sent) if offset % 7]
    assert sorted(aside) == [offset for offset in range(sent) if not offset % 7]
