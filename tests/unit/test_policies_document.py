"""The policies document is read as a whole, and every fault is named at its place."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.model import policies_document
from shared.model.errors import Invalid
from shared.model.policy import FOREVER, Area, Rate

ENTRY = {"name": "erp", "targetRestApi": "https://ERP.example.com:443/api/"}
FIRST = {"name": "first", "targetRestApi": "https://first.example.com/"}


def read(*entries: Any, **others: Any) -> list[Any]:
    return policies_document.read({"targets": list(entries), **others})


def test_all_members_are_read() -> None:
    policy = read(
        {
            **ENTRY,
            "targetRestApiOperation": "POST",
            "paused": "2026-12-01T06:00:00Z",
            "rate": {"requests": 30, "per": "1m"},
            "concurrency": 4,
            "connectTimeout": "5s",
            "readTimeout": "4m",
            "retryCodes": [408, "503"],
            "retryLimit": 3,
            "retryBackoff": "1m..1h",
            "unknownOutcome": "hold",
            "success": "body.ok",
            "answers": "all",
            "filter": "payload.a",
            "payload": "payload",
            "headers": "headers",
        }
    )[0]
    assert policy.area == Area("https://erp.example.com/api/", "POST")
    assert policy.paused_until == datetime(2026, 12, 1, 6, tzinfo=UTC)
    assert (policy.rate, policy.concurrency) == (Rate(30, 60), 4)
    assert (policy.connect_timeout, policy.read_timeout) == (5, 240)
    assert (policy.retry_codes, policy.retry_limit) == (frozenset({"408", "503"}), 3)
    assert policy.retry_backoff == (60, 3600)
    assert policy.holds_unknown
    assert policy.success.text == "body.ok"
    assert policy.answers == "all"
    assert policy.maps


def test_nothing_but_name_and_url_is_needed() -> None:
    policy = read(ENTRY)[0]
    assert not policy.maps
    assert not policy.holds_unknown
    assert policy.answers == "failures"
    assert policy.paused_until is None


def test_what_an_answer_has_beside_the_document_may_be_sent_back() -> None:
    assert read(version=3, changedBy="a", changedDate="b", live=[], time="c") == []


def test_paused_may_be_true_or_false() -> None:
    first, second = read(
        {**ENTRY, "paused": True}, {"name": "b", "targetRestApi": "https://b/", "paused": False}
    )
    assert first.paused_until == FOREVER
    assert second.paused_until is None


@pytest.mark.parametrize(
    ("entry", "pointer"),
    [
        (1, ""),
        ({"name": "a"}, "/targetRestApi"),
        ({"targetRestApi": "https://a/"}, "/name"),
        ({**ENTRY, "name": ""}, "/name"),
        ({**ENTRY, "name": "a" * 61}, "/name"),
        ({**ENTRY, "name": "a\nb"}, "/name"),
        ({**ENTRY, "name": " a"}, "/name"),
        ({**ENTRY, "targetRestApi": "erp.example.com"}, "/targetRestApi"),
        ({**ENTRY, "targetRestApi": "ftp://erp.example.com/"}, "/targetRestApi"),
        ({**ENTRY, "targetRestApiOperation": "FETCH"}, "/targetRestApiOperation"),
        ({**ENTRY, "paused": "tomorrow"}, "/paused"),
        ({**ENTRY, "paused": 1}, "/paused"),
        ({**ENTRY, "rate": 30}, "/rate"),
        ({**ENTRY, "rate": {"requests": 30}}, "/rate/per"),
        ({**ENTRY, "rate": {"requests": 0, "per": "1m"}}, "/rate/requests"),
        ({**ENTRY, "rate": {"requests": 30, "per": "1w"}}, "/rate/per"),
        ({**ENTRY, "rate": {"requests": 30, "per": "1m", "burst": 2}}, "/rate/burst"),
        ({**ENTRY, "concurrency": 0}, "/concurrency"),
        ({**ENTRY, "concurrency": True}, "/concurrency"),
        ({**ENTRY, "concurrency": 257}, "/concurrency"),
        ({**ENTRY, "readTimeout": "5m"}, "/readTimeout"),
        ({**ENTRY, "readTimeout": 30}, "/readTimeout"),
        ({**ENTRY, "connectTimeout": "0s"}, "/connectTimeout"),
        ({**ENTRY, "connectTimeout": "4m", "readTimeout": "4m"}, "/connectTimeout"),
        ({**ENTRY, "retryCodes": "6xx"}, "/retryCodes"),
        ({**ENTRY, "retryLimit": 0}, "/retryLimit"),
        ({**ENTRY, "retryBackoff": "1h"}, "/retryBackoff"),
        ({**ENTRY, "unknownOutcome": "ask"}, "/unknownOutcome"),
        ({**ENTRY, "success": "body.["}, "/success"),
        ({**ENTRY, "answers": ["all"]}, "/answers"),
        ({**ENTRY, "filter": ""}, "/filter"),
        ({**ENTRY, "payload": 1}, "/payload"),
        ({**ENTRY, "headers": "a" * 10_001}, "/headers"),
        ({**ENTRY, "headers": "!" * 9_999 + "a"}, "/headers"),
        ({**ENTRY, "pause": True}, "/pause"),
        ({**ENTRY, "name": "first"}, "/name"),
        ({**ENTRY, "targetRestApi": "HTTPS://First.example.com:443/"}, "/targetRestApi"),
    ],
)
def test_each_fault_is_named_at_its_place(entry: Any, pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(FIRST, entry, {"name": "last", "targetRestApi": "nowhere"})
    places = {fault.pointer for fault in caught.value.faults}
    assert places == {f"/targets/1{pointer}", "/targets/2/targetRestApi"}


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], ""),
        ({}, "/targets"),
        ({"targets": {}}, "/targets"),
        ({"targets": "all"}, "/targets"),
        ({"targets": [], "target": []}, "/target"),
        ({"targets": [ENTRY] * 501}, "/targets"),
    ],
)
def test_what_is_no_document_is_said(document: Any, pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        policies_document.read(document)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]
