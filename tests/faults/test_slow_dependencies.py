"""Vault, DNS, Monitoring, Notifications, Functions, database: slow, hanging, failing for longer than a lease.

None of them may lose, double or kill a record, or let one count an attempt that was not sent.
"""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.emulators.identity import TOPIC_OCID
from tests.end_to_end.bundle import TOKEN, eventually
from tests.end_to_end.test_outages import gone, locked
from tests.faults.test_stalls import locked_now_and_then
from tests.faults.trial import LEASE_SECONDS, SampleTarget, Trial, running, sample_target

OCI_SECONDS = LEASE_SECONDS + 1  # until a call to a service is given up; longer than a lease
NEW_SECRETS = 20  # that one request may store
GIVEN_UP = "OCI secrets.get_secret_bundle_by_name failed"
HANGS: dict[str, Any] = {"delay": 60, "status": 503}
FAILURES: dict[str, dict[str, Any]] = {
    "hanging": HANGS,
    "an error": {"status": 500},
    "overload": {"status": 429},
    "no right": {"status": 401},
    "a lost connection": {"drop": "before"},
}


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Trial, Path]]:
    folder = tmp_path_factory.mktemp("dependencies")
    signers = folder / "signers"
    signers.touch()
    with sample_target() as target:
        port = target.url.rpartition(":")[2]
        names = [
            SampleTarget(f"http://*.{domain}.test:{port}")
            for domain in ("silent", "slow", "good", "missing", "failing")
        ]
        faults = {"OCI": str(OCI_SECONDS), "SIGNERS": str(signers), "NAMES": "made up", "REFUSALS": "made up"}
        faults["REST"] = "0"  # a test's hanging services are not the next one's
        settings = {
            "FAN_OUT": "4",
            "NOTIFICATION_TOPIC_OCID": TOPIC_OCID,
            "METRICS_NAMESPACE": "datasync",
        }
        with running(folder / "home", target, *names, faults=faults, **settings) as trial:
            yield replace(trial, others=[target]), signers


@pytest.fixture
def trial(_shared: tuple[Trial, Path]) -> Iterator[Trial]:
    """A bundle without any record, whose dependencies are well."""
    trial, signers = _shared
    trial.bundle.reset()
    (target,) = trial.others
    assert isinstance(target, SampleTarget)
    target.reset()
    signers.write_text("")
    yield Trial(trial.bundle, trial.own, trial.others)
    trial.bundle.clear_oci()


@pytest.fixture
def signers(_shared: tuple[Trial, Path]) -> Path:
    """The file that names the services for which nothing can be signed."""
    return _shared[1]


def store_with_tokens(trial: Trial, number: int) -> list[str]:
    """Store records each of which names a secret of its own; their ids."""
    ids = []
    for start in range(0, number, NEW_SECRETS):
        named = [
            trial.bundle.record("/ok/named", vaultSecretName=f"erp-{uuid.uuid4().hex}")
            for _ in range(start, min(start + NEW_SECRETS, number))
        ]
        ids += trial.store(named, TOKEN)
    return ids


def store_plain(trial: Trial, number: int) -> list[str]:
    return trial.store([trial.bundle.record("/ok/plain") for _ in range(number)])


def are_untouched(trial: Trial, ids: list[str]) -> bool:
    """Tell whether these records wait as they were stored."""
    found = {one["id"]: one for one in trial.bundle.documents()}
    return all(
        found[one]["status"] == "not_processed" and found[one]["datasync"]["attempts"] == 0 for one in ids
    )


def are_delivered(trial: Trial, ids: list[str]) -> bool:
    return all(one["status"] == "success" for one in trial.bundle.documents() if one["id"] in ids)


# Vault


