"""`datasync find`, `tail`, `history`, `cancel`, `edit`: what they ask for, say, and never do unasked."""

import io
import json
from typing import Any

import pytest
import responses

from tests.unit.datasync_deployment import RETRY, URL, bodies, deployment, run

__all__ = ["deployment"]  # a fixture

FAILURES = f"{URL}/process/failures"


def problem(status: int, title: str = "Conflict") -> dict[str, Any]:
    return {"json": {"title": title, "status": status, "detail": "why"}, "status": status}


def listed(
    mock: responses.RequestsMock, path: str, member: str, *records: dict[str, Any], more: str | None = None
) -> None:
    mock.get(f"{URL}{path}", json={member: records, "next": more})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions of a command on a terminal, each answered with no."""
    questions: list[str] = []

    def no(question: str) -> str:
        questions.append(question)
        return "n"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", no)
    return questions


def test_find_follows_the_pages_up_to_its_limit(deployment, capsys):
    listed(deployment, "/store", "records", {"id": "3"}, {"id": "2"}, more="2")
    listed(deployment, "/store", "records", {"id": "1"}, more="1")
    assert run("find", "order 4711", "--from", "2026-11-01T00:00:00Z", "--limit", "3", "--json") == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["3", "2", "1"]
    asked = {"reference": "order 4711", "from": "2026-11-01T00:00:00Z", "limit": "100"}
    assert [call.request.params for call in deployment.calls] == [asked, {**asked, "after": "2"}]


@pytest.mark.parametrize("options", [("--key", "k"), ("--status", "cancelled")])
def test_find_shows_a_table_or_what_to_do(deployment, capsys, options):
    listed(deployment, "/store", "records", {"id": "7", "status": "success", "reference": "[red]4711"})
    assert run("find", *options) == 0
    listed(deployment, "/store", "records")
    assert run("find", *options) == 0
    output = capsys.readouterr().out
    assert "[red]4711" in output
    assert "None found" in output


@pytest.mark.parametrize("options", [(), ("a", "--key", "k"), ("--status", "dead")])
def test_find_wants_one_thing_to_search_by(deployment, options):
    with pytest.raises(SystemExit) as ended:
        run("find", *options)
    assert ended.value.code == 2


def test_cancel_says_by_outcome_what_became_of_each(deployment, capsys):
    deployment.delete(f"{URL}/store/1", json={"id": "1"})
    deployment.delete(f"{URL}/store/a%2Fb", **problem(404, "Not found"))
    deployment.delete(f"{URL}/store/3", **problem(409))
    assert run("cancel", "1", "a/b", "3") == 1
    assert capsys.readouterr().out == "1 cancelled, 1 not found, 1 finished already\n"


def test_cancel_of_what_matches_goes_through_all_pages(deployment, capsys):
    listed(deployment, "/process/failures", "failures", {"id": "1"}, more="behind")
    listed(deployment, "/process/failures", "failures", {"id": "2"})
    for identity in "12":
        deployment.delete(f"{URL}/store/{identity}", json={"id": identity})
    assert run("cancel", "--codes", "404", "--reference", "r", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"cancelled": 2}
    asked = {"retryCodes": "404", "reference": "r", "limit": "100"}
    assert deployment.calls[1].request.params == {**asked, "after": "behind"}


@pytest.mark.parametrize("options", [(), ("1", "--codes", "404")])
def test_cancel_never_means_everything(deployment, capsys, options):
    assert run("cancel", *options) == 2
    assert "Name the records" in capsys.readouterr().err


def test_more_than_one_record_is_changed_only_after_a_yes(deployment, capsys, asked):
    assert run("cancel", "1", "2") == 1
    deployment.post(
        RETRY, json={"matchingMessages": 9, "byCode": {"503": 2, "404": 7}, "byTarget": {"erp:443": 9}}
    )
    assert run("replay", "--force") == 1
    assert asked == [
        "Cancel 2 records? [y/N] ",
        "9 match: 7 of 404, 2 of 503; 9 of erp:443. Replay them? [y/N] ",
    ]
    assert capsys.readouterr().out == "Nothing was changed.\n" * 2
    deployment.delete(f"{URL}/store/1", json={"id": "1"})
    assert run("cancel", "1") == 0
    deployment.delete(f"{URL}/store/2", json={"id": "2"})
    deployment.delete(f"{URL}/store/3", json={"id": "3"})
    assert run("cancel", "--yes", "2", "3") == 0
    assert len(asked) == 2


def test_edit_sends_what_is_to_be_changed(deployment, capsys, monkeypatch, tmp_path):
    deployment.patch(f"{URL}/store/7", json={"id": "7", "dead": True})
    deployment.patch(f"{URL}/store/7", json={"id": "7"})
    payload = tmp_path / "payload.json"
    payload.write_text('{"a": "ä"}', encoding="utf-8")
    headers = ("--target-header", "X-A: 1", "--target-header", "X-B:")
    assert run("edit", "7", "--payload", str(payload), "--target", "https://erp.example.com/", *headers) == 0
    assert "datasync replay --id 7" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("null"))
    assert run("edit", "7", "--payload", "-") == 0
    assert "replay" not in capsys.readouterr().out
    assert bodies(deployment) == [
        {
            "targetRestApi": "https://erp.example.com/",
            "targetRestApiPayload": {"a": "ä"},
            "targetRestApiHeaders": [{"key": "X-A", "value": "1"}, {"key": "X-B", "value": ""}],
        },
        {"targetRestApiPayload": None},
    ]


@pytest.mark.parametrize("options", [(), ("--payload", "/nowhere"), ("--payload", "broken.json")])
def test_edit_that_can_not_be_asked_for_calls_nothing(deployment, capsys, monkeypatch, tmp_path, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    assert run("edit", "7", *options) == 2
    assert capsys.readouterr().err


def test_tail_shows_each_failed_attempt_once_and_waits_out_an_outage(deployment, capsys, monkeypatch):
    first = {"id": "1", "lastAttemptDate": "t1", "status_code": 503}
    again, other = {**first, "lastAttemptDate": "t2"}, {**first, "id": "2", "dead": True}
    for failures in ([first], [other, first], None, None, [again, other]):
        if failures is None:
            deployment.get(FAILURES, **problem(500, "Service misconfigured"))
        else:
            deployment.get(FAILURES, json={"failures": failures, "next": None})
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 5:
            raise KeyboardInterrupt
        return

    monkeypatch.setattr("datasync.find.time.sleep", sleep)
    assert run("tail", "--codes", "503", "--interval", "2") == 0
    output = capsys.readouterr()
    assert [line.split()[:2] for line in output.out.splitlines()] == [["t1", "1"], ["t1", "2"], ["t2", "1"]]
    assert output.err.count("Waiting for it to come back") == 1
    assert naps == [2.0] * 5


def test_history_says_who_did_what(deployment, capsys):
    acts = [{"time": "t", "act": "replay", "by": "ops", "filter": {"retryCodes": "503"}, "calls": 2}]
    deployment.get(f"{URL}/process/history", json={"history": acts})
    assert run("history") == 0
    assert '{"filter": {"retryCodes": "503"}, "calls": 2}' in capsys.readouterr().out
    deployment.get(f"{URL}/process/history", json={"history": []})
    assert run("history") == 0
    assert "Nothing was done" in capsys.readouterr().out


def test_show_has_what_people_did(deployment, capsys):
    history = [{"time": "t", "act": "edited", "by": "olga", "changed": ["targetRestApi"]}]
    deployment.get(f"{URL}/store/7", json={"id": "7", "status": "failed", "history": history})
    assert run("show", "7") == 0
    assert "olga" in capsys.readouterr().out
