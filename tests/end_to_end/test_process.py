"""Contract sections 2 to 4 through gateway and FDK: what is sent, what is written, what is answered."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import oci
import pytest

from local.emulators import identity
from local.emulators.functions import Function, FunctionRunner
from tests.contract.oci_server import signer
from tests.end_to_end.bundle import ROOT, SETTINGS, TOKEN, Bundle

NOTHING_DONE = {
    "lastReadOffset": "-1",
    "processedmessages": 0,
    "failedMessages": 0,
    "skippedMessages": 0,
    "endOfStream": True,
}


def test_nothing_due_is_the_end_of_the_stream(bundle: Bundle) -> None:
    assert bundle.process() == NOTHING_DONE
    assert bundle.retry() == NOTHING_DONE


@pytest.mark.parametrize("operation", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_record_is_sent_as_it_was_stored(bundle: Bundle, operation: str) -> None:
    name = f"erp-{uuid.uuid4().hex}"
    record = bundle.record(
        "/ok/orders?expand=a%20b&x=%2F",
        vaultSecretName=name,
        targetRestApiOperation=operation,
        targetRestApiPayload={"PO": "18jan", "ü": [1, 2.50, None]},
        targetRestApiHeaders=[{"key": "X-Tenant", "value": "north"}],
    )
    if operation == "DELETE":
        del record["streamMessage"]["targetRestApiPayload"]
    kept = bundle.store(record, TOKEN)["id"]
    assert bundle.process() == NOTHING_DONE | {"lastReadOffset": kept, "processedmessages": 1}
    (request,) = bundle.received()
    assert (request["method"], request["path"]) == (operation, "/ok/orders?expand=a%20b&x=%2F")
    header = request["header"]
    assert header["authorization"] == TOKEN
    assert header["idempotency-key"] == kept
    assert header["x-tenant"] == "north"
    assert header["user-agent"].startswith("oci-data-sync/")
    if operation == "DELETE":
        assert request["body"] == b""
        assert "content-type" not in header
    else:
        assert json.loads(request["body"]) == record["streamMessage"]["targetRestApiPayload"]
        assert header["content-type"] == "application/json"
    state = bundle.state(kept)
    assert (state["status"], state["status_code"], state["retry_attempts"]) == ("success", 200, 0)
    assert state["lastAttemptDate"] >= state["createdDate"]


def test_a_record_s_own_content_type_and_text_are_sent_as_they_are(bundle: Bundle) -> None:
    bundle.stored(targetRestApiHeaders={"content-type": "text/plain"}, targetRestApiPayload="plain, 'text'")
    bundle.stored(targetRestApiHeaders={"Content-Type": "application/x+json"}, targetRestApiPayload="text")
    bundle.process()
    sent = {(one["header"]["content-type"], one["body"]) for one in bundle.received()}
    assert sent == {("text/plain", b"plain, 'text'"), ("application/x+json", b'"text"')}


@pytest.mark.parametrize("payload", [None, 0, False, "", [], {}, [None]])
def test_any_json_value_is_a_payload(bundle: Bundle, payload: Any) -> None:
    bundle.stored(targetRestApiPayload=payload)
    bundle.process()
    assert json.loads(bundle.received()[0]["body"]) == payload


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(bundle: Bundle, code: int) -> None:
    kept = bundle.stored(f"/status/{code}")
    assert bundle.process()["processedmessages"] == 1
    assert (bundle.state(kept)["status"], bundle.state(kept)["status_code"]) == ("success", code)


@pytest.mark.parametrize("code", [301, 307, 400, 401, 404, 422, 501])
def test_a_code_that_is_not_worth_retrying_ends_dead(bundle: Bundle, code: int) -> None:
    kept = bundle.stored(f"/redirect/{code}" if code < 400 else f"/status/{code}")
    assert bundle.process()["failedMessages"] == 1
    state = bundle.state(kept)
    assert (state["status"], state["status_code"], state["dead"]) == ("failed", code, True)
    assert state["error_stream"] == "unrecoverable"
    assert str(code) in state["failure_reason"]
    assert "nextAttemptDate" not in state
    assert bundle.retry() == NOTHING_DONE
    assert bundle.process() == NOTHING_DONE
    assert len(bundle.received()) == 1  # nor was a redirect followed


def test_a_code_worth_retrying_is_replayed_until_the_limit(bundle: Bundle) -> None:
    kept = bundle.stored("/status/503")
    assert bundle.process()["failedMessages"] == 1
    state = bundle.state(kept)
    assert (state["status"], state["status_code"], state["error_stream"]) == ("failed", 503, "recoverable")
    assert state["nextAttemptDate"] >= state["lastAttemptDate"]
    assert "dead" not in state
    for attempts in (1, 2):
        answer = bundle.retry()
        assert answer == NOTHING_DONE | {"lastReadOffset": kept, "failedMessages": 1}
        assert bundle.state(kept)["retry_attempts"] == attempts
    assert bundle.state(kept)["dead"] is True
    assert bundle.retry() == NOTHING_DONE
    assert len(bundle.received()) == 3


def test_a_scheduled_call_delivers_failed_records_whose_time_has_come(bundle: Bundle) -> None:
    kept = bundle.stored("/flaky/1")
    assert bundle.process()["failedMessages"] == 1
    assert bundle.process()["processedmessages"] == 1
    assert bundle.state(kept)["status"] == "success"
    for gone in ("failure_reason", "error_stream", "nextAttemptDate", "dead"):
        assert gone not in bundle.state(kept)


def test_a_target_s_retry_after_is_obeyed(bundle: Bundle) -> None:
    kept = bundle.stored("/retry-after/3600")
    bundle.process()
    state = bundle.state(kept)
    # The upper bound of the backoff, here none, is stronger.
    assert state["nextAttemptDate"] == state["lastAttemptDate"]


def test_the_number_of_records_in_a_call_is_bounded(bundle: Bundle) -> None:
    ids = [bundle.stored(f"/ok/{number}") for number in range(5)]
    answer = bundle.process(noOfMessagesToProcess=2)
    assert answer == NOTHING_DONE | {
        "processedmessages": 2,
        "lastReadOffset": ids[1],
        "endOfStream": False,
    }
    assert [one["path"] for one in bundle.received()] == ["/ok/0", "/ok/1"]
    assert bundle.process(noOfMessagesToProcess=3)["endOfStream"] is True


@pytest.mark.parametrize("data", [None, b"", b"{}", b"  "])
def test_the_body_of_process_may_be_left_away(bundle: Bundle, data: bytes | None) -> None:
    bundle.stored()
    declared = {"Content_Type": "application/json"} if data else {}
    response = bundle.call("POST", "/process", data=data, **declared)
    assert response.json()["processedmessages"] == 1


@pytest.mark.parametrize("route", ["/process", "/process/retry"])
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"noOfMessagesToProcess": 0}, "/noOfMessagesToProcess"),
        ({"noOfMessagesToProcess": 10_001}, "/noOfMessagesToProcess"),
        ({"noOfMessagesToProcess": "many"}, "/noOfMessagesToProcess"),
        ([], ""),
    ],
)
def test_a_bad_member_is_named_and_nothing_is_done(
    bundle: Bundle, route: str, body: Any, pointer: str
) -> None:
    bundle.stored()
    response = bundle.call("POST", route, body)
    assert response.status_code == 422
    assert [one["pointer"] for one in response.json()["errors"]] == [pointer]
    assert bundle.received() == []


def test_bad_members_of_retry_are_all_named(bundle: Bundle) -> None:
    body = {"retryCodes": "abc", "retryLimit": 0, "errormapping": {}, "from": "yesterday", "force": 1, "x": 1}
    response = bundle.call("POST", "/process/retry", body)
    assert response.status_code == 422
    assert {one["pointer"] for one in response.json()["errors"]} == {f"/{name}" for name in body}


def test_the_database_is_prepared_by_a_direct_invocation_only(bundle: Bundle) -> None:
    assert "prepared" not in bundle.process(task="prepare")
    assert bundle.task("prepare", adminPasswordSecret="ocid1.secret") == {"prepared": True}
    (refused,) = bundle.task("prepair")["errors"]
    assert refused == {"pointer": "/task", "detail": "must be maintenance or prepare"}


def test_called_directly_it_does_the_same(bundle: Bundle) -> None:
    """A scheduler has no gateway: the Functions service passes a body and no HTTP request."""
    kept = [bundle.stored(), bundle.stored()]
    client = oci.functions.FunctionsInvokeClient(
        {}, service_endpoint=bundle.oci_url, signer=signer(bundle.home)
    )
    for body in (json.dumps({"noOfMessagesToProcess": 1}), ""):
        response = client.invoke_function(identity.PROCESS_DATA_FUNCTION_OCID, invoke_function_body=body)
        assert response.data.json()["processedmessages"] == 1
    assert [bundle.state(one)["status"] for one in kept] == ["success"] * 2


def failed_records(bundle: Bundle) -> dict[str, str]:
    """Store failed records of several kinds; their ids by path."""
    paths = {"a": "/status/503/a", "b": "/status/500/b", "dead": "/status/404/dead", "ok": "/ok"}
    ids = {name: bundle.stored(path, streamKey=f"key-{name}") for name, path in paths.items()}
    bundle.process()
    return ids


def handled(bundle: Bundle, ids: dict[str, str], **members: Any) -> set[str]:
    """The names of the records that a replay sends; a dry run must have counted as many."""
    before = len(bundle.received())
    count = bundle.retry(**members, dryRun=True)
    assert len(bundle.received()) == before
    answer = bundle.retry(**members)
    sent = {one["header"]["idempotency-key"] for one in bundle.received()[before:]}
    assert count == {"matchingMessages": len(sent)}
    assert answer["processedmessages"] + answer["failedMessages"] == len(sent)
    return {name for name, identity_ in ids.items() if identity_ in sent}


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({}, {"a", "b"}),
        ({"retryCodes": "503"}, {"a"}),
        ({"retryCodes": [503, "404"]}, {"a", "dead"}),
        ({"retryCodes": "404"}, {"dead"}),
        ({"retryCodes": "409"}, set()),
        ({"retryLimit": 1}, set()),
        ({"retryLimit": 1, "force": True}, {"a", "b", "dead"}),
        ({"force": True}, {"a", "b", "dead"}),
        ({"streamOCIDToRetry": "recoverable"}, {"a", "b"}),
        ({"streamOCIDToRetry": "unrecoverable", "force": True}, {"dead"}),
        ({"streamOCIDToRetry": "nothing"}, set()),
        ({"streamKey": "key-b"}, {"b"}),
        ({"from_": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00+02:00"}, {"a", "b"}),
        ({"from_": "2099-01-01T00:00:00Z"}, set()),
        ({"to": "2020-01-01T00:00:00Z"}, set()),
    ],
)
def test_a_replay_handles_what_its_filters_select(
    bundle: Bundle, members: dict[str, Any], names: set[str]
) -> None:
    assert handled(bundle, failed_records(bundle), **members) == names


def test_a_replay_can_be_limited_to_a_target(bundle: Bundle) -> None:
    ids = failed_records(bundle)
    assert handled(bundle, ids, targetRestApi=f"{bundle.target_url}/status/500") == {"b"}


def test_the_interval_of_a_replay_includes_its_beginning_and_excludes_its_end(bundle: Bundle) -> None:
    ids = failed_records(bundle)
    first, second = (bundle.state(ids[name])["createdDate"] for name in ("a", "b"))
    assert handled(bundle, ids, from_=first, to=second) == {"a"}


def test_a_replay_files_failures_under_the_streams_of_its_own_mapping(bundle: Bundle) -> None:
    ids = failed_records(bundle)
    mapping = [
        {"responsecode": 503, "stream": "team-a"},
        {"responsecode": "unexpectedError", "stream": "rest"},
    ]
    bundle.retry(errormapping=mapping)
    assert bundle.state(ids["a"])["error_stream"] == "team-a"
    assert bundle.state(ids["b"])["error_stream"] == "rest"
    assert handled(bundle, ids, streamOCIDToRetry="team-a") == {"a"}


def test_offsets_walk_through_all_failed_records_once(bundle: Bundle) -> None:
    ids = [bundle.stored(f"/status/503/{number}") for number in range(7)]
    bundle.process()
    offset, calls, ended = "-1", 0, False
    while not ended:
        answer = bundle.retry(noOfMessagesToProcess=3, readAfterOffset=offset)
        assert answer["lastReadOffset"] > offset
        offset, calls, ended = answer["lastReadOffset"], calls + 1, answer["endOfStream"]
    assert (calls, offset) == (3, ids[-1])
    assert all(bundle.state(one)["retry_attempts"] == 1 for one in ids)


def test_a_forced_replay_revives_a_dead_record(bundle: Bundle) -> None:
    kept = bundle.stored("/flaky/3")
    for _ in range(3):
        bundle.process()
    assert bundle.state(kept)["dead"] is True
    assert bundle.retry(retryCodes="503")["processedmessages"] == 0  # its attempts are used up
    assert bundle.retry(force=True)["processedmessages"] == 1
    assert bundle.state(kept)["status"] == "success"


def test_records_of_one_key_are_sent_in_order_and_others_go_on(bundle: Bundle) -> None:
    keyed = [bundle.stored(f"/slow/20/k/{number}", streamKey="k") for number in range(5)]
    others = [bundle.stored(f"/slow/20/o/{number}") for number in range(5)]
    assert bundle.process()["processedmessages"] == 10
    sent = [one["header"]["idempotency-key"] for one in bundle.received("/slow/20/k")]
    assert sent == keyed
    received = bundle.received("/slow/20/k")
    assert all(earlier["finished"] <= later["started"] for earlier, later in pairwise(received))
    assert {one["header"]["idempotency-key"] for one in bundle.received("/slow/20/o")} == set(others)


def test_a_failed_record_holds_back_later_ones_of_its_key_only(bundle: Bundle) -> None:
    first = bundle.stored("/flaky/1", streamKey="k")
    second = bundle.stored("/ok/second", streamKey="k")
    other = bundle.stored("/ok/other", streamKey="other")
    answer = bundle.process()
    assert (answer["processedmessages"], answer["failedMessages"], answer["skippedMessages"]) == (1, 1, 1)
    assert answer["endOfStream"] is True
    assert bundle.state(second)["status"] == "not_processed"
    assert bundle.state(other)["status"] == "success"
    assert bundle.process()["processedmessages"] == 2
    assert [one["header"]["idempotency-key"] for one in bundle.received() if "other" not in one["path"]] == [
        first,
        first,
        second,
    ]


def test_a_dead_record_no_longer_holds_back_its_key(bundle: Bundle) -> None:
    bundle.stored("/status/404", streamKey="k")
    second = bundle.stored("/ok/second", streamKey="k")
    bundle.process()
    bundle.process()
    assert bundle.state(second)["status"] == "success"


def test_deliveries_to_several_targets_run_side_by_side(bundle: Bundle) -> None:
    for number in range(8):  # as many as a target gets before it has answered
        bundle.stored(f"/slow/300/{number}")
    bundle.process()
    received = bundle.received()
    assert max(one["started"] for one in received) < min(one["finished"] for one in received)


def test_a_missing_secret_is_a_failure_that_can_be_replayed_and_is_looked_up_once(bundle: Bundle) -> None:
    name = f"erp-{uuid.uuid4().hex}"
    ids = [bundle.stored(token=TOKEN, vaultSecretName=name) for _ in range(5)]
    client = oci.vault.VaultsClient({}, service_endpoint=bundle.oci_url, signer=signer(bundle.home))
    (secret,) = client.list_secrets(identity.COMPARTMENT_OCID, name=f"datasync-{name}").data
    deletion = oci.vault.models.ScheduleSecretDeletionDetails(
        time_of_deletion=datetime.now(UTC) + timedelta(days=2)
    )
    client.schedule_secret_deletion(secret.id, deletion)
    bundle.clear_oci()
    assert bundle.process()["failedMessages"] == 5
    state = bundle.state(ids[0])
    assert (state["status_code"], state["error_stream"]) == ("unexpectedError", "recoverable")
    assert name in state["failure_reason"]
    assert bundle.oci_calls() == {"secrets.get_secret_bundle_by_name": 1}
    client.cancel_secret_deletion(secret.id)


def test_a_token_is_read_once_for_many_records(bundle: Bundle) -> None:
    name = f"erp-{uuid.uuid4().hex}"
    bundle.store([bundle.record(vaultSecretName=name) for _ in range(50)], TOKEN)
    bundle.clear_oci()
    assert bundle.process()["processedmessages"] == 50
    assert bundle.oci_calls() == {"secrets.get_secret_bundle_by_name": 1}


def test_the_report_counts_what_is_there(bundle: Bundle) -> None:
    failed_records(bundle)
    bundle.stored("/ok/later")
    report = bundle.call("GET", "/process").json()
    assert report["counts"] == {
        "not_processed": 1,
        "success": 1,
        "filtered": 0,
        "cancelled": 0,
        "failed": 3,
        "dead": 1,
        "held": 0,
    }
    assert report["failed"] == {
        "byCode": {"404": 1, "500": 1, "503": 1},
        "byStream": {"recoverable": 2, "unrecoverable": 1},
        "byTarget": {bundle.target_url.removeprefix("http://"): 3},
    }
    assert report["due"] == 3
    assert report["oldestDueDate"] < datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_a_call_ends_before_its_deadline_and_says_that_more_is_left(bundle: Bundle) -> None:
    bundle.store([bundle.record(f"/slow/400/{number}") for number in range(40)])
    configuration = {
        "DATABASE_DSN": f"sqlite:{bundle.database}",
        "OCI_SERVICE_ENDPOINT": bundle.oci_url,
        "VAULT_OCID": identity.VAULT_OCID,
        "VAULT_KEY_OCID": identity.KEY_OCID,
        "VAULT_COMPARTMENT_OCID": identity.COMPARTMENT_OCID,
        "ALLOWED_TARGETS": bundle.target_url,
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        **SETTINGS,
        "CONCURRENCY": "2",
        "TARGET_CONNECT_TIMEOUT": "1s",
        "TARGET_READ_TIMEOUT": "2s",
    }
    function = Function(
        name="process-data",
        folder=ROOT / "functions" / "process-data",
        function_id=identity.PROCESS_DATA_FUNCTION_OCID,
        config=configuration,
        timeout=8.0,
    )
    async with FunctionRunner([function], bundle.home / "other", identity.environment(bundle.home)) as runner:
        reply = await runner.invoke("process-data")
    assert reply.status == 200, reply
    answer = json.loads(reply.body)
    assert answer["endOfStream"] is False
    sent = len(bundle.received())
    assert 0 < sent < 40
    assert answer["processedmessages"] == sent  # whatever was begun was also ended and written
    assert sum(one["status"] == "success" for one in bundle.documents()) == sent
