"""The operator's commands ask a deployment in the agreed way, and end in every case."""

import argparse
import json
from typing import Any

import pytest
import requests
import responses
from requests import PreparedRequest

from local.operate import add_arguments
from local.operate.deployment import WAITS_MOST, Deployment, DeploymentError

URL = "https://deployment.example.com/datasync"
SECRET = "s3cret-value"


@pytest.fixture
def deployment():
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of the commands, taken down instead of waited for."""
    taken: list[float] = []
    monkeypatch.setattr("local.operate.deployment.time.sleep", taken.append)
    return taken


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser.add_subparsers(required=True))
    command, *options = arguments
    args = parser.parse_args([command, "--url", URL, *options])
    return args.run(args)


def counted(mock: responses.RequestsMock, number: int) -> None:
    mock.post(f"{URL}/process/retry", json={"matchingMessages": number})


def answered(
    mock: responses.RequestsMock,
    offset: Any,
    ok: int = 0,
    failed: int = 0,
    put_off: int = 0,
    *,
    end: bool = False,
) -> None:
    answer = {
        "lastReadOffset": offset,
        "processedmessages": ok,
        "failedMessages": failed,
        "skippedMessages": put_off,
        "endOfStream": end,
    }
    mock.post(f"{URL}/process/retry", json=answer)


def bodies(mock: responses.RequestsMock) -> list[dict[str, Any]]:
    return [json.loads(call.request.body or "null") for call in mock.calls]


def test_replay_counts_first_then_walks_to_the_end_passing_each_offset_back(deployment, capsys):
    counted(deployment, 5)
    answered(deployment, "id-2", ok=2)
    answered(deployment, "id-4", ok=2)
    answered(deployment, "id-5", ok=1, end=True)
    assert run("replay") == 0
    assert bodies(deployment) == [
        {"readAfterOffset": "-1", "dryRun": True},
        {"readAfterOffset": "-1"},
        {"readAfterOffset": "id-2"},
        {"readAfterOffset": "id-4"},
    ]
    output = capsys.readouterr()
    assert output.out == "5 failed records matched: 5 succeeded, 0 failed again, 0 put off\n"
    assert "5/5" in output.err


def test_every_filter_goes_with_the_count_and_with_every_call(deployment):
    counted(deployment, 1)
    answered(deployment, "id-9", ok=1, end=True)
    options = "--codes 503,unexpectedError --stream recoverable --from 2026-11-01T00:00:00Z --force --limit 4"
    more = "--to 2026-11-02T00:00:00Z --target https://erp.example.com/ --key key1 --batch 50 --after id-1"
    assert run("replay", *options.split(), *more.split()) == 0
    filters = {
        "retryCodes": "503,unexpectedError",
        "streamOCIDToRetry": "recoverable",
        "from": "2026-11-01T00:00:00Z",
        "to": "2026-11-02T00:00:00Z",
        "targetRestApi": "https://erp.example.com/",
        "streamKey": "key1",
        "retryLimit": 4,
        "force": True,
        "noOfMessagesToProcess": 50,
        "readAfterOffset": "id-1",
    }
    assert bodies(deployment) == [{**filters, "dryRun": True}, filters]


def test_a_dry_run_only_counts(deployment, capsys):
    counted(deployment, 7)
    assert run("replay", "--dry-run") == 0
    assert [body["dryRun"] for body in bodies(deployment)] == [True]
    assert "7 failed records match" in capsys.readouterr().out


def test_where_nothing_matches_nothing_is_replayed(deployment):
    counted(deployment, 0)
    assert run("replay") == 0
    assert len(deployment.calls) == 1


@pytest.mark.parametrize("result", [{"ok": 1, "failed": 1}, {"ok": 1, "put_off": 1}])
def test_exit_code_1_where_a_record_did_not_succeed(deployment, result):
    counted(deployment, 2)
    answered(deployment, "id-2", **result, end=True)
    assert run("replay") == 1


def test_replay_prints_its_result_as_json_and_nothing_beside(deployment, capsys):
    counted(deployment, 2)
    answered(deployment, "id-2", ok=1, failed=1, end=True)
    run("replay", "--json")
    output = capsys.readouterr()
    assert json.loads(output.out) == {
        "matchingMessages": 2,
        "succeeded": 1,
        "failed": 1,
        "putOff": 0,
        "lastReadOffset": "id-2",
        "endOfStream": True,
    }
    assert output.err == ""


@pytest.mark.parametrize("offset", [-1, "-1", "id-1", "id-0"])
def test_a_walk_that_neither_moves_on_nor_delivers_is_stopped(deployment, capsys, offset):
    counted(deployment, 3)
    answered(deployment, "id-1", failed=1)
    answered(deployment, offset, failed=1)
    assert run("replay") == 1
    complaint = capsys.readouterr().err
    assert "neither moved on nor" in complaint
    assert "--after id-1" in complaint


def test_a_call_that_handled_nothing_but_moved_on_does_not_stop_the_walk(deployment):
    counted(deployment, 2)
    answered(deployment, "id-1", put_off=0)
    answered(deployment, "id-2", ok=2, end=True)
    assert run("replay") == 0


def test_an_offset_of_minus_one_does_not_start_the_walk_again(deployment):
    counted(deployment, 3)
    answered(deployment, "id-1", ok=1)
    answered(deployment, -1, ok=1)
    answered(deployment, "id-3", ok=1, end=True)
    assert run("replay") == 0
    assert [body["readAfterOffset"] for body in bodies(deployment)] == ["-1", "-1", "id-1", "id-1"]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "pause"), [("7", 7.0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0), ("soon", 2.0)]
)
def test_retry_after_is_obeyed(deployment, pauses, status, value, pause):
    deployment.post(f"{URL}/process/retry", status=status, headers={"Retry-After": value})
    counted(deployment, 1)
    assert run("replay", "--dry-run") == 0
    assert pauses == [pause]


def test_waiting_is_bounded_in_number(deployment, pauses, capsys):
    unavailable = {"title": "Unavailable", "detail": "the database does not answer"}
    for _ in range(WAITS_MOST + 1):
        deployment.post(f"{URL}/process/retry", status=503, json=unavailable)
    assert run("replay") == 2
    assert len(pauses) == WAITS_MOST
    assert "the database does not answer" in capsys.readouterr().err


def test_waiting_is_bounded_in_time(deployment, pauses):
    deployment.post(f"{URL}/process/retry", status=503, headers={"Retry-After": "3600"})
    assert run("replay") == 2
    assert pauses == []


def test_a_problem_is_shown_with_the_place_and_without_terminal_codes(deployment, capsys):
    problem = {
        "title": "Unprocessable",
        "detail": "1 member is wrong \x1b[31m",
        "errors": [{"pointer": "/from", "detail": "[bold] is not RFC 3339"}],
    }
    deployment.post(f"{URL}/process/retry", status=422, json=problem)
    assert run("replay", "--from", "x") == 2
    complaint = capsys.readouterr().err
    assert "Unprocessable" in complaint
    assert "at /from: [bold] is not RFC 3339" in complaint
    assert "\x1b" not in complaint


def test_an_error_in_the_middle_tells_what_was_done_and_how_to_go_on(deployment, capsys):
    counted(deployment, 4)
    answered(deployment, "id-2", ok=2)
    deployment.post(f"{URL}/process/retry", status=500, json={"title": "Internal error"})
    assert run("replay") == 2
    output = capsys.readouterr()
    assert "2 succeeded" in output.out
    assert "Internal error" in output.err
    assert "--after id-2" in output.err


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"body": "<html>hello</html>"}, "without a JSON object"),
        ({"json": {"hello": "world"}}, "no number matchingMessages"),
        ({"status": 302, "headers": {"Location": "https://login.example.com/"}}, "answered 302"),
        ({"status": 401, "body": "no"}, "--header"),
        ({"status": 404, "body": "no"}, "root of the deployment"),
        ({"body": requests.exceptions.ConnectionError("refused")}, "could not be reached"),
        ({"body": requests.exceptions.SSLError("bad")}, "REQUESTS_CA_BUNDLE"),
        ({"body": requests.exceptions.ReadTimeout("slow")}, "no answer within"),
    ],
)
def test_what_went_wrong_is_said_with_what_to_do(deployment, capsys, answer, hint):
    deployment.post(f"{URL}/process/retry", **answer)
    assert run("replay") == 2
    assert hint in capsys.readouterr().err


def test_a_deployment_that_does_not_run_is_named_with_the_reason(capsys):
    assert run("status", "--url", "http://127.0.0.1:9") == 2
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    ["deployment.example.com", "ftp://a/", "https://u:p@a/", "https://a/?b=c", "https://a:x/", "https://[/"],
)
def test_a_url_that_names_no_deployment_is_refused(url):
    with pytest.raises(DeploymentError, match="--url"):
        Deployment(url)


def test_headers_are_sent_whatever_the_home_folder_holds_and_never_printed(
    deployment, capsys, tmp_path, monkeypatch
):
    (tmp_path / "netrc").write_text("machine deployment.example.com login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    deployment.get(f"{URL}/process", status=403, body="no")
    authorization = f"Authorization: Bearer {SECRET}"
    assert run("status", "--header", f"X-API-Key: {SECRET}", "--header", authorization) == 2
    sent: PreparedRequest = deployment.calls[0].request
    assert (sent.headers["X-API-Key"], sent.headers["Authorization"]) == (SECRET, f"Bearer {SECRET}")
    assert SECRET not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "header", [SECRET, f"X-API-Key: {SECRET}\r\nX: y", f"X Y: {SECRET}", f"X: {SECRET}é", "X:"]
)
def test_a_malformed_header_is_refused_without_repeating_it(capsys, header):
    with pytest.raises(SystemExit):
        run("status", "--header", header)
    complaint = capsys.readouterr().err
    assert "Name: value" in complaint
    assert SECRET not in complaint


REPORT = {
    "counts": {"not_processed": 3, "success": 1200, "failed": 42, "dead": 17},
    "due": 5,
    "oldestDueDate": "2026-11-23T21:00:00.123456Z",
    "failed": {"byCode": {"503": 25}, "byStream": {"[red]recoverable": 25}},
}


def test_status_shows_every_count(deployment, capsys):
    deployment.get(f"{URL}/process", json=REPORT)
    assert run("status") == 0
    table = capsys.readouterr().out
    rows = [tuple(cell.strip() for cell in line.strip("│").split("│")) for line in table.splitlines()]
    for row in [
        ("not_processed", "3"),
        ("success", "1200"),
        ("failed", "42"),
        ("dead", "17"),
        ("failed with 503", "25"),
        ("failed, filed under [red]recoverable", "25"),
        ("due now", "5"),
        ("oldest due since", "2026-11-23T21:00:00.123456Z"),
    ]:
        assert row in rows


def test_status_as_json_is_the_report_itself(deployment, capsys):
    deployment.get(f"{URL}/process", json=REPORT)
    assert run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == REPORT
