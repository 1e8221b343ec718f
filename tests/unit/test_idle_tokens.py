"""Tokens are deleted only where nobody needs them, looked at twice; what others do to them stands."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.drivers.oci import Refused
from shared.operations.maintenance import Maintenance
from shared.settings import Settings
from shared.storage.tokens import KeptSecret
from tests.unit.test_maintenance import CONFIG, Published

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=31), NOW - timedelta(days=29)


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

    def disown(self, secret: KeptSecret) -> None:
        self.calls.append(("disown", secret.name))


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
    work = Maintenance(settings, records, None, None, vault, None, Published(), NOW)  # type: ignore[arg-type]  # not called
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


def test_a_deletion_that_is_taken_back_at_once_is_not_counted() -> None:
    assert run(secret(OLD), [False, True])[1:] == (0, 0)


def test_a_note_of_a_deletion_that_never_was_is_forgotten() -> None:
    kept = KeptSecret("ocid1", "erp", OLD, is_leaving=False, is_ours=True)
    assert run(kept, [True]) == ([("disown", "erp")], 0, 0)


def test_what_vault_refuses_of_one_secret_keeps_it_from_no_other() -> None:
    class Refusing(Vault):
        def delete(self, secret: KeptSecret) -> None:
            super().delete(secret)
            if secret.name == "a":
                raise Refused(409)

    vault = Refusing([KeptSecret(f"ocid1.{name}", name, OLD) for name in "ab"])
    settings = Settings.from_config(CONFIG | {"EXPIRE_AFTER": "0s"})
    records = Records([False, False, False])
    work = Maintenance(settings, records, None, None, vault, None, Published(), NOW)  # type: ignore[arg-type]  # as above
    assert work.run(time.monotonic() + 60)["secretsDeleted"] == 1
    assert vault.calls == [("delete", "a"), ("delete", "b")]