def test_secrets_that_take_longer_than_a_lease_are_waited_for(trial: Trial) -> None:
    """They are asked for eight at once; another worker would take over if the lease lapsed meanwhile."""
    named, plain = store_with_tokens(trial, 60), store_plain(trial, 10)
    trial.bundle.fault("secrets", delay=1)
    with ThreadPoolExecutor(3) as pool:
        for call in [pool.submit(trial.call) for _ in range(3)]:
            assert call.result().status_code == 200
    trial.deliver_all()
    assert trial.assert_all_delivered() == 0
    order = [one.id for one in trial.received()]
    assert max(map(order.index, plain)) < sorted(map(order.index, named))[len(named) // 2]


def test_while_vault_hangs_records_without_tokens_are_delivered_and_the_others_wait(trial: Trial) -> None:
    named, plain = store_with_tokens(trial, 60), store_plain(trial, 10)
    trial.bundle.clear_oci()
    trial.bundle.fault("secrets", **HANGS)
    known = trial.bundle.logs().count(GIVEN_UP)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(trial.process)
        eventually(lambda: trial.own.count() == len(plain))
        assert trial.bundle.logs().count(GIVEN_UP) == known
        second = pool.submit(trial.call)
        answer = first.result()
        assert (answer["processedmessages"], answer["failedMessages"], answer["endOfStream"]) == (
            10,
            0,
            False,
        )
        assert second.result().status_code in (200, 503)
    assert are_untouched(trial, named)
    assert trial.check() == 0
    # What waits for Vault is not asked for again and again, once it is known to hang.
    assert trial.bundle.oci_calls()["secrets.get_secret_bundle_by_name"] < len(named)
    trial.bundle.clear_oci()
    trial.deliver_all()
    assert trial.assert_all_delivered() == 0


@pytest.mark.parametrize("how", [name for name in FAILURES if name != "hanging"])
def test_while_vault_fails_records_without_tokens_are_delivered_and_the_others_wait(
    trial: Trial, how: str
) -> None:
    named = store_with_tokens(trial, 20)
    store_plain(trial, 10)
    trial.bundle.fault("secrets", **FAILURES[how])
    assert trial.process()["processedmessages"] == 10
    assert trial.call().status_code == 503
    assert are_untouched(trial, named)
    trial.bundle.clear_oci()
    trial.deliver_all()
    assert trial.assert_all_delivered() == 0


def test_while_nothing_can_be_signed_the_records_that_need_vault_wait(trial: Trial, signers: Path) -> None:
    named = store_with_tokens(trial, 20)
    store_plain(trial, 10)
    signers.write_text("secrets")
    assert trial.process()["processedmessages"] == 10
    assert are_untouched(trial, named)
    signers.write_text("")
    trial.deliver_all()
    assert trial.assert_all_delivered() == 0


# DNS


@pytest.mark.parametrize("number", [6, 24])
def test_names_about_which_dns_says_nothing_hold_up_no_other_name(trial: Trial, number: int) -> None:
    (target,) = trial.others
    port = target.url.rpartition(":")[2]

    def store(domain: str, names: int) -> list[str]:
        return trial.store(
            [
                trial.bundle.record(
                    f"http://n{number}.{domain}.test:{port}/ok", streamKey=f"{domain} {number}"
                )
                for number in range(names)
                for _ in range(3)
            ]
        )

    bad = [*store("silent", number), *store("missing", 2), *store("failing", 2)]
    good = [*store("good", 8), *store("slow", 2)]
    while not are_delivered(trial, good):
        trial.process()
    records = {one["id"]: one for one in trial.bundle.documents()}
    assert not any(records[one]["datasync"]["attempts"] for one in bad)
    assert trial.check() == 0


# Monitoring and Notifications


# The last is one whose threads are not free at once for the next.
@pytest.mark.parametrize("how", [*list(FAILURES)[1:], "no signature", "hanging"])
def test_nothing_that_tells_operators_ends_a_call(trial: Trial, signers: Path, how: str) -> None:
    if how in FAILURES:
        trial.bundle.fault("monitoring", **FAILURES[how])
        trial.bundle.fault("notifications", **FAILURES[how])
    else:
        signers.write_text("monitoring ons")
    trial.store([trial.bundle.record(path) for path in (*["/ok"] * 20, "/status/404")])
    answer = trial.process()
    assert (answer["processedmessages"], answer["failedMessages"], answer["endOfStream"]) == (20, 1, True)
    assert trial.check() == 0
    calls = trial.bundle.oci_calls()
    assert ("monitoring.post_metric_data" in calls) == (how in FAILURES)
    assert ("notifications.publish_message" in calls) == (how in FAILURES)


# Functions


@pytest.mark.parametrize("how", [*FAILURES, "no signature"])
def test_a_call_whose_helpers_can_not_be_started_delivers_everything_itself(
    trial: Trial, signers: Path, how: str
) -> None:
    if how in FAILURES:
        trial.bundle.fault("functions", **FAILURES[how])
    else:
        signers.write_text("functions")
    trial.store_many(600, "/ok")
    assert trial.process(noOfMessagesToProcess=600)["processedmessages"] == 600
    assert trial.assert_all_delivered() == 0
    eventually(lambda: not trial.bundle.call("GET", "/process").json()["leases"])


# The database


def test_a_database_that_is_slow_again_and_again_loses_and_doubles_nothing(trial: Trial) -> None:
    trial.store_many(250)
    with locked_now_and_then(trial.bundle.database, 1), ThreadPoolExecutor(2) as pool:
        for call in [pool.submit(trial.call) for _ in range(2)]:
            assert call.result().status_code in (200, 503)
    trial.deliver_all()
    assert trial.assert_all_delivered() == 0


@pytest.mark.parametrize("outage", [locked, gone])
def test_a_database_that_is_away_for_longer_than_a_lease_doubles_only_what_was_in_flight(
    trial: Trial, outage: Any
) -> None:
    ids = trial.store_many(200, "/slow/200")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(trial.call)
        eventually(lambda: trial.own.count() > 20)
        with outage(trial.bundle.database):
            assert call.result().status_code in (200, 503)  # it ends by itself
    trial.is_unanswered = True  # the invocations that it started, which go on, answer nobody
    trial.deliver_all()
    assert trial.assert_all_delivered(len(ids)) <= 128


def test_an_outcome_that_the_database_refuses_harms_no_other(trial: Trial) -> None:
    """The target has taken it: the record ends as failed, and is not sent again."""
    plain = trial.store([trial.bundle.record(f"/slow/100/{number}") for number in range(126)])
    refused, behind = trial.store(
        [trial.bundle.record(f"/slow/100/{path}", streamKey="k") for path in ("refused/success", "behind")]
    )
    trial.deliver_all()
    assert are_delivered(trial, [*plain, behind])
    state = trial.bundle.state(refused)
    assert (state["status"], state["dead"]) == ("failed", True)
    assert trial.check() == 0


def test_a_record_of_which_the_database_refuses_everything_harms_no_other(trial: Trial) -> None:
    plain = trial.store([trial.bundle.record(f"/slow/100/{number}") for number in range(126)])
    refused, behind = trial.store(
        [trial.bundle.record(f"/slow/100/{path}", streamKey="k") for path in ("refused/all", "behind")]
    )
    assert trial.process()["processedmessages"] == 126
    assert are_delivered(trial, plain)
    assert are_untouched(trial, [refused, behind])
    assert {one.id for one in trial.received()} == {refused, *plain}
