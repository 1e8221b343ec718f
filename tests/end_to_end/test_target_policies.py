"""What operators say of targets, in a running bundle: what targets get, and what becomes of the records."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.bundle import SHORT_LEASE, Bundle, count, running
from tests.end_to_end.bundle import target as another_target

MAPPED = {
    "filter": "payload.amount > `100`",
    "payload": "{DeliveryRequest: payload.orderid, Total: payload.amount}",
    "headers": "merge(headers, {\"X-Source\": 'data-sync'})",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with running(tmp_path_factory.mktemp("policies") / "home", TARGET_READ_TIMEOUT="20s") as bundle:
        yield bundle


@pytest.fixture
def bundle(shared: Bundle) -> Bundle:
    shared.reset()
    return shared


def order(bundle: Bundle, amount: Any, **members: Any) -> str:
    payload = {"orderid": "18jan", "amount": amount}
    return bundle.stored("/ok", targetRestApiPayload=payload, streamKey="k", **members)


# The document


def test_the_document_is_read_and_replaced_as_one(bundle: Bundle) -> None:
    first = bundle.call("GET", "/process/targets")
    assert first.headers["ETag"] == '"0"'
    assert (first.json()["targets"], first.json()["version"]) == ([], 0)
    entry = {
        "name": "erp",
        "targetRestApi": "https://erp.example.com/",
        "rate": {"requests": 30, "per": "1m"},
    }
    put = bundle.call("PUT", "/process/targets", {"targets": [entry]}, If_Match='"0"')
    assert (put.status_code, put.headers["ETag"]) == (200, '"1"')
    again = bundle.call("GET", "/process/targets")
    assert (again.headers["ETag"], again.json()["targets"]) == ('"1"', [entry])
    assert datetime.fromisoformat(again.json()["changedDate"]) > datetime.now(UTC) - timedelta(minutes=5)
    shown = again.json()  # what was read may be sent back as it is
    shown["targets"][0]["paused"] = True
    assert bundle.call("PUT", "/process/targets", shown, If_Match='"1"').json()["version"] == 2
    versions = bundle.call("GET", "/process/targets/history").json()["versions"]
    assert [(one["version"], one["targets"][0].get("paused")) for one in versions] == [(2, True), (1, None)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 428), ({"If_Match": '"7"'}, 412), ({"If_Match": "7"}, 412), ({"If_Match": 'W/"0"'}, 200)],
)
def test_whoever_writes_says_what_is_replaced(bundle: Bundle, headers: dict[str, str], status: int) -> None:
    answer = bundle.call("PUT", "/process/targets", {"targets": []}, **headers)
    assert answer.status_code == status, answer.text
    assert bundle.call("GET", "/process/targets").json()["version"] == (1 if status == 200 else 0)


def test_of_writers_at_the_same_time_one_wins(bundle: Bundle) -> None:
    def put(_: int) -> int:
        return bundle.call("PUT", "/process/targets", {"targets": []}, If_Match='"0"').status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(put, range(8)))
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {409, 412}
    assert bundle.call("GET", "/process/targets").json()["version"] == 1


def test_every_fault_is_named_and_nothing_changes(bundle: Bundle) -> None:
    entries = [
        {"name": "a", "targetRestApi": "https://a/", "pause": True},
        {"name": "a", "success": "body.["},
    ]
    answer = bundle.call("PUT", "/process/targets", {"targets": entries}, If_Match="*")
    assert answer.status_code == 422
    assert {one["pointer"] for one in answer.json()["errors"]} == {
        *("/targets/0/pause", "/targets/1/name", "/targets/1/targetRestApi", "/targets/1/success"),
    }
    assert bundle.call("GET", "/process/targets").json()["version"] == 0
    assert (
        bundle.call(
            "PUT", "/process/targets", data=b"{", If_Match="*", Content_Type="application/json"
        ).status_code
        == 400
    )


def test_the_last_fifty_versions_are_kept(bundle: Bundle) -> None:
    for _ in range(52):
        bundle.put_policies()
    versions = bundle.call("GET", "/process/targets/history").json()["versions"]
    assert [one["version"] for one in versions] == [*range(52, 2, -1)]


# Filters and what is sent


def test_records_are_filtered_and_mapped(bundle: Bundle) -> None:
    bundle.put_policies(MAPPED)
    small, large = order(bundle, 12), order(bundle, 120.50, targetRestApiHeaders={"X-Tenant": "north"})
    broken = order(bundle, "many")
    answer = bundle.process()
    assert (answer["processedmessages"], answer["failedMessages"]) == (2, 1)
    state = bundle.state(small)
    assert (state["status"], state["filteredBy"]) == ("filtered", "sample")
    assert "attempts" not in state
    (request,) = bundle.received()
    assert json.loads(request["body"]) == {"DeliveryRequest": "18jan", "Total": 120.5}
    assert (request["header"]["x-source"], request["header"]["x-tenant"]) == ("data-sync", "north")
    assert request["header"]["idempotency-key"] == large
    (kept,) = (one for one in bundle.documents() if one["id"] == large)
    assert kept["targetRestApiPayload"]["orderid"] == "18jan"  # what was stored stays as it was
    reason = bundle.state(broken)["failure_reason"]
    assert reason == "not sent: policy 'sample': filter fails (TypeError)"
    counts = bundle.call("GET", "/process").json()["counts"]
    assert (counts["filtered"], counts["success"]) == (1, 1)


def test_a_filtered_record_holds_nothing_back_and_is_never_sent(bundle: Bundle) -> None:
    bundle.put_policies({"filter": MAPPED["filter"]})
    ids = [order(bundle, amount) for amount in (1, 101, 2, 102)]
    bundle.process()
    assert [one["idempotencyKey"] for one in bundle.received()] == [ids[1], ids[3]]
    assert bundle.retry(force=True)["processedmessages"] == 0
    assert len(bundle.received()) == 2


def test_expressions_that_take_long_hold_up_no_request(bundle: Bundle) -> None:
    """Evaluated on the loop they would let the connections that it opens meanwhile run out of time."""
    expression = "[" + ",".join(["length(payload[?a > `1`])"] * 20) + "] | length(@) > `1`"
    bundle.put_policies({"filter": expression})
    payload = [{"a": 2}] * 550
    for _ in range(2):
        bundle.store([bundle.record("/ok", targetRestApiPayload=payload) for _ in range(50)])
    answer = bundle.process()
    assert (answer["processedmessages"], answer["failedMessages"]) == (100, 0)
    assert bundle.call("GET", "/process").json()["openCircuits"] == []


# Pauses


def test_nothing_is_sent_to_a_paused_target_and_nothing_counted(bundle: Bundle) -> None:
    bundle.put_policies({"paused": True})
    ids = [bundle.stored(streamKey=f"k{number % 3}") for number in range(10)]
    for _ in range(3):
        answer = bundle.process()
        assert (answer["processedmessages"], answer["failedMessages"], answer["endOfStream"]) == (0, 0, True)
        assert answer["skippedMessages"] >= 1
    assert bundle.retry(force=True)["processedmessages"] == 0
    assert bundle.received() == []
    assert all("attempts" not in bundle.state(identity) for identity in ids)
    live = bundle.live("sample")
    assert (live["paused"], live["waiting"], live["failed"]) == (True, 10, 0)
    bundle.put_policies({"paused": False})
    assert bundle.process()["processedmessages"] == 10


def test_a_pause_ends_at_its_time(bundle: Bundle) -> None:
    until = datetime.now(UTC) + timedelta(seconds=3)
    bundle.put_policies({"paused": until.isoformat()})
    bundle.stored()
    assert bundle.process()["processedmessages"] == 0
    assert bundle.live("sample")["pausedUntil"] is not None
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
    assert bundle.process()["processedmessages"] == 1


def test_a_pause_is_for_the_records_that_it_names(bundle: Bundle) -> None:
    bundle.put_policies(
        {"name": "orders", "targetRestApi": f"{bundle.target_url}/ok/orders", "paused": True},
        {"name": "deletions", "targetRestApiOperation": "DELETE", "paused": True},
    )
    bundle.stored("/ok/orders/1")
    bundle.stored("/ok/items/1", targetRestApiOperation="DELETE")
    bundle.stored("/ok/items/1")
    assert bundle.process()["processedmessages"] == 1
    assert [(one["path"], one["method"]) for one in bundle.received()] == [("/ok/items/1", "POST")]
    assert (bundle.live("orders")["waiting"], bundle.live("deletions")["waiting"]) == (1, 1)


def test_a_key_waits_behind_what_is_paused(bundle: Bundle) -> None:
    bundle.put_policies({"name": "orders", "targetRestApi": f"{bundle.target_url}/ok/orders", "paused": True})
    ids = [bundle.stored(path, streamKey="k") for path in ("/ok/orders/1", "/ok/items/1")]
    bundle.stored("/ok/items/2", streamKey="other")
    assert bundle.process()["processedmessages"] == 1
    bundle.put_policies()
    assert bundle.process()["processedmessages"] == 2
    assert [one["idempotencyKey"] for one in bundle.received()[1:]] == ids


def test_policies_that_change_during_a_call_hold_for_its_next_page(bundle: Bundle) -> None:
    bundle.store([bundle.record("/slow/100") for _ in range(900)])
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(bundle.process, noOfMessagesToProcess=900)
        while not bundle.received():
            time.sleep(0.05)
        bundle.put_policies({"paused": True})
        answer = call.result()
    sent = len(bundle.received())
    assert 0 < answer["processedmessages"] == sent < 900
    assert bundle.live("sample")["waiting"] == 900 - sent
    assert all(len(one["attempts"]) == 1 for one in bundle.documents() if one.get("attempts"))


# Rates, time-outs, retries


def test_a_rate_holds_over_all_workers(tmp_path: Path) -> None:
    """Four workers, and thirty requests a minute, of which each lasts six seconds."""
    number, period = 150, 6
    with running(tmp_path / "home", FAN_OUT="4") as bundle:
        bundle.put_policies({"rate": {"requests": 30, "per": f"{period}s"}})
        bundle.store([bundle.record() for _ in range(number)])
        bundle.store([bundle.record() for _ in range(number)])  # more than a page, so that others are started

        def work(_: int) -> None:
            while count(bundle.target_url) < number:  # what others send that a call starts is in no answer
                bundle.process(noOfMessagesToProcess=25)
                time.sleep(0.05)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert len(bundle.pids("process-data")) >= 4
        times = sorted(one["started"] for one in bundle.received())
        assert len(times) >= number
        most = max(sum(start <= one < start + period for one in times) for start in times)
        assert most <= 31
        assert times[number - 1] - times[0] < period * number / 30 / 0.7
        assert 0 < bundle.live("sample")["rateUsed"] <= 40


def test_a_concurrency_is_not_exceeded(bundle: Bundle) -> None:
    bundle.put_policies({"concurrency": 2})
    bundle.store([bundle.record("/slow/300") for _ in range(8)])
    started = time.monotonic()
    assert bundle.process()["processedmessages"] == 8
    assert time.monotonic() - started > 8 / 2 * 0.3


def test_a_target_has_time_outs_of_its_own(bundle: Bundle) -> None:
    bundle.put_policies({"readTimeout": "500ms"})
    identity = bundle.stored("/slow/3000")
    assert bundle.process()["failedMessages"] == 1
    assert "0.5 s" in bundle.state(identity)["failure_reason"]


def test_a_delivery_may_take_longer_than_a_lease(tmp_path: Path) -> None:
    with running(tmp_path / "home", **SHORT_LEASE) as bundle:
        bundle.put_policies({"readTimeout": "1m"})
        identity = bundle.stored("/slow/15000")
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(bundle.process)
            time.sleep(12)  # longer than the lease
            assert bundle.process()["processedmessages"] == 0
            assert call.result()["processedmessages"] == 1
        assert len(bundle.received()) == 1
        assert bundle.state(identity)["status"] == "success"


def test_retries_are_those_of_the_policy(bundle: Bundle) -> None:
    bundle.put_policies({"retryCodes": ["418"], "retryLimit": 2, "retryBackoff": "0s..0s"})
    again, dead = bundle.stored("/status/418"), bundle.stored("/status/503")
    bundle.process()
    assert bundle.state(dead)["dead"] is True
    assert bundle.state(again).get("dead") is None
    bundle.retry()
    state = bundle.state(again)
    assert (state["dead"], len(state["attempts"])) == (True, 2)


# Answers


@pytest.mark.parametrize(("path", "reason"), [("/status/504", "504"), ("/reset", "unexpectedError")])
def test_what_may_have_been_received_waits_for_a_person(bundle: Bundle, path: str, reason: str) -> None:
    bundle.put_policies({"unknownOutcome": "hold"})
    held, failed = bundle.stored(path), bundle.stored("/status/503")
    bundle.process()
    state = bundle.state(held)
    assert (state["dead"], state["status_code"]) == (True, int(reason) if reason.isdigit() else reason)
    assert state["failure_reason"].endswith("may have been received: look at the target before replaying")
    assert bundle.state(failed).get("dead") is None
    counts = bundle.call("GET", "/process").json()["counts"]
    assert (counts["dead"], counts["held"]) == (1, 1)
    assert bundle.retry()["processedmessages"] == 0
    bundle.retry(force=True)
    assert len(bundle.state(held)["attempts"]) == 2


def test_what_was_held_and_is_delivered_is_held_no_more(bundle: Bundle) -> None:
    bundle.put_policies({"unknownOutcome": "hold", "readTimeout": "500ms"})
    identity = bundle.stored("/stall/1")
    bundle.process()
    assert bundle.call("GET", "/process").json()["counts"]["held"] == 1
    assert bundle.retry(retryCodes="unexpectedError")["processedmessages"] == 1
    assert bundle.state(identity)["status"] == "success"
    counts = bundle.call("GET", "/process").json()["counts"]
    assert (counts["held"], counts["dead"], counts["success"]) == (0, 0, 1)


def test_a_success_is_what_the_policy_calls_so(bundle: Bundle) -> None:
    bundle.put_policies({"success": "status < `300` && body.ReturnStatus != 'ERROR'"})
    good, bad, text, none = (
        bundle.stored("/mirror/200", targetRestApiPayload=payload)
        for payload in ({"ReturnStatus": "OK"}, {"ReturnStatus": "ERROR"}, "text", {"a": "x" * 70_000})
    )
    refused = bundle.stored("/mirror/404", targetRestApiPayload={"ReturnStatus": "OK"})
    bundle.process()
    assert bundle.state(good)["status"] == "success"
    state = bundle.state(bad)
    assert (state["status"], state["status_code"]) == ("failed", 200)
    assert state["failure_reason"] == "the target answered 200, which policy 'sample' does not call a success"
    assert json.loads(state["attempts"][-1]["answer"]) == {"ReturnStatus": "ERROR"}
    assert bundle.state(text)["status"] == "success"  # of text there is no member, which differs from ERROR
    assert "its body was not read, since it is longer than 64 KiB" in bundle.state(none)["failure_reason"]
    assert bundle.state(refused)["status_code"] == 404


@pytest.mark.parametrize("path", ["/big/50000000", "/drip/50"])
def test_an_endless_answer_is_no_success_by_its_body_and_takes_bounded_time(
    bundle: Bundle, path: str
) -> None:
    bundle.put_policies({"success": "body != 'ERROR'", "readTimeout": "1s"})
    identity = bundle.stored(path)
    started = time.monotonic()
    assert bundle.process()["failedMessages"] == 1
    assert time.monotonic() - started < 15
    assert "its body was not read, since it is longer than 64 KiB" in bundle.state(identity)["failure_reason"]


def test_what_no_policy_can_tell_is_a_failure_that_says_so(bundle: Bundle) -> None:
    bundle.put_policies({"success": "body.done"})
    identity = bundle.stored("/mirror/200", targetRestApiPayload={"done": "perhaps"})
    bundle.process()
    reason = bundle.state(identity)["failure_reason"]
    assert reason == (
        "the target answered 200; whether it is a success can't be told:"
        " policy 'sample': success gives neither true nor false"
    )


@pytest.mark.parametrize(
    ("answers", "kept"), [("failures", (False, True)), ("all", (True, True)), ("none", (False, False))]
)
def test_answers_are_kept_as_the_policy_says(bundle: Bundle, answers: str, kept: tuple[bool, bool]) -> None:
    bundle.put_policies({"answers": answers})
    ids = [bundle.stored(f"/mirror/{code}", targetRestApiPayload={"a": 1}) for code in (200, 404)]
    bundle.process()
    last = [bundle.state(identity)["attempts"][-1] for identity in ids]
    assert tuple("answer" in attempt for attempt in last) == kept


def test_one_paused_target_leaves_another_alone(tmp_path: Path) -> None:
    with (
        another_target() as paused,
        another_target() as other,
        running(tmp_path / "home", ALLOWED_TARGETS=f"{paused},{other}") as bundle,
    ):
        bundle.put_policies({"targetRestApi": paused, "paused": True})
        bundle.store([bundle.record(f"{paused}/ok") for _ in range(300)])
        bundle.store([bundle.record(f"{other}/ok") for _ in range(10)])
        assert bundle.process()["processedmessages"] == 10
