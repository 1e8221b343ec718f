"""Whatever was delivered, cancelled and edited: what is counted is there, and can be listed to the end."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.delivery.preview import preview
from shared.delivery.requests import retry_request
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.ingest.acts import Acts
from shared.ingest.lookup import Caller, Lookup
from shared.model import record, transitions
from shared.model.errors import Conflict
from shared.model.record import Document
from shared.model.transitions import Failure
from shared.operations.report import Report
from shared.settings import Settings
from shared.storage.audit import Audit
from shared.storage.leases import LeaseTable
from shared.storage.listing import Listing
from shared.storage.policies import PolicyStore
from shared.storage.records import Records
from tests.unit.ingest_world import CONFIG

NAME = "c"
NUMBER = 2000
HOSTS = [f"t{number}.example.com" for number in range(6)]
SETTINGS = Settings.from_config({**CONFIG, "ALLOWED_TARGETS": "*.example.com"})
OPERATOR = Caller("ops", is_operator=True)
CALLERS = ("mobile", "erp", "")


class World:
    """A collection in which a lot has happened, and what shows it."""

    def __init__(self, path: Path, seed: int):
        self.drawn = random.Random(seed)
        self.database = Database(f"sqlite:{path}", "", str)
        self.records = Records(self.database, NAME)
        self.listing = Listing(self.database, NAME)
        self.lookup = Lookup(self.records, self.listing)
        self.acts = Acts(SETTINGS, self.lookup, self.records, Audit(self.database, NAME))
        leases, documents = (
            LeaseTable(self.database, self.database, NAME, 60),
            SmallDocuments(self.database, NAME),
        )
        policies = PolicyStore(self.database, NAME)
        self.report = Report(self.records, self.listing, leases, documents, policies)
        self.moment = datetime.now(UTC)

    def fill(self) -> None:
        drawn = self.drawn
        documents = [record.new(self._members(), drawn.choice(CALLERS)) for _ in range(NUMBER)]
        self.records.insert(documents)
        for _ in range(3):
            self._attempt(drawn.sample([one["id"] for one in documents], NUMBER // 2))
            for identity in drawn.sample([one["id"] for one in documents], NUMBER // 20):
                self._act(identity)

    def _members(self) -> dict[str, Any]:
        drawn = self.drawn
        members = {
            "targetRestApi": f"https://{drawn.choice(HOSTS)}/{drawn.choice('ab')}",
            "targetRestApiOperation": "DELETE",
            "streamKey": f"key-{drawn.randrange(20)}",
            "reference": f"order-{drawn.randrange(100)}",
        }
        return {name: value for name, value in members.items() if name[0] == "t" or drawn.random() < 0.8}

    def _attempt(self, identities: list[str]) -> None:
        found = [one for one in self.records.with_ids(identities) if not record.is_finished(one.document)]
        changes = [(one, self._attempted(one.document)) for one in found]
        for start in range(0, len(changes), 100):
            assert all(self.records.write(changes[start : start + 100], self.drawn.randrange(4)))

    def _attempted(self, document: Document) -> Document:
        drawn = self.drawn
        self.moment += timedelta(microseconds=drawn.choice((0, 1)))  # several at once
        code = drawn.choice((200, 404, 429, 503, "unexpectedError"))
        if code == 200:
            return transitions.succeeded(document, 200, self.moment)
        following = None if code == 404 or drawn.random() < 0.3 else self.moment
        failure = Failure(code, "why", drawn.choice(("recoverable", "team a")), following)
        return transitions.failed(document, failure, self.moment)

    def _act(self, identity: str) -> None:
        try:
            if self.drawn.random() < 0.5:
                self.acts.cancel(identity, OPERATOR)
            else:
                body = {"targetRestApi": f"https://{self.drawn.choice(HOSTS)}/edited"}
                self.acts.edit(identity, json.dumps(body).encode(), OPERATOR)
        except Conflict:
            pass

    def truth(self) -> list[Document]:
        with self.database.collection(self.records._spec) as collection:
            return [one.getContent() for one in collection.find().getDocuments()]

    def failures(self, query: dict[str, str]) -> Iterator[str]:
        """The ids of all pages."""
        return self._all(self.report.failures, query, "failures")

    def found(self, query: dict[str, str], caller: Caller = OPERATOR) -> Iterator[str]:
        return self._all(lambda asked: self.lookup.search(asked, caller), query, "records")

    def _all(
        self, ask: Callable[[dict[str, str]], dict[str, Any]], query: dict[str, str], member: str
    ) -> Iterator[str]:
        asked = {**query, "limit": str(self.drawn.randint(1, 100))}
        while True:
            page = ask(asked)
            yield from (one["id"] for one in page[member])
            if page["next"] is None:
                return
            asked["after"] = page["next"]


@pytest.fixture(params=range(2))
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("shared.storage.listing.SEARCHED", 150)  # so that filters end pages early
    made = World(tmp_path / "records.db", request.param)
    made.fill()
    yield made
    made.database.close()


def of(documents: list[Document], **equal: Any) -> list[str]:
    return sorted(
        one["id"] for one in documents if all(one.get(name) == value for name, value in equal.items())
    )


def test_the_report_counts_what_is_there(world: World) -> None:
    truth, shown = world.truth(), world.report.read()
    failed = [one for one in truth if one["status"] == "failed"]
    statuses = Counter(one["status"] for one in truth)
    dead = sum(bool(one.get("dead")) for one in truth)
    assert statuses["cancelled"] > 100
    expected = {
        name: statuses[name] for name in ("not_processed", "success", "filtered", "cancelled", "failed")
    }
    assert shown["counts"] == {**expected, "dead": dead, "held": 0}
    assert shown["failed"] == {
        "byCode": Counter(str(one["status_code"]) for one in failed),
        "byStream": Counter(one["error_stream"] for one in failed),
        "byTarget": Counter(one["targetRestApi"].split("/")[2] + ":443" for one in failed),
    }


def test_failures_are_listed_to_the_end_by_every_filter(world: World) -> None:
    failed = [one for one in world.truth() if one["status"] == "failed"]
    at_host = [one["id"] for one in failed if one["targetRestApi"].startswith(f"https://{HOSTS[0]}/")]
    edited = [one["id"] for one in failed if one["targetRestApi"] == f"https://{HOSTS[1]}/edited"]
    some = [
        one["id"] for one in failed if one["status_code"] in (503, 429) and one["error_stream"] == "team a"
    ]
    for query, expected in (
        ({}, of(failed)),
        ({"retryCodes": "404"}, of(failed, status_code=404)),
        ({"retryCodes": "503,429", "streamOCIDToRetry": "team a"}, sorted(some)),
        ({"streamOCIDToRetry": "team a"}, of(failed, error_stream="team a")),
        ({"targetRestApi": f"https://{HOSTS[0]}/"}, sorted(at_host)),
        ({"targetRestApi": f"https://{HOSTS[1]}/edited"}, sorted(edited)),
        ({"streamKey": "key-7"}, of(failed, streamKey="key-7")),
        ({"reference": "order-7"}, of(failed, reference="order-7")),
        ({"reference": "order-8", "retryCodes": "404"}, of(failed, reference="order-8", status_code=404)),
        ({"retryCodes": "503,429"}, sorted([*of(failed, status_code=503), *of(failed, status_code=429)])),
    ):
        assert sorted(world.failures(query)) == expected, query
    by_time = {one["id"]: one["lastAttemptDate"] for one in failed}
    times = [by_time[identity] for identity in world.failures({})]
    assert times == sorted(times, reverse=True)


def test_a_search_finds_all_the_newest_first(world: World) -> None:
    truth = world.truth()
    for query, equal in (
        ({"reference": "order-3"}, {"reference": "order-3"}),
        ({"streamKey": "key-3"}, {"streamKey": "key-3"}),
        *(({"status": status}, {"status": status}) for status in ("success", "failed", "cancelled")),
    ):
        found = list(world.found(query))
        assert found == of(truth, **equal)[::-1], query
        for caller in CALLERS:
            own = [one for one in truth if one.get("caller", "") == caller]
            assert list(world.found(query, Caller(caller))) == of(own, **equal)[::-1], (query, caller)


@pytest.mark.parametrize("few", [0, 5000])
def test_a_preview_counts_what_a_replay_would_handle(
    world: World, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("shared.delivery.preview._FEW", few)
    failed = [one for one in world.truth() if one["status"] == "failed"]
    for members, matches in (
        ({"force": True}, lambda one: True),
        ({"force": True, "retryCodes": "503"}, lambda one: one["status_code"] == 503),
        ({"force": True, "reference": "order-7"}, lambda one: one.get("reference") == "order-7"),
        ({"force": True, "streamOCIDToRetry": "team a"}, lambda one: one["error_stream"] == "team a"),
        ({"retryCodes": "404"}, lambda one: one["status_code"] == 404),
    ):
        query = retry_request(json.dumps(members).encode(), SETTINGS, 1e9).query
        expected = [one for one in failed if matches(one)]
        counted = preview(world.records, query.at(datetime.now(UTC)), breakdown=True)
        assert counted.matching == len(expected), members
        assert counted.by_code == Counter(str(one["status_code"]) for one in expected), members
        hosts = Counter(one["targetRestApi"].split("/")[2] + ":443" for one in expected)
        assert counted.by_target == hosts, members
