"""Tokens are pruned only where nothing has used them for long, as far back as that is known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.drivers.oci import Refused
from shared.model.ids import timestamp
from shared.operations import maintenance
from shared.operations.pruner import Pruner
from shared.settings import Settings
from shared.storage.readings import FRESH_SECONDS
from shared.storage.vault import KeptSecret
from tests.unit.maintaining import CONFIG, Work

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=91), NOW - timedelta(days=89)


@dataclass
class Vault:
    """What is asked of the vault, and in which order; some it refuses."""

    secrets: list[KeptSecret]
    refuses: tuple[str, ...] = ()
    calls: list[tuple[str, str]] = field(default_factory=list)

    def kept(self) -> list[KeptSecret]:
        return self.secrets

    def schedule_deletion(self, secret: KeptSecret) -> None:
        self._called("schedule", secret)

    def cancel_deletion(self, secret: KeptSecret) -> None:
        self._called("cancel", secret)

    def _called(self, what: str, secret: KeptSecret) -> None:
        self.calls.append((what, secret.name))
        if secret.name in self.refuses:
            raise Refused(409)


@dataclass
class Records:
    """Which names are needed; more come while somebody waits."""

    needed: set[str] = field(default_factory=set)
    since: set[datetime] = field(default_factory=set)

    def names_secret(self, name: str, since: datetime) -> bool:
        self.since.add(since)
        return name in self.needed


class Pruning:
    """Maintenance of tokens alone, whose uses have been noted for long."""

    def __init__(self, path: Path, *secrets: KeptSecret):
        self.work = Work(path / "records.db")
        self.work.now = OLD
        self.vault, self.records = Vault(list(secrets)), Records()
        self.run()
        self.vault.calls.clear()
        self.work.now = NOW

    @property
    def pruner(self) -> Pruner:
        return Pruner(Settings.from_config(CONFIG), self.records, self.vault)

    def run(self, *, dry_run: bool = False) -> int:
        """Run it; how many deletions were scheduled."""
        scheduled: int = self.work.run(self.pruner, dry_run=dry_run)["secretsDeleted"]
        return scheduled

    def remember(self, **members: Any) -> None:
        held = self.work.lease()
        assert held.take(0.0)
        held.remember(**members)
        held.release()


def secret(name: str = "erp", created: datetime = OLD, *, leaving: bool = False) -> KeptSecret:
    return KeptSecret(f"ocid1.{name}", name, created - timedelta(days=1), leaving)


@pytest.fixture
def pruning(tmp_path: Path) -> Callable[..., Pruning]:
    return lambda *secrets: Pruning(tmp_path, *secrets)


def test_the_deletion_of_an_idle_token_is_scheduled(pruning: Callable[..., Pruning]) -> None:
    it = pruning(secret())
    assert it.run(dry_run=True) == 1
    assert it.vault.calls == []
    assert it.run() == 1
    assert it.vault.calls == [("schedule", "erp")]
    assert it.records.since == {NOW - timedelta(days=90)}


def test_a_young_one_stays_and_so_does_one_that_is_needed(pruning: Callable[..., Pruning]) -> None:
    it = pruning(secret("young", YOUNG + timedelta(days=1)), secret("needed"))
    it.records.needed = {"needed"}
    assert it.run() == it.run(dry_run=True) == 0
    assert it.vault.calls == []


def test_one_that_is_on_its_way_out_is_left_so_though_it_is_needed(pruning: Callable[..., Pruning]) -> None:
    """An operator may have scheduled it: the token may have become known to others."""
    it = pruning(secret("a", leaving=True), secret("b", leaving=True))
    it.records.needed = {"b"}
    assert it.run() == 0
    assert it.vault.calls == []


def test_one_that_is_used_in_that_moment_is_kept(pruning: Callable[..., Pruning]) -> None:
    it = pruning(secret("a"), secret("b"))
    it.work.sleep = lambda _: it.records.needed.add("a")
    assert it.run() == 1
    assert it.vault.calls == [("schedule", "a"), ("schedule", "b"), ("cancel", "a")]


def test_the_second_look_comes_when_no_proof_is_remembered_any_more(pruning: Callable[..., Pruning]) -> None:
    it = pruning(secret())
    pauses: list[float] = []
    it.work.sleep = pauses.append
    it.run()
    assert min(pauses) > FRESH_SECONDS
    it.vault.secrets = []
    pauses.clear()
    it.run()
    assert pauses == []


def test_what_vault_refuses_of_one_keeps_it_from_no_other(pruning: Callable[..., Pruning]) -> None:
    it = pruning(secret("a"), secret("b"))
    it.vault.refuses = ("a",)
    assert it.run() == 1
    assert it.vault.calls == [("schedule", "a"), ("schedule", "b")]
    it.work.now += timedelta(days=91)
    it.vault.refuses = ()

    def used(_seconds: float) -> None:
        it.records.needed.add("b")
        it.vault.refuses = ("b",)

    it.work.sleep = used
    assert it.run() == 2  # b's deletion could not be cancelled


def test_a_use_that_has_left_for_the_archive_counts(pruning: Callable[..., Pruning]) -> None:
    it = pruning(secret())
    it.remember(lastUses={"erp": timestamp(YOUNG)})
    assert it.run() == 0
    it.work.now += timedelta(days=2)
    assert it.run() == 1


def test_a_use_is_known_from_the_archiver_to_the_pruner(tmp_path: Path) -> None:
    """Stored with and archived, it stands nowhere but in what maintenance remembers."""
    it = Pruning(tmp_path, secret())
    it.work.finished(1, vaultSecretName="erp")
    it.work.now = datetime.now(UTC) + timedelta(days=89)
    it.work.run(it.work.archiver)
    assert it.run() == 0
    it.work.now += timedelta(days=2)
    assert it.run() == 1


def test_nothing_is_pruned_before_uses_have_been_noted_for_long(tmp_path: Path) -> None:
    """What was archived by an older version, or before the database was made anew, is not known."""
    it = Pruning(tmp_path, secret())
    it.remember(usesNotedSince=None)
    assert it.run(dry_run=True) == it.run() == 0
    it.work.now += timedelta(days=89)
    assert it.run() == it.run(dry_run=True) == 0
    it.work.now += timedelta(days=2)
    assert it.run(dry_run=True) == it.run() == 1


def test_a_deletion_that_an_operator_cancels_is_not_scheduled_again_soon(
    pruning: Callable[..., Pruning],
) -> None:
    it = pruning(secret())
    assert it.run() == 1
    it.work.now += timedelta(days=89)
    assert it.run() == 0
    it.work.now += timedelta(days=2)
    assert it.run() == 1


def test_uses_that_are_too_old_to_matter_are_forgotten(pruning: Callable[..., Pruning]) -> None:
    it = pruning(secret("a"))
    uses = {"b": timestamp(OLD), "c": timestamp(YOUNG)}
    it.remember(lastUses=uses)
    it.run()
    assert it.work.lease().memory()["lastUses"] == {
        "a": timestamp(NOW),
        "c": timestamp(YOUNG),
    }


def test_without_time_the_rest_is_left_to_the_next_run(
    pruning: Callable[..., Pruning], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = pruning(secret("a"), secret("b"))
    schedule = it.vault.schedule_deletion

    def slow(one: KeptSecret) -> None:
        schedule(one)
        monkeypatch.setattr(maintenance, "_NEEDED_SECONDS", 1000.0)

    it.vault.schedule_deletion = slow  # type: ignore[assignment]  # it takes all the time
    answer = it.work.run(it.pruner)
    assert (answer["secretsDeleted"], answer["endOfWork"]) == (1, False)
    assert it.vault.calls == [("schedule", "a")]
