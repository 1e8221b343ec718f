"""`datasync find`, `history` and `show` ask for what was meant, and print all of the answer as text."""

import json
from typing import Any

import pytest
import responses
from rich.console import Console

from tests.unit.datasync_deployment import URL, deployment, run
from tests.unit.test_datasync_status import rows

__all__ = ["deployment"]  # a fixture
RECORD = {
    "id": "01a20b76-df29-7055-b3ec-dc7ab6212dc5",
    "createdDate": "2026-11-24T02:51:10.102230Z",
    "status": "failed",
    "dead": True,
    "status_code": 404,
    "reference": "[red]4711",
    "targetRestApi": "https://erp.example.com/orders",
}


def found(mock: responses.RequestsMock, *ids: str, more: str | None = None) -> None:
    mock.get(f"{URL}/store", json={"records": [{"id": one} for one in ids], "next": more})


def asked(mock: responses.RequestsMock) -> list[dict[str, str]]:
    return [call.request.params for call in mock.calls]


@pytest.mark.parametrize(
    ("options", "query"),
    [
        (("--reference", "order 4711"), {"reference": "order 4711"}),
        (("order 4711",), {"reference": "order 4711"}),
        (("--reference=-1",), {"reference": "-1"}),
        (("--key", "k&y"), {"streamKey": "k&y"}),
        (("--status", "cancelled"), {"status": "cancelled"}),
        (("4711", "--from", "2026-11-01T00:00:00Z"), {"reference": "4711", "from": "2026-11-01T00:00:00Z"}),
        (("4711", "--to", "2026-11-01T00:00:00Z"), {"reference": "4711", "to": "2026-11-01T00:00:00Z"}),
    ],
)
def test_what_is_searched_for_is_asked_for(deployment, options, query):
    found(deployment, "1")
    assert run("find", *options) == 0
    assert asked(deployment) == [{**query, "limit": "51"}]


@pytest.mark.parametrize(
    "options", [(), ("a", "--key", "k"), ("a", "--reference", "b"), ("--key", "k", "--status", "failed")]
)
def test_one_thing_is_searched_by(deployment, capsys, options):
    with pytest.raises(SystemExit) as ended:
        run("find", *options)
    assert ended.value.code == 2
    assert "--key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--limit", "0", "1 or more"), ("--limit", "x", "1 or more"), ("--status", "dead", "not_processed")],
)
def test_a_wrong_value_is_told_what_would_be_right(deployment, capsys, option, value, words):
    with pytest.raises(SystemExit) as ended:
        run("find", *(() if option == "--status" else ("a",)), option, value)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_pages_are_read_until_the_limit(deployment, capsys):
    found(deployment, "5", "4", more="4")
    found(deployment, "3", "2", more="2")
    assert run("find", "a", "--limit", "3", "--json") == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["5", "4", "3"]
    assert asked(deployment) == [
        {"reference": "a", "limit": "4"},
        {"reference": "a", "limit": "4", "after": "4"},
    ]


def test_no_page_has_more_than_the_deployment_gives(deployment):
    found(deployment, "1")
    assert run("find", "a", "--limit", "1000") == 0
    assert asked(deployment)[0]["limit"] == "100"


def test_an_empty_page_is_not_the_end(deployment, capsys):
    found(deployment, more="4")
    found(deployment, "3")
    assert run("find", "a", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"id": "3"}]


def test_a_list_that_goes_round_in_circles_is_left(deployment, capsys):
    found(deployment, "4", more="4")
    found(deployment, "4", more="4")
    assert run("find", "a") == 1
    assert "has no end" in capsys.readouterr().err


def test_records_are_shown_with_whole_ids_and_as_text(deployment, capsys):
    deployment.get(f"{URL}/store", json={"records": [RECORD], "next": None})
    assert run("find", "a") == 0
    assert (
        RECORD["id"],
        "failed, dead",
        "2026-11-24T02:51:10Z",
        "https://erp.example.com/orders",
        "404",
        "[red]4711",
    ) in rows(capsys.readouterr().out)


@pytest.mark.parametrize("width", [80, 150])
def test_a_terminal_shows_whole_ids_and_every_cell(deployment, capsys, monkeypatch, width):
    monkeypatch.setattr("datasync.output._console", lambda: Console(width=width))
    long = {"status_code": "unexpectedError", "reference": "[red]4711" * 5}
    deployment.get(f"{URL}/store", json={"records": [RECORD | long], "next": None})
    assert run("find", "a") == 0
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= width
    for words in (
        RECORD["id"],
        "failed, dead",
        "2026-11-24T02:51:10Z",
        "https://erp",
        "unexpectedError",
        "[red]4711",
    ):
        assert words in output
    heads = [line for line in output.splitlines() if "target" in line]
    assert ("reference" in heads[0], "stored" in heads[0]) == (True, width != 80)


