"""Notifications, Monitoring and Functions through the real SDK, and what all services share."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from oci.functions import FunctionsInvokeClient
from oci.monitoring import MonitoringClient
from oci.monitoring.models import Datapoint, MetricDataDetails, PostMetricDataDetails
from oci.ons import NotificationDataPlaneClient
from oci.ons.models import MessageDetails

from local.emulators.identity import COMPARTMENT_OCID, PROCESS_DATA_FUNCTION_OCID, TOPIC_OCID
from local.emulators.oci.app import MESSAGES, METRICS
from local.emulators.oci.functions import InvokeReply, UnknownFunctionError
from local.emulators.oci.journal import Journal
from tests.contract.oci_server import Server, refused, serving

Call = tuple[str, bytes, Mapping[str, str], bool]
calls: list[Call] = []


async def invoke(function_id: str, body: bytes, headers: Mapping[str, str], detached: bool) -> InvokeReply:
    if function_id != PROCESS_DATA_FUNCTION_OCID:
        raise UnknownFunctionError(function_id)
    if body == b"crash":
        raise RuntimeError("a secret detail")
    calls.append((function_id, body, headers, detached))
    if detached:
        return InvokeReply(202)
    return InvokeReply(200, {"Content-Type": "application/json", "Fn-Call-Id": "01"}, b'{"ok": true}')


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    calls.clear()
    with serving(tmp_path_factory.mktemp("home"), invoke=invoke) as running:
        yield running


def metric(**changes: Any) -> MetricDataDetails:
    values = {
        "namespace": "datasync",
        "compartment_id": COMPARTMENT_OCID,
        "name": "delivered.ok",
        "dimensions": {"target": "erp.example.com"},
        "datapoints": [Datapoint(timestamp=datetime.now(UTC), value=2.5)],
    }
    return MetricDataDetails(**(values | changes))


def post(server: Server, *metrics: MetricDataDetails, atomicity: str | None = None) -> Any:
    client = server.client(MonitoringClient)
    batch = PostMetricDataDetails(metric_data=list(metrics), batch_atomicity=atomicity)
    return client.post_metric_data(batch).data


def aged(age: timedelta) -> dict[str, Any]:
    return {"datapoints": [Datapoint(timestamp=datetime.now(UTC) - age, value=1)]}


def test_a_published_message_can_be_seen_by_the_operator(server: Server) -> None:
    client = server.client(NotificationDataPlaneClient)
    answer = client.publish_message(TOPIC_OCID, MessageDetails(title="3 failed", body="of 100"))
    assert answer.status == 202
    [kept] = server.app[MESSAGES].entries()
    assert (kept["messageId"], kept["title"], kept["body"]) == (answer.data.message_id, "3 failed", "of 100")


def test_the_61st_message_of_a_minute_is_one_too_many(server: Server) -> None:
    client = server.client(NotificationDataPlaneClient)
    for number in range(60):
        client.publish_message(TOPIC_OCID, MessageDetails(body=str(number)))
    with refused(429, "TooManyRequests"):
        client.publish_message(TOPIC_OCID, MessageDetails(body="60"))


def test_a_bad_message_is_refused(server: Server) -> None:
    client = server.client(NotificationDataPlaneClient)
    with refused(400, "InvalidParameter"):
        client.publish_message(TOPIC_OCID, MessageDetails(body="x" * 64 * 1024))
    with refused(400, "MissingParameter"):
        client.publish_message(TOPIC_OCID, MessageDetails(title="no body"))
    with refused(404, "NotAuthorizedOrNotFound"):
        client.publish_message("ocid1.onstopic.oc1.local.other", MessageDetails(body="x"))
    assert server.app[MESSAGES].entries() == []


def test_a_journal_keeps_the_newest_and_does_not_grow_without_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal" / "entries.jsonl", maximum_bytes=1000)
    for number in range(500):
        journal.append([{"number": number}])
    kept = [entry["number"] for entry in journal.entries()]
    assert kept == list(range(kept[0], 500))
    assert sum(path.stat().st_size for path in (tmp_path / "journal").iterdir()) < 2100


def test_a_line_cut_short_by_a_crash_is_left_out_of_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal" / "entries.jsonl")
    journal.append([{"number": 1}])
    with (tmp_path / "journal" / "entries.jsonl").open("a") as file:
        file.write('{"numb')
    assert journal.entries() == [{"number": 1}]


def test_posted_metrics_can_be_seen_by_the_operator(server: Server) -> None:
    assert post(server, metric(), metric(name="failed")).failed_metrics_count == 0
    kept = server.app[METRICS].entries()
    assert [each["name"] for each in kept] == ["delivered.ok", "failed"]
    assert kept[0]["datapoints"][0]["value"] == 2.5


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "oci_datasync"},
        {"namespace": "oracle_datasync"},
        {"namespace": "data-sync"},
        {"name": "1st"},
        {"dimensions": {}},
        {"dimensions": {f"d{number}": "x" for number in range(21)}},
        {"dimensions": {"with space": "x"}},
        {"dimensions": {"empty": ""}},
        {"datapoints": []},
        aged(timedelta(hours=2, minutes=1)),
        aged(timedelta(hours=-1)),  # made when tests are collected, long before
        {"compartment_id": "ocid1.compartment.oc1..other"},
    ],
)
def test_a_metric_that_breaks_a_rule_is_named_and_the_others_are_kept(
    server: Server, changes: dict[str, Any]
) -> None:
    answer = post(server, metric(**changes), metric())
    assert answer.failed_metrics_count == 1
    assert answer.failed_metrics[0].message
    assert len(server.app[METRICS].entries()) == 1


def test_a_batch_with_nothing_valid_or_that_is_atomic_fails_as_a_whole(server: Server) -> None:
    with refused(400, "InvalidParameter"):
        post(server, metric(namespace="oci_x"))
    with refused(400, "InvalidParameter"):
        post(server, metric(namespace="oci_x"), metric(), atomicity="ATOMIC")
    with refused(400, "InvalidParameter"):
        post(server, *[metric() for _ in range(51)])
    with refused(400, "MissingParameter"):
        post(server)
    assert server.app[METRICS].entries() == []


def test_a_function_is_invoked_and_its_answer_passed_on(server: Server) -> None:
    client = server.client(FunctionsInvokeClient)
    answer = client.invoke_function(PROCESS_DATA_FUNCTION_OCID, invoke_function_body="{}")
    assert (answer.status, answer.data.content) == (200, b'{"ok": true}')
    assert answer.headers["fn-call-id"] == "01"
    [(function_id, body, headers, detached)] = calls
    assert (function_id, body, detached) == (PROCESS_DATA_FUNCTION_OCID, b"{}", False)
    assert "authorization" not in {name.lower() for name in headers}


def test_a_detached_invocation_is_answered_202_at_once(server: Server) -> None:
    client = server.client(FunctionsInvokeClient)
    answer = client.invoke_function(PROCESS_DATA_FUNCTION_OCID, fn_invoke_type="detached")
    assert answer.status == 202
    assert [call[3] for call in calls] == [True]


def test_a_function_that_is_unknown_or_given_too_much_is_not_called(server: Server) -> None:
    client = server.client(FunctionsInvokeClient)
    with refused(404, "NotAuthorizedOrNotFound"):
        client.invoke_function("ocid1.fnfunc.oc1.local.other")
    with refused(413, "RequestEntityTooLarge"):
        client.invoke_function(PROCESS_DATA_FUNCTION_OCID, invoke_function_body=b"x" * (6 * 1024 * 1024 + 1))
    with refused(400, "InvalidParameter"):
        client.invoke_function(PROCESS_DATA_FUNCTION_OCID, fn_invoke_type="later")
    assert calls == []


def test_an_error_inside_is_answered_without_its_details(server: Server, caplog: Any) -> None:
    with refused(500, "InternalServerError"):
        server.client(FunctionsInvokeClient).invoke_function(
            PROCESS_DATA_FUNCTION_OCID, invoke_function_body="crash"
        )
    assert "RuntimeError" in caplog.text
    assert "a secret detail" not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/20180608/nowhere", 404, "NotFound"),
        ("DELETE", "/20180608/secrets", 405, "MethodNotAllowed"),
    ],
)
def test_an_operation_that_there_is_not_is_answered_as_oci_does(
    server: Server, method: str, path: str, status: int, code: str
) -> None:
    answer = requests.request(method, f"{server.url}{path}", auth=server.signer, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["opc-request-id"]


@pytest.mark.parametrize("body", ["{", "[]", ""])
def test_a_body_that_is_no_json_object_is_refused(server: Server, body: str) -> None:
    url = f"{server.url}/20180608/secrets"
    answer = requests.post(
        url, data=body, headers={"content-type": "application/json"}, auth=server.signer, timeout=60
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "CannotParseRequest")
