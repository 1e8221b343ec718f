"""Tokens are deleted only where nobody needs them, which is looked at twice."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.maintenance import Maintenance
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


@dataclass
class Notes:
    """Notes in memory."""

    content: dict[str, Any]

    def read(self, name: str) -> dict[str, Any]:
        return self.content

    def change(self, name: str, change: Any) -> None:
        self.content = change(self.content)


def run(
    secret: KeptSecret,
    answers: list[bool],
    *,
    ours: tuple[str, ...] = (),
    dry_run: bool = False,
    **config: str,
) -> Any:
    vault, records, notes = Vault([secret]), Records(answers), Notes({"ids": ours})
    settings = Settings.from_config(CONFIG | {"EXPIRE_AFTER": "0s"} | config)
    work = Maintenance(settings, records, None, notes, vault, None, NOW)  # type: ignore[arg-type]  # not called
    done = work.run(time.monotonic() + 60, dry_run=dry_run)
    assert ("delete", secret.name) not in vault.calls or notes.content["ids"] == [secret.ocid]
    assert all(since == NOW - timedelta(days=30) for since in records.since)
    return vault.calls, done["secretsDeleted"], done["secretsKept"]


def secret(created: datetime, *, leaving: bool = False) -> KeptSecret:
    return KeptSecret("ocid1", "erp", created, leaving)


def test_an_idle_token_is_deleted() -> None:
    assert run(secret(OLD), [False, False]) == ([("delete", "erp")], 1, 0)


@pytest.mark.parametrize(("created", "answers"), [(YOUNG, [False]), (OLD, [True])])
def test_a_young_or_needed_one_is_not(created: datetime, answers: list[bool]) -> None:
    assert run(secret(created), answers) == ([], 0, 0)


def test_a_record_that_comes_between_look_and_deletion_takes_it_back() -> None:
    assert run(secret(OLD), [False, True])[0] == [("delete", "erp"), ("keep", "erp")]


def test_one_on_its_way_out_is_kept_where_it_is_needed_again() -> None:
    assert run(secret(OLD, leaving=True), [True], ours=("ocid1",)) == ([("keep", "erp")], 0, 1)
    assert run(secret(OLD, leaving=True), [False], ours=("ocid1",)) == ([], 0, 0)


def test_a_deletion_that_an_operator_scheduled_stands() -> None:
    assert run(secret(OLD, leaving=True), [True]) == ([], 0, 0)


def test_a_dry_run_and_a_zero_change_nothing() -> None:
    assert run(secret(OLD), [False], dry_run=True) == ([], 1, 0)
    assert run(secret(OLD, leaving=True), [True], ours=("ocid1",), dry_run=True) == ([], 0, 1)
    assert run(secret(OLD), [], SECRETS_UNUSED_AFTER="0s") == ([], 0, 0)
