"""The daily call: finished records go into the archive, idle tokens out of Vault; nothing is lost."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import oci
import pytest

from local.emulators.identity import COMPARTMENT_OCID, KEY_OCID, TOPIC_OCID, VAULT_OCID
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.operations.lease import MaintenanceLease
from tests.contract.oci_server import signer
from tests.end_to_end.bundle import COLLECTION, TOKEN, Bundle, eventually, running
from tests.end_to_end.test_connector_hub import invoked, message
from tests.end_to_end.test_monitoring import journal

AT_ONCE = {
    "ARCHIVE_AFTER": "1ms",
    "SECRETS_UNUSED_AFTER": "1ms",
    "EXPIRE_AFTER": "0s",
    "RETRY_LIMIT": "1",
}


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[Bundle]:
    """A bundle in which everything is old as soon as it is finished."""
    with running(tmp_path / "home", **AT_ONCE) as bundle:
        yield bundle


def vaults(bundle: Bundle) -> Any:
    """What an operator has to do with secrets."""
    return oci.vault.VaultsClient({}, service_endpoint=bundle.oci_url, signer=signer(bundle.home))


def vault(bundle: Bundle) -> dict[str, str]:
    """The secrets of callers, and their states."""
    return {
        one.secret_name: one.lifecycle_state for one in vaults(bundle).list_secrets(COMPARTMENT_OCID).data
    }


def test_finished_and_dead_records_move_to_the_archive(aged: Bundle) -> None:
    delivered = [aged.stored(f"/ok/{n}", streamKey="a key") for n in range(3)]
    dead = aged.stored("/status/404")
    aged.process()
    waiting = aged.stored("/ok/later")
    assert aged.maintain(dryRun=True)["archived"] == 3
    assert len(aged.documents()) == 5
    assert aged.archived() == {}
    answer = aged.maintain()
    assert (answer["archived"], answer["archivedDead"], answer["endOfWork"]) == (3, 1, True)
    objects = aged.archived()
    kinds = {name.split("/")[1]: [one["id"] for one in records] for name, records in objects.items()}
    assert kinds == {"finished": delivered, "dead": [dead]}
    (one, *_), (other,) = sorted(objects.values(), key=len, reverse=True)
    assert one["targetRestApiPayload"] == {"orderid": "18jan"}
    assert other["attempts"][0]["code"] == 404
    assert [one["id"] for one in aged.documents()] == [waiting]
    counts = aged.call("GET", "/process").json()["counts"]
    finished = {"success": 0, "filtered": 0, "cancelled": 0}
    assert counts == {"not_processed": 1, **finished, "failed": 0, "dead": 0, "held": 0}
    assert aged.call("GET", f"/store/{dead}").status_code == 404
    again = aged.maintain()
    assert (again["archived"], again["archivedDead"]) == (0, 0)


def test_what_is_young_or_unfinished_stays(tmp_path: Path) -> None:
    with running(tmp_path / "home", RETRY_BACKOFF="1h..1h") as bundle:
        for path in ("/ok", "/status/404", "/status/503"):
            bundle.stored(path, TOKEN, vaultSecretName="kept")
        bundle.process()
        answer = bundle.maintain()
        assert answer == {
            "archived": 0,
            "archivedDead": 0,
            "expired": 0,
            "secretsDeleted": 0,
            "endOfWork": True,
            "anotherRun": False,
        }
        assert len(bundle.documents()) == 3


def test_a_message_that_was_no_record_is_archived_too(aged: Bundle) -> None:
    (one,) = invoked(aged, [message({"targetRestApi": "nowhere"}, 1)])
    assert aged.maintain()["archivedDead"] == 1
    ((record,),) = aged.archived().values()
    assert record["id"] == one["id"]


def test_without_object_storage_nothing_is_deleted(aged: Bundle) -> None:
    aged.stored("/ok")
    aged.process()
    aged.fault("object_storage.put_object", status=503)
    with pytest.raises(oci.exceptions.ServiceError) as caught:
        aged.maintain()
    assert caught.value.status == 502  # which whoever invokes it repeats
    assert len(aged.documents()) == 1
    aged.clear_oci()
    assert aged.maintain()["archived"] == 1
    assert sum(len(records) for records in aged.archived().values()) == 1


def test_an_undelivered_record_expires(tmp_path: Path) -> None:
    with running(tmp_path / "home", RETRY_BACKOFF="1h..1h", EXPIRE_AFTER="1s") as bundle:
        old, older = bundle.stored("/status/503", streamKey="k"), bundle.stored("/ok", streamKey="k")
        bundle.process()
        eventually(lambda: bundle.maintain(dryRun=True)["expired"] == 2)
        assert bundle.maintain()["expired"] == 2
        for one in (old, older):
            state = bundle.state(one)
            assert (state["status"], state["status_code"], state["dead"]) == (
                "failed",
                "unexpectedError",
                True,
            )
            assert state["failure_reason"].startswith("expired")
        bundle.stored("/ok/later")
        bundle.process()
        assert len(bundle.received("/ok/later")) == 1
        assert (
            bundle.retry(force=True, streamKey="k")["failedMessages"] == 1
        )  # an operator may think otherwise


def test_a_record_on_its_way_does_not_expire(tmp_path: Path) -> None:
    settings = {"EXPIRE_AFTER": "1s", "TARGET_READ_TIMEOUT": "20s", "LEASE": "40s"}
    with running(tmp_path / "home", **settings) as bundle:
        bundle.maintain()  # warm
        one = bundle.stored("/slow/8000")
        delivering = threading.Thread(target=bundle.process)
        delivering.start()
        eventually(bundle.received)
        eventually(lambda: bundle.maintain(dryRun=True)["expired"] == 1)
        assert bundle.maintain()["expired"] == 0
        delivering.join()
        assert bundle.state(one)["status"] == "success"


def test_the_deletion_of_idle_tokens_is_scheduled_and_needed_ones_stay(aged: Bundle) -> None:
    aged.maintain()  # from now on it is known which tokens are used
    aged.stored("/ok", TOKEN, vaultSecretName="idle")
    aged.process()
    aged.stored("/ok", TOKEN, vaultSecretName="needed")
    eventually(lambda: aged.maintain(dryRun=True)["secretsDeleted"] == 1)
    assert set(vault(aged).values()) == {"ACTIVE"}
    assert aged.maintain()["secretsDeleted"] == 1
    assert vault(aged) == {"datasync-idle": "PENDING_DELETION", "datasync-needed": "ACTIVE"}
    aged.process()
    assert aged.received("/ok")[-1]["header"]["authorization"] == TOKEN


def test_the_operators_own_secrets_stay(tmp_path: Path) -> None:
    """Not made by store-data: without its tag, though under its prefix; or listed for Connector Hub."""
    with running(tmp_path / "home", **AT_ONCE) as bundle:
        bundle.maintain()
        bundle.stored("/ok", TOKEN, vaultSecretName="hub")
        bundle.process()
    with running(tmp_path / "home", **AT_ONCE, CONNECTOR_HUB_SECRETS="hub") as bundle:
        client = vaults(bundle)
        content = oci.vault.models.Base64SecretContentDetails(content="c2VjcmV0")
        for name in ("datasync-by-hand", "other"):
            client.create_secret(
                oci.vault.models.CreateSecretDetails(
                    compartment_id=COMPARTMENT_OCID,
                    vault_id=VAULT_OCID,
                    key_id=KEY_OCID,
                    secret_name=name,
                    secret_content=content,
                )
            )
        assert bundle.maintain()["secretsDeleted"] == 0
        assert set(vault(bundle).values()) == {"ACTIVE"}


def test_a_source_whose_name_is_on_its_way_out_is_told_and_changes_nothing(aged: Bundle) -> None:
    """Whatever its token; an operator cancels the deletion, or the source uses another name."""
    aged.maintain()
    aged.stored("/ok", TOKEN, vaultSecretName="monthly")
    aged.process()
    eventually(lambda: aged.maintain(dryRun=True)["secretsDeleted"] == 1)
    assert aged.maintain()["secretsDeleted"] == 1
    for token in (TOKEN, "Bearer another"):
        body = aged.record("/ok", vaultSecretName="monthly")
        answer = aged.call("POST", "/store", body, Authorization=token)
        assert answer.status_code == 409
        assert "scheduled for deletion" in answer.json()["detail"]
        assert vault(aged) == {"datasync-monthly": "PENDING_DELETION"}
    (secret,) = vaults(aged).list_secrets(COMPARTMENT_OCID, name="datasync-monthly").data
    assert 29 <= (vaults(aged).get_secret(secret.id).data.time_of_deletion - datetime.now(UTC)).days <= 30
    vaults(aged).cancel_secret_deletion(secret.id)
    aged.stored("/ok", TOKEN, vaultSecretName="monthly")
    aged.process()
    assert aged.received()[-1]["header"]["authorization"] == TOKEN


def test_what_was_archived_is_remembered_as_a_use_of_its_token(tmp_path: Path) -> None:
    settings = AT_ONCE | {"SECRETS_UNUSED_AFTER": "1h"}
    with running(tmp_path / "home", **settings) as bundle:
        bundle.stored("/ok", TOKEN, vaultSecretName="monthly")
        bundle.process()
        eventually(lambda: bundle.maintain()["archived"] == 1)
        (note,) = (one for one in bundle.documents("datasync_records_notes") if one["name"] == "maintenance")
        assert list(note["memory"]["lastUses"]) == ["monthly"]
        assert bundle.maintain()["secretsDeleted"] == 0
        assert vault(bundle) == {"datasync-monthly": "ACTIVE"}


def test_through_the_gateway_nobody_maintains(aged: Bundle) -> None:
    aged.stored("/ok")
    aged.process()
    answer = aged.process(task="maintenance")
    assert "archived" not in answer
    assert len(aged.documents()) == 1


def test_deliveries_have_their_turn_while_the_dead_are_archived(aged: Bundle) -> None:
    for _ in range(7):
        aged.store([aged.record(f"/status/404/{n}") for n in range(500)])
    while not aged.process(noOfMessagesToProcess=5000)["endOfStream"]:
        pass
    aged.fault("object_storage.put_object", delay=2)
    answers: list[Any] = []
    maintaining = threading.Thread(target=lambda: answers.append(aged.maintain()))
    maintaining.start()
    delivered = 0
    while maintaining.is_alive():
        aged.stored("/ok/meanwhile")
        delivered += aged.process()["processedmessages"]
    maintaining.join()
    assert answers[0]["archivedDead"] == 3500
    assert delivered >= 4  # of seven batches


def test_runs_at_once_archive_each_record_once(aged: Bundle) -> None:
    ids = [one["id"] for one in aged.store([aged.record("/ok") for _ in range(1000)])["records"]]
    while not aged.process(noOfMessagesToProcess=5000)["endOfStream"]:
        pass
    answers: list[Any] = []
    runs = [threading.Thread(target=lambda: answers.append(aged.maintain())) for _ in range(3)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert sum(one["archived"] for one in answers) == 1000
    assert all(one["anotherRun"] != one["endOfWork"] for one in answers)
    assert Counter(one["id"] for records in aged.archived().values() for one in records) == Counter(ids)
    assert aged.documents() == []
    assert aged.call("GET", "/process").json()["counts"]["success"] == 0


def test_while_another_run_lives_a_second_one_does_nothing_and_says_so(aged: Bundle) -> None:
    aged.stored("/ok")
    aged.process()
    documents = SmallDocuments(Database(f"sqlite:{aged.database}", "", str), COLLECTION)
    lease, ended = MaintenanceLease(documents, 60), threading.Event()
    assert lease.take(0.0)

    def lives() -> None:
        while not ended.wait(0.1):
            lease.remember()

    living = threading.Thread(target=lives)
    living.start()
    answer = aged.maintain()
    ended.set()
    living.join()
    assert (answer["anotherRun"], answer["endOfWork"], answer["archived"]) == (True, False, 0)
    assert len(aged.documents()) == 1
    lease.release()
    answer = aged.maintain()
    assert (answer["anotherRun"], answer["endOfWork"], answer["archived"]) == (False, True, 1)


def test_what_expires_is_told(tmp_path: Path) -> None:
    settings = {"EXPIRE_AFTER": "1s", "NOTIFICATION_TOPIC_OCID": TOPIC_OCID, "METRICS_NAMESPACE": "datasync"}
    with running(tmp_path / "home", **settings) as bundle:
        bundle.store([bundle.record("/ok/late") for _ in range(3)])
        eventually(lambda: bundle.maintain(dryRun=True)["expired"] == 3)
        assert bundle.maintain()["expired"] == 3
        (message,) = journal(bundle, "messages")
        assert message["title"] == "Data Sync: 3 failed, 3 dead"
        assert ", expired" in message["body"]
        dead = [one["datapoints"][0]["value"] for one in journal(bundle, "metrics") if one["name"] == "dead"]
        assert dead == [3]


def test_stores_and_deliveries_go_on_meanwhile(aged: Bundle) -> None:
    """Thousands are archived; each record is delivered once, and archived once."""
    ids: list[str] = []
    for _ in range(8):
        records = [aged.record(f"/ok/{n}", streamKey=f"key {n % 50}") for n in range(500)]
        ids += [one["id"] for one in aged.store(records)["records"]]
    while not aged.process(noOfMessagesToProcess=5000)["endOfStream"]:
        pass
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            ids.extend(aged.stored("/ok/meanwhile", streamKey="key 1") for _ in range(5))
            aged.process()

    worker = threading.Thread(target=go_on)
    worker.start()
    for _ in range(3):
        assert aged.maintain()["endOfWork"] is True
    stop.set()
    worker.join()
    aged.process()
    assert aged.maintain()["endOfWork"] is True
    kept = Counter(record["id"] for records in aged.archived().values() for record in records)
    assert kept == Counter(ids)
    assert aged.documents() == []
    received = Counter(one["idempotencyKey"] for one in aged.received())
    assert received == Counter(ids)
    assert aged.call("GET", "/process").json()["counts"]["success"] == 0
