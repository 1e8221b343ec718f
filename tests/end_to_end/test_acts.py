"""Finding, cancelling, editing and replaying single records, and who did it, through the gateway."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.bundle import Bundle, running

KEYS = "source/mobile:m0bile-4f2a9c71d8,source/erp:erp-0a9b8c7d6e5f,operator/ops:0perator-b83e5d06"
MOBILE, ERP, OPS = (one.split(":")[1] for one in KEYS.split(","))


@pytest.fixture
def bundle(home: Path) -> Iterator[Bundle]:
    with running(home, API_KEYS=KEYS, RETRY_BACKOFF="0s..0s") as it:
        yield replace(it, key=OPS)


def as_caller(key: str) -> dict[str, str]:
    return {"X_API_Key": key}


def stored(bundle: Bundle, path: str = "/ok", key: str = MOBILE, **members: Any) -> str:
    record = {"targetRestApi": f"{bundle.target_url}{path}", "targetRestApiOperation": "POST"}
    answer = bundle.call(
        "POST", "/store", {**record, "targetRestApiPayload": {"a": 1}, **members}, **as_caller(key)
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def found(bundle: Bundle, query: str, key: str = OPS) -> list[str]:
    """The ids that a search finds, page after page."""
    ids: list[str] = []
    after = ""
    while True:
        answer = bundle.call("GET", f"/store?{query}{after}", **as_caller(key))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        ids += [one["id"] for one in page["records"]]
        if page["next"] is None:
            return ids
        after = f"&after={page['next']}"


def test_records_are_found_by_what_people_call_them_whatever_became_of_them(bundle: Bundle) -> None:
    ids = [stored(bundle, path, reference="4711", streamKey=path) for path in ("/ok", "/status/404", "/ok")]
    stored(bundle, reference="4712")
    other = stored(bundle, key=ERP, reference="4711")
    bundle.process()
    assert found(bundle, "reference=4711&limit=1") == [other, *ids[::-1]]
    assert found(bundle, "reference=4711&limit=2", MOBILE) == ids[::-1]
    assert found(bundle, "streamKey=%2Fok&limit=1", MOBILE) == [ids[2], ids[0]]
    assert found(bundle, "status=failed") == found(bundle, "status=failed", MOBILE) == [ids[1]]
    assert found(bundle, "status=failed", ERP) == []
    assert found(bundle, "status=success", ERP) == [other]
    last = bundle.state(ids[2])["createdDate"]
    assert found(bundle, f"reference=4711&from={last}") == [other, ids[2]]
    assert found(bundle, f"reference=4711&to={last}") == ids[1::-1]
    answer = bundle.call("GET", "/store?reference=4711").json()["records"][0]
    assert answer.keys().isdisjoint({"targetRestApiPayload", "targetRestApiHeaders", "datasync"})


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("", [""]),
        ("reference=a&status=failed", [""]),
        ("reference=", ["/reference"]),
        ("status=dead", ["/status"]),
        ("reference=a&limit=101", ["/limit"]),
        ("reference=a&limit=x&from=yesterday&colour=red", ["/colour", "/from", "/limit"]),
    ],
)
def test_a_search_that_can_not_be_understood_is_told_why(
    bundle: Bundle, query: str, pointers: list[str]
) -> None:
    answer = bundle.call("GET", f"/store?{query}")
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == pointers


def test_a_page_of_a_search_holds_while_records_come_and_go(bundle: Bundle) -> None:
    ids = [stored(bundle, reference="r") for _ in range(5)]
    first = bundle.call("GET", "/store?reference=r&limit=2").json()
    stored(bundle, reference="r")
    bundle.call("DELETE", f"/store/{ids[1]}")
    rest = found(bundle, f"reference=r&after={first['next']}")
    assert [one["id"] for one in first["records"]] + rest == ids[::-1]


def test_a_cancelled_record_is_never_sent_and_holds_back_nothing(bundle: Bundle) -> None:
    first, second = (stored(bundle, path, streamKey="k") for path in ("/status/503", "/ok"))
    bundle.process()
    assert bundle.received()
    assert bundle.state(second)["status"] == "not_processed"
    answer = bundle.call("DELETE", f"/store/{first}", **as_caller(MOBILE))
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    bundle.process()
    bundle.retry(retryCodes="503", force=True)
    assert [one["idempotencyKey"] for one in bundle.received()] == [first, second]
    assert bundle.call("DELETE", f"/store/{first}").status_code == 409
    counts = bundle.call("GET", "/process").json()["counts"]
    assert (counts["cancelled"], counts["success"], counts["failed"]) == (1, 1, 0)


def test_what_is_being_sent_when_it_is_cancelled_tells_what_became_of_it(bundle: Bundle) -> None:
    identity = stored(bundle, "/slow/1500")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(bundle.process)
        while not bundle.received():
            time.sleep(0.05)
        assert bundle.call("DELETE", f"/store/{identity}").json()["status"] == "cancelled"
        assert call.result()["processedmessages"] == 1
    state = bundle.state(identity)
    assert (state["status"], len(state["attempts"]), state["history"][0]["act"]) == (
        "success",
        1,
        "cancelled",
    )
    bundle.process()
    assert len(bundle.received()) == 1


def test_callers_can_do_what_their_role_allows(bundle: Bundle) -> None:
    identity = stored(bundle)
    assert bundle.call("DELETE", f"/store/{identity}", **as_caller(ERP)).status_code == 404
    change = {"targetRestApiPayload": {}}
    assert bundle.call("PATCH", f"/store/{identity}", change, **as_caller(MOBILE)).status_code == 403
    assert bundle.call("GET", "/process/history", **as_caller(MOBILE)).status_code == 403
    assert bundle.call("GET", "/process/failures", **as_caller(MOBILE)).status_code == 403
    assert bundle.call("DELETE", "/store/nothing").status_code == 404
    assert bundle.call("PATCH", "/store/nothing", change).status_code == 404


def test_an_order_is_edited_and_replayed_alone_and_it_is_known_by_whom(bundle: Bundle) -> None:
    wrong, other = (stored(bundle, "/status/422", reference="4711") for _ in range(2))
    bundle.process()
    change = {"targetRestApi": f"{bundle.target_url}/ok", "targetRestApiPayload": {"a": 2}}
    edited = bundle.call("PATCH", f"/store/{wrong}", change)
    assert (edited.status_code, edited.json()["dead"]) == (200, True)
    assert bundle.retry(ids=[wrong])["processedmessages"] == 1
    last = bundle.received()[-1]
    assert (last["idempotencyKey"], json.loads(last["body"])) == (wrong, {"a": 2})
    state = bundle.state(wrong)
    assert state["status"] == "success"
    acts = [(one["act"], one["by"]) for one in state["history"]]
    assert acts == [("edited", "ops"), ("replayed", "ops")]
    assert state["history"][0]["was"] == {"targetRestApi": f"{bundle.target_url}/status/422"}
    assert "history" not in bundle.state(other)
    done = bundle.call("GET", "/process/history").json()["history"]
    assert [one["act"] for one in done] == ["replay", "edit"]
    assert (done[0]["filter"], done[0]["processedmessages"]) == ({"ids": [wrong]}, 1)
    assert (done[1]["record"], done[1]["by"]) == (wrong, "ops")


def test_an_edit_that_breaks_a_rule_changes_nothing(bundle: Bundle) -> None:
    identity = stored(bundle)
    before = bundle.documents()
    for change, pointer in (
        ({"targetRestApi": "https://evil.example.com/"}, "/targetRestApi"),
        ({"targetRestApiHeaders": {"Authorization": "x"}}, "/targetRestApiHeaders/Authorization"),
        ({"streamKey": "x"}, "/streamKey"),
        ({}, ""),
    ):
        answer = bundle.call("PATCH", f"/store/{identity}", change)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert bundle.call("PATCH", f"/store/{identity}", [1]).status_code == 422
    assert bundle.documents() == before


def test_what_is_counted_can_be_listed_to_the_end(bundle: Bundle) -> None:
    ids = [stored(bundle, f"/status/{code}", reference=f"r{code}") for code in (503, 404, 503, 404, 503)]
    bundle.process()
    counted = bundle.call("GET", "/process").json()["failed"]["byCode"]
    for query, expected in (
        ("retryCodes=503", ids[::2]),
        ("retryCodes=404", ids[1::2]),
        (f"targetRestApi={bundle.target_url}/status/404", ids[1::2]),
        ("reference=r503", ids[::2]),
        ("", ids),
    ):
        listed: list[str] = []
        after = ""
        while after is not None:
            path = f"/process/failures?{query}&limit=1" + (f"&after={after}" if after else "")
            page = bundle.call("GET", path).json()
            listed += [one["id"] for one in page["failures"]]
            after = page["next"]
        assert sorted(listed) == expected
    assert counted == {"503": 3, "404": 2}


def test_a_dry_run_tells_how_many_and_of_what(bundle: Bundle) -> None:
    for code in (503, 404, 503):
        stored(bundle, f"/status/{code}")
    bundle.process()
    host = bundle.target_url.removeprefix("http://")
    answer = bundle.call("POST", "/process/retry", {"force": True, "dryRun": True, "breakdown": True}).json()
    assert answer == {"matchingMessages": 3, "byCode": {"404": 1, "503": 2}, "byTarget": {host: 3}}
    answer = bundle.call(
        "POST", "/process/retry", {"retryCodes": "503", "force": True, "dryRun": True, "breakdown": True}
    ).json()
    assert (answer["matchingMessages"], answer["byCode"]) == (2, {"503": 2})
    assert bundle.call("GET", "/process/history").json() == {"history": []}


def test_a_change_of_policies_is_in_the_history(bundle: Bundle) -> None:
    bundle.put_policies({"name": "erp", "targetRestApi": f"{bundle.target_url}/", "paused": True})
    (entry,) = bundle.call("GET", "/process/history").json()["history"]
    assert (entry["act"], entry["by"], entry["version"]) == ("targets", "ops", 1)
