"""What others work on is left alone; tokens are deleted only where nobody needs them, looked at twice."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared import maintenance, record
from shared.collection import Records as Collection
from shared.database import Database
from shared.leases import LeaseTable
from shared.maintenance import Maintenance
from shared.notes import Notes
from shared.record import Failure
from shared.settings import Settings
from shared.vault import KeptSecret

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=31), NOW - timedelta(days=29)
CONFIG = {"DATABASE_DSN": "sqlite:x", "VAULT_OCID": "v", "VAULT_KEY_OCID": "k", "VAULT_COMPARTMENT_OCID": "c"}


@dataclass
class Vault:
    """What is called of the vault, and in which order."""

    secrets: list[KeptSecret]
    calls: list[tuple[str, str]] = field(default_factory=list)

    def kept(self) -> list[KeptSecret]:
        return self.secrets

    def delete(self, secret: KeptSecret) -> None:
        self.calls.append(("delete", secret.name))

    def take_deletion_back(self, secret: KeptSecret) -> None:
        self.calls.append(("keep", secret.name))


@dataclass
class Records:
    """Answers whether a name is needed, one answer after the other."""

    answers: list[bool]
    since: list[datetime] = field(default_factory=list)

    def names_secret(self, name: str, since: datetime) -> bool:
        self.since.append(since)
        return self.answers.pop(0)


def run(secret: KeptSecret, answers: list[bool], *, dry_run: bool = False, **config: str) -> Any:
    vault, records = Vault([secret]), Records(answers)
    settings = Settings.from_config(CONFIG | {"EXPIRE_AFTER": "0s"} | config)
    work = Maintenance(settings, records, None, None, vault, None, NOW)  # type: ignore[arg-type]  # not called
    done = work.run(time.monotonic() + 60, dry_run=dry_run)
    assert all(since == NOW - timedelta(days=30) for since in records.since)
    return vault.calls, done["secretsDeleted"], done["secretsKept"]


def secret(created: datetime, *, leaving: bool = False, ours: bool = False) -> KeptSecret:
    return KeptSecret("ocid1", "erp", created, leaving or ours, ours)


def test_an_idle_token_is_deleted() -> None:
    assert run(secret(OLD), [False, False]) == ([("delete", "erp")], 1, 0)


@pytest.mark.parametrize(("created", "answers"), [(YOUNG, [False]), (OLD, [True])])
def test_a_young_or_needed_one_is_not(created: datetime, answers: list[bool]) -> None:
    assert run(secret(created), answers) == ([], 0, 0)


def test_a_record_that_comes_between_look_and_deletion_takes_it_back() -> None:
    assert run(secret(OLD), [False, True])[0] == [("delete", "erp"), ("keep", "erp")]


def test_one_on_its_way_out_is_kept_where_it_is_needed_again() -> None:
    assert run(secret(OLD, ours=True), [True]) == ([("keep", "erp")], 0, 1)
    assert run(secret(OLD, ours=True), [False]) == ([], 0, 0)


def test_a_deletion_that_an_operator_scheduled_stands() -> None:
    assert run(secret(OLD, leaving=True), [True]) == ([], 0, 0)


def test_a_dry_run_and_a_zero_change_nothing() -> None:
    assert run(secret(OLD), [False], dry_run=True) == ([], 1, 0)
    assert run(secret(OLD, ours=True), [True], dry_run=True) == ([], 0, 1)
    assert run(secret(OLD), [], SECRETS_UNUSED_AFTER="0s") == ([], 0, 0)


class Archived:
    """An archive in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, list[str]] = {}

    def put(self, name: str, documents: list[Any]) -> None:
        self.objects[name] = [document["id"] for document in documents]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maintenance:
    """Maintenance of a real collection, in which everything is old at once, and which waits for nobody."""
    monkeypatch.setattr(maintenance, "_LEASE_SECONDS", 0.0)
    database = Database(f"sqlite:{tmp_path / 'records.db'}", "", str)
    ages = {
        "EXPIRE_AFTER": "1ms",
        "SECRETS_UNUSED_AFTER": "0s",
        "ARCHIVE_BUCKET": "b",
        "ARCHIVE_AFTER": "1ms",
    }
    settings = Settings.from_config(CONFIG | ages)
    leases, notes = LeaseTable(database, "c", 60), Notes(database, "c")
    later = datetime.now(UTC) + timedelta(hours=1)
    return Maintenance(settings, Collection(database, "c"), leases, notes, Vault([]), Archived(), later)  # type: ignore[arg-type]  # as above


def stored(work: Maintenance, number: int) -> list[Any]:
    members = {"targetRestApi": "https://a.example.com/", "targetRestApiOperation": "DELETE"}
    documents = [record.stored(members, 10) for _ in range(number)]
    work.records.insert(documents)
    return work.records.with_ids([document["id"] for document in documents])


def dead(work: Maintenance, number: int) -> list[str]:
    found = stored(work, number)
    failure = Failure(404, "why", "unrecoverable", None)
    outcomes = [(one, record.failed(one.document, failure, datetime.now(UTC))) for one in found]
    work.records.write(outcomes)
    return [one.document["id"] for one in found]


def test_what_others_work_on_neither_expires_nor_is_archived(work: Maintenance) -> None:
    waiting, gone = [one.document["id"] for one in stored(work, 40)], dead(work, 40)
    other = work.leases.take(work.leases.look(), 32)
    assert other is not None
    done = work.run(time.monotonic() + 60)
    busy = {one for one in waiting + gone if record.partition({"id": one}) in other.partitions}
    assert done["endOfWork"] is False
    assert done["expired"] == len(set(waiting) - busy) > 0
    left = {one.document["id"] for one in work.records.with_ids(waiting + gone)}
    assert left == busy | set(waiting)  # what has just expired is young
    work.leases.release(other)
    done = work.run(time.monotonic() + 60)
    assert (done["endOfWork"], done["expired"]) == (True, len(set(waiting) & busy))
    archived = [one for ids in work.archive.objects.values() for one in ids]  # type: ignore[attr-defined]  # as above
    assert sorted(archived) == sorted(gone)


def test_an_interrupted_batch_of_the_dead_waits_for_its_partitions(work: Maintenance) -> None:
    ids = dead(work, 20)
    work.notes.change("archive", lambda _: {"object": "interrupted", "kind": "dead", "ids": ids})
    other = work.leases.take(work.leases.look(), 32)
    assert other is not None
    assert work.run(time.monotonic() + 60)["endOfWork"] is False
    assert len(work.records.with_ids(ids)) == 20
    work.leases.release(other)
    assert work.run(time.monotonic() + 60)["archivedDead"] == 20
    assert work.archive.objects == {"interrupted": ids}  # type: ignore[attr-defined]  # as above
    assert work.notes.read("archive").get("ids") is None
