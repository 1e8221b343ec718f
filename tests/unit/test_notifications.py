"""News are published once in an interval, and forgotten only when that is done."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.model.errors import DependencyDown
from shared.monitoring.call_stats import CallStats
from shared.monitoring.notifications import Notifications
from shared.settings import Settings

CONFIG = {
    "DATABASE_DSN": "sqlite:x",
    "VAULT_OCID": "v",
    "VAULT_KEY_OCID": "k",
    "VAULT_COMPARTMENT_OCID": "c",
    "NOTIFICATION_TOPIC_OCID": "ocid1.topic",
}
SETTINGS = Settings.from_config(CONFIG)


class Killed(BaseException):
    """What ends a process."""


class Topic:
    """SmallDocuments the titles of messages; fails as it is told."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.failure: BaseException | None = None

    def call(self, *arguments: Any) -> None:
        self.titles.append(arguments[-1].title)
        if self.failure is not None:
            raise self.failure


class Teller:
    """Notifications over a real collection, with a clock of its own."""

    def __init__(self, path: Path):
        self.topic = Topic()
        self.now = datetime(2026, 11, 25, tzinfo=UTC)
        notes = SmallDocuments(Database(f"sqlite:{path / 'notes.db'}", "", str), "c")
        self._notices = Notifications(self.topic, notes, SETTINGS, lambda: self.now)  # type: ignore[arg-type]  # its call

    def notify(self, failed: int = 0, minutes: float = 0, **options: bool) -> None:
        """Tell of so many failures, so many minutes later."""
        self.now += timedelta(minutes=minutes)
        seen = CallStats()
        seen.newly_failed = failed
        seen.new.update({"503 at erp.example.com:443": failed} if failed else {})
        self._notices.notify(seen, "call", **options)


@pytest.fixture
def teller(tmp_path: Path) -> Teller:
    return Teller(tmp_path)


def title(failed: int) -> str:
    return f"Data Sync: {failed} failed, 0 dead"


def test_what_comes_within_the_interval_is_added_up(teller: Teller) -> None:
    for minutes in (0, 1, 1):
        teller.notify(2, minutes)
    assert teller.topic.titles == [title(2)]
    teller.notify(0, 4)  # a call without news of its own
    assert teller.topic.titles == [title(2), title(4)]
    teller.notify(0, 60)
    assert len(teller.topic.titles) == 2


def test_what_a_killed_process_was_about_to_publish_is_told_by_another(teller: Teller) -> None:
    teller.topic.failure = Killed()
    with pytest.raises(Killed):
        teller.notify(3)
    teller.topic.failure = None
    teller.notify(1, 0.5)  # it may yet live
    assert len(teller.topic.titles) == 1
    teller.notify(0, 5)
    assert teller.topic.titles == [title(3), title(4)]
    teller.notify(0, 60)
    assert len(teller.topic.titles) == 2


def test_what_could_not_be_published_is_told_later(teller: Teller) -> None:
    teller.topic.failure = DependencyDown("down")
    teller.notify(3)
    teller.topic.failure = None
    teller.notify(0, 6)
    assert teller.topic.titles[1:] == [title(3)]


def test_without_time_to_publish_the_news_wait(teller: Teller) -> None:
    teller.notify(3, publishing=False)
    assert teller.topic.titles == []
    teller.notify(0)
    assert teller.topic.titles == [title(3)]


def test_more_often_than_a_topic_sends_is_refused() -> None:
    with pytest.raises(Exception, match="NOTIFICATION_INTERVAL must be at least 10s"):
        Settings.from_config(CONFIG | {"NOTIFICATION_INTERVAL": "9s"})
