"""What people do to a stored record, beside deliveries that are on their way."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.delivery.completer import Completer
from shared.delivery.executor import Executor, Outcome
from shared.delivery.limits import Limits
from shared.delivery.policy_watch import PolicyWatch
from shared.delivery.rescue import rescue
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.ingest.acts import Acts
from shared.ingest.lookup import Caller, Lookup
from shared.model import history, json_codec, record, transitions
from shared.model.answer import Answer
from shared.model.errors import Conflict, Forbidden, Invalid, NotFound
from shared.model.history import Act
from shared.model.lanes import Policies
from shared.model.record import MACHINERY
from shared.settings import Settings
from shared.storage import counters
from shared.storage.audit import Audit
from shared.storage.listing import Listing
from shared.storage.records import Records, Stored
from tests.unit.engine import Secrets, Target, call
from tests.unit.ingest_world import CONFIG, RECORD, SETTINGS

ANNA, OPERATOR = Caller("anna"), Caller("olga", is_operator=True)
NAME = "c"
ALLOWED = Settings.from_config(
    {**CONFIG, "ALLOWED_TARGETS": "erp.example.com,crm.example.com"}
).allowed_targets
NOW = datetime(2026, 11, 27, tzinfo=UTC)


class World:
    """A collection with what acts on it, and one engine."""

    def __init__(self, path: Path):
        self.database = Database(f"sqlite:{path}", "", str)
        self.records = Records(self.database, NAME)
        self.lookup = Lookup(self.records, Listing(self.database, NAME))
        self.audit = Audit(self.database, NAME)
        self.acts = Acts(SETTINGS, self.lookup, self.records, self.audit)

    def stored(self, caller: str = "anna", **members: Any) -> Stored:
        document = record.new(RECORD | members, caller)
        self.records.insert([document])
        return self.read(document["id"])

    def read(self, identity: str) -> Stored:
        return self.records.with_ids([identity])[0]

    def failed(self, stored: Stored, code: int = 503, following: datetime | None = NOW) -> Stored:
        failure = transitions.Failure(code, "why", "recoverable", following)
        self.records.write([(stored, transitions.failed(stored.document, failure, NOW))])
        return self.read(stored.document["id"])

    def succeeded(self, stored: Stored) -> Stored:
        self.records.write([(stored, transitions.succeeded(stored.document, 200, NOW))])
        return self.read(stored.document["id"])

    def edit(self, stored: Stored, caller: Caller = OPERATOR, **members: Any) -> dict[str, Any]:
        return self.acts.edit(stored.document["id"], json.dumps(members).encode(), caller)

    def cancel(self, stored: Stored, caller: Caller = ANNA) -> dict[str, Any]:
        return self.acts.cancel(stored.document["id"], caller)

    def finished(self) -> dict[str, int]:
        return counters.finished(SmallDocuments(self.database, NAME).all())

    def failures_today(self) -> int:
        days = counters.last_day(SmallDocuments(self.database, NAME).all(), NOW)
        return sum(int(hour["failed"]) for hour in days)

    async def deliver(self, stored: Stored, answer: Answer) -> Outcome:
        """Deliver a record as it was read before, to a target that gives this answer."""

        async def write(changes: Any) -> list[bool]:
            return self.records.write(changes)

        completer = Completer(write, lambda: 0.0)
        its = call()
        executor = Executor(
            *(its, self.records, Secrets(), Target(lambda _: answer), completer, Limits(its.settings))
        )
        try:
            return await executor.execute(await executor.prepare(stored))
        finally:
            executor.close()
            await completer.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "records.db")
    yield made
    made.database.close()


# Cancelling


@pytest.mark.parametrize("state", ["new", "failed", "dead"])
def test_what_is_not_finished_can_be_cancelled_and_is_never_due_again(world: World, state: str) -> None:
    stored = world.stored(streamKey="k")
    if state != "new":
        stored = world.failed(stored, following=None if state == "dead" else NOW)
    shown = world.cancel(stored)
    assert shown["status"] == "cancelled"
    assert shown.keys().isdisjoint({"dead", "nextAttemptDate", "error_stream", "failure_reason"})
    assert [(one["act"], one["by"]) for one in shown["history"]] == [("cancelled", "anna")]
    machinery = world.read(stored.document["id"]).document[MACHINERY]
    assert machinery.keys() <= {"attempts", "size", "ended"}
    assert world.finished() == {"success": 0, "filtered": 0, "cancelled": 1}


@pytest.mark.parametrize("state", ["success", "cancelled"])
def test_what_is_finished_can_not(world: World, state: str) -> None:
    stored = world.stored()
    if state == "success":
        world.succeeded(stored)
    else:
        world.cancel(stored)
    with pytest.raises(Conflict, match=f"its status is {state}"):
        world.cancel(stored)
    with pytest.raises(Conflict, match=f"its status is {state}"):
        world.edit(stored, targetRestApiPayload={})


def test_a_source_cancels_its_own_records_only(world: World) -> None:
    stored = world.stored()
    for other in (Caller("bob"), Caller()):
        with pytest.raises(NotFound):
            world.cancel(stored, other)
    assert world.read(stored.document["id"]) == stored
    assert world.cancel(stored, OPERATOR)["history"][0]["by"] == "olga"


async def test_what_was_sent_when_it_was_cancelled_is_a_success_if_the_target_took_it(world: World) -> None:
    stored = world.stored()
    world.cancel(stored)
    assert await world.deliver(stored, Answer(200, sent="yes")) is Outcome.SUCCEEDED
    after = world.read(stored.document["id"]).document
    assert (after["status"], len(after["attempts"]), len(after["history"])) == ("success", 1, 1)
    assert world.finished() == {"success": 1, "filtered": 0, "cancelled": 0}


async def test_and_stays_cancelled_if_it_did_not(world: World) -> None:
    stored = world.stored()
    world.cancel(stored)
    assert await world.deliver(stored, Answer(503, "why", sent="yes")) is Outcome.DEAD
    after = world.read(stored.document["id"]).document
    assert (after["status"], after["status_code"], len(after["attempts"])) == ("cancelled", 503, 1)
    assert not record.is_unfinished(after)
    assert world.finished() == {"success": 0, "filtered": 0, "cancelled": 1}


async def test_what_another_worker_changed_is_not_written_over(world: World) -> None:
    stored = world.stored()
    world.failed(stored)
    world.cancel(stored)
    assert await world.deliver(stored, Answer(200, sent="yes")) is Outcome.LEFT
    assert world.read(stored.document["id"]).document["status"] == "cancelled"


async def test_nor_what_expired_meanwhile(world: World) -> None:
    stored = world.stored()
    world.records.write([(stored, transitions.expired(stored.document, "recoverable", NOW))])
    assert await world.deliver(stored, Answer(200, sent="yes")) is Outcome.LEFT
    assert world.read(stored.document["id"]).document["dead"] is True


async def test_what_was_in_flight_when_its_worker_died_says_so_though_it_is_cancelled(world: World) -> None:
    stored = world.stored()
    world.cancel(stored)
    orphaned = {stored.document["id"]: 0}
    ((_, after),) = await rescue(world.records, SETTINGS, orphaned, PolicyWatch(Policies))
    assert (after["status"], after["attempts"][0]["sent"]) == ("cancelled", "unknown")
    assert not record.is_unfinished(world.read(stored.document["id"]).document)


# Editing


async def test_an_edit_changes_what_is_sent_and_what_it_was_stays_in_the_history(world: World) -> None:
    stored = world.failed(world.stored(targetRestApiHeaders={"X-A": "1"}))
    shown = world.edit(
        *(stored,),
        targetRestApi="HTTPS://erp.example.com:443/new",
        targetRestApiPayload={"a": 2},
        targetRestApiHeaders=None,
    )
    assert shown["targetRestApi"] == "https://erp.example.com/new"
    (entry,) = shown["history"]
    assert (entry["act"], entry["by"]) == ("edited", "olga")
    assert entry["changed"] == ["targetRestApi", "targetRestApiHeaders", "targetRestApiPayload"]
    assert entry["was"] == {"targetRestApi": RECORD["targetRestApi"]}
    after = world.read(stored.document["id"]).document
    assert after["targetRestApiPayload"] == {"a": 2}
    assert "targetRestApiHeaders" not in after
    assert after["history"][0]["was"] == {
        "targetRestApi": RECORD["targetRestApi"],
        "targetRestApiPayload": RECORD["targetRestApiPayload"],
        "targetRestApiHeaders": {"X-A": "1"},
    }
    assert after[MACHINERY]["due"] == stored.document[MACHINERY]["due"]
    assert world.failures_today() == 1
    assert after[MACHINERY]["size"] >= len(json_codec.dump(after)) - 5


def test_an_edit_moves_a_record_to_its_new_target(world: World) -> None:
    settings = replace(SETTINGS, allowed_targets=ALLOWED)
    acts = replace(world.acts, settings=settings)
    stored = world.failed(world.stored())
    body = json.dumps({"targetRestApi": "https://crm.example.com/"}).encode()
    acts.edit(stored.document["id"], body, OPERATOR)
    machinery = world.read(stored.document["id"]).document[MACHINERY]
    assert (machinery["target"], machinery["at"]) == ("crm.example.com:443", "crm.example.com:443")


def test_null_is_a_payload_and_no_headers(world: World) -> None:
    stored = world.stored()
    world.edit(stored, targetRestApiPayload=None)
    assert world.read(stored.document["id"]).document["targetRestApiPayload"] is None


def test_what_changes_nothing_is_not_noted(world: World) -> None:
    stored = world.stored()
    assert "history" not in world.edit(stored, targetRestApiPayload=RECORD["targetRestApiPayload"])
    assert world.read(stored.document["id"]) == stored
    assert world.audit.entries() == []


@pytest.mark.parametrize(
    ("members", "pointers"),
    [
        ({}, [""]),
        ({"streamKey": "x", "status": "success"}, ["/status", "/streamKey"]),
        ({"targetRestApi": "https://evil.example.com/"}, ["/targetRestApi"]),
        ({"targetRestApi": None}, ["/targetRestApi"]),
        (
            {"targetRestApiHeaders": {"Host": "x", "Cookie": "y"}},
            ["/targetRestApiHeaders/Host", "/targetRestApiHeaders/Cookie"],
        ),
    ],
)
def test_an_edit_is_under_the_rules_of_storing(
    world: World, members: dict[str, Any], pointers: list[str]
) -> None:
    stored = world.stored(vaultSecretName="erp")
    with pytest.raises(Invalid) as error:
        world.edit(stored, **members)
    assert [fault.pointer for fault in error.value.faults] == pointers
    assert world.read(stored.document["id"]) == stored


def test_only_operators_edit(world: World) -> None:
    stored = world.stored()
    with pytest.raises(Forbidden):
        world.edit(stored, ANNA, targetRestApiPayload={})
    nobodys = world.stored("")
    assert world.edit(nobodys, Caller(), targetRestApiPayload={})["history"][0]["act"] == "edited"


async def test_a_delivery_that_was_on_its_way_keeps_the_edit(world: World) -> None:
    stored = world.stored()
    world.edit(stored, targetRestApiPayload={"a": 2})
    assert await world.deliver(stored, Answer(503, "why", sent="yes")) is Outcome.FAILED
    after = world.read(stored.document["id"]).document
    assert (after["status"], after["targetRestApiPayload"], len(after["attempts"])) == ("failed", {"a": 2}, 1)
    assert record.is_unfinished(after)


def test_of_two_edits_at_once_both_are_in_the_history(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = world.stored()
    original, others = world.records.write, [{"targetRestApiPayload": {"a": "other"}}]

    def write(changes: Any) -> list[bool]:
        if others:
            body = json.dumps(others.pop()).encode()
            world.acts.edit(stored.document["id"], body, Caller("otto", is_operator=True))
        return original(changes)

    monkeypatch.setattr(world.records, "write", write)
    shown = world.edit(stored, targetRestApiPayload={"a": "mine"})
    assert [one["by"] for one in shown["history"]] == ["otto", "olga"]


# History


def test_a_history_has_twenty_entries_at_most_and_a_bound_on_what_they_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document: dict[str, Any] = {}
    for number in range(25):
        act = Act("edited", f"{number}", ["p"], {"p": "x" * 100})
        document = history.noted(document, act, NOW + timedelta(seconds=number))
    assert [one["by"] for one in document["history"]] == [str(number) for number in range(5, 25)]
    assert all(one["was"] == {"p": "x" * 100} for one in document["history"])
    monkeypatch.setattr(history, "_MOST_BYTES", 250)
    document = history.noted(document, Act("cancelled"), NOW)
    assert ["was" in one for one in document["history"]] == [False] * 17 + [True, True, False]


def test_calls_of_one_walk_are_one_entry_of_the_audit(world: World) -> None:
    numbers = {"processedmessages": 3, "failedMessages": 1}
    said = {"filter": {"retryCodes": "503"}}
    for second in range(3):
        world.audit.add("replay", "olga", NOW + timedelta(seconds=second), said, numbers)
    world.audit.add("replay", "otto", NOW, said, numbers)
    world.audit.add("replay", "otto", NOW + timedelta(minutes=11), said, numbers)
    world.audit.add("cancel", "olga", NOW, {"record": "7"}, {})
    world.audit.add("cancel", "olga", NOW, {"record": "7"}, {})
    world.audit.add("replay", "olga", NOW + timedelta(hours=1), said, numbers)
    entries = world.audit.entries()
    assert [one["act"] for one in entries] == ["replay", "cancel", "cancel", "replay", "replay", "replay"]
    first = entries[-1]
    assert first == {
        "time": "2026-11-27T00:00:02.000000Z",
        "act": "replay",
        "by": "olga",
        "filter": {"retryCodes": "503"},
        "processedmessages": 9,
        "failedMessages": 3,
        "calls": 3,
    }


def test_a_filter_that_is_too_long_is_noted_by_its_members(world: World) -> None:
    ids = [f"{number:036d}" for number in range(100)]
    for said in ({"ids": ids}, {"errormapping": [{"responsecode": "503", "stream": "x" * 200}] * 1000}):
        world.audit.add("replay", "olga", NOW, {"filter": said}, {"processedmessages": 1})
    long, kept = world.audit.entries()
    assert (kept["filter"], long["filter"]) == ({"ids": ids}, {"errormapping": "too long to be kept"})


def test_the_audit_keeps_the_last_five_hundred(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.storage.audit.KEPT", 5)
    for number in range(12):
        world.audit.add("cancel", "olga", NOW, {"record": str(number)}, {})
    assert [one["record"] for one in world.audit.entries()] == ["11", "10", "9", "8", "7"]
    assert len(SmallDocuments(world.database, NAME, "audit").all()) == 5