@pytest.mark.parametrize(("limit", "words"), [("2", "2 found, the newest first"), ("1", "raise --limit")])
def test_what_the_limit_leaves_out_is_said(deployment, capsys, limit, words):
    found(deployment, "id-2", "id-1")
    assert run("find", "a", "--limit", limit) == 0
    output = capsys.readouterr().out
    assert words in output
    assert ("raise --limit" in output) == ("id-1" not in output) == (limit == "1")


def test_if_nothing_is_found_it_says_what_to_do(deployment, capsys):
    found(deployment)
    assert run("find", "a") == 0
    assert "widen --from and --to" in capsys.readouterr().out
    found(deployment)
    assert run("find", "a", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_search_that_is_refused_is_told_why(deployment, capsys):
    errors = [{"pointer": "/from", "detail": "must be a time"}]
    problem: dict[str, Any] = {"title": "Validation failed", "status": 422, "errors": errors}
    deployment.get(f"{URL}/store", status=422, json=problem)
    assert run("find", "a", "--from", "yesterday") == 1
    assert "at /from: must be a time" in capsys.readouterr().err


ACTS = [
    {
        "time": "t4.123456Z",
        "act": "replay",
        "by": "ops",
        "filter": {"retryCodes": ["503", "504"], "force": True, "targetRestApi": "https://[red]/"},
        "processedmessages": 5,
        "failedMessages": 1,
        "skippedMessages": 0,
        "calls": 2,
    },
    {"time": "t3", "act": "replay", "filter": {}, "processedmessages": 1, "calls": 1},
    {"time": "t2", "act": "cancel", "by": "olga", "record": "id-1"},
    {"time": "t1", "act": "targets", "by": "olga", "version": 7},
    {"time": "t0", "act": "replay", "by": "ops", "filter": {"ids": ["a", "b", "c", "d", "e"]}},
]


def test_history_says_who_did_what_and_what_came_of_it(deployment, capsys):
    deployment.get(f"{URL}/process/history", json={"history": ACTS})
    assert run("history") == 0
    replayed = "retryCodes=503 504, force=true, targetRestApi=https://[red]/"
    shown = rows(capsys.readouterr().out)
    for row in (
        ("t4Z", "ops", "replay", replayed, "5 delivered, 1 failed again, 0 skipped, in 2 calls"),
        ("t3", "-", "replay", "all that is due", "1 delivered, in 1 call"),
        ("t2", "olga", "cancel", "id-1", "-"),
        ("t1", "olga", "targets", "version 7", "-"),
        ("t0", "ops", "replay", "ids=a b c and 2 more", "-"),
    ):
        assert row in shown, row


def test_history_as_json_is_what_the_deployment_keeps(deployment, capsys):
    deployment.get(f"{URL}/process/history", json={"history": ACTS})
    assert run("history", "--json") == 0
    assert json.loads(capsys.readouterr().out) == ACTS


def test_a_history_of_nothing_says_what_will_stand_there(deployment, capsys):
    deployment.get(f"{URL}/process/history", json={"history": []})
    assert run("history") == 0
    assert "Nothing was done so far" in capsys.readouterr().out


def test_lists_of_another_shape_are_shown_as_far_as_they_go(deployment, capsys):
    deployment.get(f"{URL}/process/history", json={"history": [7, {"act": "x", "filter": 7}]})
    deployment.get(f"{URL}/store", json={"records": 7})
    deployment.get(f"{URL}/store/7", json={"id": "7", "attempts": 7, "history": [7]})
    assert run("history") == run("find", "a") == run("show", "7") == 0
    assert ("-", "-", "x", "-", "-") in rows(capsys.readouterr().out)


def test_show_has_what_the_target_said_and_what_people_did(deployment, capsys):
    state = {
        "id": "7",
        "attempts": [{"time": "t1", "code": 404, "durationMs": 21, "reason": "Not Found", "answer": "{[b]}"}],
        "history": [
            {
                "time": "t2",
                "act": "edited",
                "by": "olga",
                "changed": ["targetRestApi", "targetRestApiPayload"],
                "was": {"targetRestApi": "https://a/"},
            },
            {"time": "t3", "act": "replayed"},
        ],
    }
    deployment.get(f"{URL}/store/7", json=state)
    assert run("show", "7") == 0
    shown = rows(capsys.readouterr().out)
    for row in (
        ("time", "code", "ms", "reason", "the target's answer"),
        ("t1", "404", "21", "Not Found", "{[b]}"),
        ("t2", "edited", "olga", "targetRestApi, targetRestApiPayload", '{"targetRestApi": "https://a/"}'),
        ("t3", "replayed", "-", "-", "-"),
    ):
        assert row in shown, row
