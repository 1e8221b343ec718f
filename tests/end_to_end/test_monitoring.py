"""What operators are told: metrics, messages, log lines, traces. docs/operating.md names all of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import local.emulators.soda
from local.emulators.identity import TOPIC_OCID
from local.emulators.oci.journal import Journal
from shared.drivers import logs
from shared.model import ids
from tests.end_to_end.bundle import COLLECTION, Bundle, running


@pytest.fixture(scope="module")
def _telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    settings = {
        "NOTIFICATION_TOPIC_OCID": TOPIC_OCID,
        "METRICS_NAMESPACE": "datasync_test",
        "LOG_LEVEL": "debug",
    }
    with running(tmp_path_factory.mktemp("telling"), **settings) as bundle:
        yield bundle


@pytest.fixture
def told(_telling: Bundle) -> Bundle:
    """A bundle that tells everything, without any record."""
    _telling.reset()
    for journal in _telling.home.glob("*/*.jsonl"):
        journal.unlink()
    return _telling


def later(bundle: Bundle) -> None:
    """Let the last message be an hour old."""
    with local.emulators.soda.connect(bundle.database) as connection:
        connection.autocommit = True
        documents = connection.getSodaDatabase().openCollection(f"{COLLECTION}_notes")
        found = documents.find().filter({"name": "notices"}).getOne()
        hour_ago = ids.timestamp(datetime.now(UTC) - timedelta(hours=1))
        documents.find().key(found.key).replaceOne({**found.getContent(), "last": hour_ago})


def journal(bundle: Bundle, name: str) -> list[dict[str, Any]]:
    paths = list(bundle.home.rglob(f"{name}.jsonl"))
    return Journal(paths[0]).entries() if paths else []


def test_a_call_posts_its_metrics_once(told: Bundle) -> None:
    told.store([told.record(f"/ok/{n}") for n in range(3)])
    told.stored("/status/404")
    told.stored("/status/503")
    told.process()
    told.stored("/ok/later")
    assert told.oci_calls()["monitoring.post_metric_data"] == 1
    posted = {
        (one["name"], one["dimensions"].get("target")): one["datapoints"][0]["value"]
        for one in journal(told, "metrics")
    }
    host = told.target_url.removeprefix("http://")
    assert posted.pop(("latency_p50_ms", None)) > 0
    assert posted.pop(("latency_p99_ms", None)) >= posted.pop(("latency_p95_ms", None)) > 0
    assert posted.pop(("oldest_due_seconds", None)) < 60
    assert posted == {
        ("delivered", None): 3,
        ("failed", None): 2,
        ("dead", None): 1,
        ("skipped", None): 0,
        ("backlog", None): 1,  # the 503, due again at once
        ("resting_targets", None): 0,
        ("target_delivered", host): 3,
        ("target_failed", host): 2,
    }
    assert all(one["dimensions"]["collection"] for one in journal(told, "metrics"))


def test_a_target_that_rests_is_among_the_metrics_of_each_call(tmp_path: Path) -> None:
    settings = {"METRICS_NAMESPACE": "datasync_test", "RETRY_BACKOFF": "1s..6h"}
    with running(tmp_path, **settings) as bundle:
        bundle.stored("/retry-after/3600")
        bundle.process()
        bundle.process()  # which has nothing to do
        posted = journal(bundle, "metrics")
        host = bundle.target_url.removeprefix("http://")
    values = [one["datapoints"][0]["value"] for one in posted if one["name"] == "resting_targets"]
    rests = [one for one in posted if one["name"] == "target_rest_seconds"]
    assert values == [1, 1]
    assert [one["dimensions"]["target"] for one in rests] == [host, host]
    assert all(3500 < one["datapoints"][0]["value"] <= 3600 for one in rests)


def test_new_failures_of_a_call_are_one_message(told: Bundle) -> None:
    told.store([told.record("/status/404"), told.record("/status/503/a"), told.record("/status/503/b")])
    told.process()
    (message,) = journal(told, "messages")
    assert message["title"] == "Data Sync: 3 failed, 1 dead"
    host = told.target_url.removeprefix("http://")
    assert f"2 x 503 at {host}" in message["body"]
    assert "GET /process" in message["body"]
    later(told)
    told.retry()  # the same fail again, and are not dead: no news
    assert len(journal(told, "messages")) == 1
    told.retry()  # now they die
    assert journal(told, "messages")[-1]["title"] == "Data Sync: 0 failed, 2 dead"


def test_a_message_that_could_not_be_published_is_told_with_the_next(told: Bundle) -> None:
    told.fault("notifications.publish_message", status=503, code="ServiceUnavailable", times=None)
    told.stored("/status/404/first")
    assert told.process()["failedMessages"] == 1
    assert journal(told, "messages") == []
    told.clear_oci()
    later(told)
    told.process()  # which has no news of its own
    (message,) = journal(told, "messages")
    assert message["title"] == "Data Sync: 1 failed, 1 dead"


def test_repeats_are_held_back_and_counted(told: Bundle) -> None:
    for number in range(4):
        told.stored(f"/status/404/{number}")
        told.process()
    assert [one["title"] for one in journal(told, "messages")] == ["Data Sync: 1 failed, 1 dead"]
    later(told)
    told.process()
    last = journal(told, "messages")[-1]
    assert last["title"] == "Data Sync: 3 failed, 3 dead"
    assert "in 3 call(s)" in last["body"]


def test_lines_of_all_threads_name_their_call(told: Bundle) -> None:
    told.fault("monitoring", status=500, code="InternalError", times=None)
    told.process()
    lines = [json.loads(line) for line in told.logs().splitlines() if line.startswith("{")]
    assert {line["logger"] for line in lines} >= {"shared.monitoring.metrics", "shared.drivers.oci"}
    assert [line for line in lines if not line["call"]] == []


def test_without_monitoring_or_notifications_deliveries_go_on(told: Bundle) -> None:
    told.fault("monitoring", status=500, code="InternalError", times=None)
    told.fault("notifications", status=500, code="InternalError", times=None)
    told.stored("/ok")
    told.stored("/status/404")
    answer = told.process()
    assert (answer["processedmessages"], answer["failedMessages"]) == (1, 1)
    assert "the metrics could not be posted" in told.logs()
    assert "operators could not be notified" in told.logs()


def test_each_attempt_is_a_line_of_json(told: Bundle) -> None:
    failed, succeeded = told.stored("/status/503"), told.stored("/ok")
    told.process()
    lines = [json.loads(line) for line in told.logs().splitlines() if line.startswith("{")]
    about = {line["record"]: line for line in lines if "record" in line}
    assert all(set(logs.LINE) <= set(line) <= set(logs.LINE) | set(logs.EVENT) for line in lines)
    assert about[failed]["level"] == "info"
    assert about[failed]["code"] == 503
    assert about[failed]["durationMs"] >= 0
    assert about[failed]["target"] == told.target_url.removeprefix("http://")
    assert about[succeeded]["level"] == "debug"
    assert about[succeeded]["call"] == about[failed]["call"] != ""
