"""`datasync tail` prints each failed attempt once, whatever happens to the deployment, until Ctrl-C."""

from collections.abc import Callable
from typing import Any

import pytest
import responses
from requests.exceptions import ConnectionError as NotReached

from datasync.filters import matcher
from tests.unit.datasync_deployment import URL, deployment, pauses, run

__all__ = ["deployment", "pauses"]  # fixtures
FAILURES = f"{URL}/process/failures"

Naps = Callable[[int], list[float]]


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> Naps:
    """Makes a command's naps take no time, and Ctrl-C come in one of them."""

    def until(number: int) -> list[float]:
        taken: list[float] = []

        def sleep(seconds: float) -> None:
            taken.append(seconds)
            if len(taken) == number:
                raise KeyboardInterrupt

        monkeypatch.setattr("datasync.tail.time.sleep", sleep)
        return taken

    return until


def failed(time: str, identity: str, code: int | str = 503, **members: Any) -> dict[str, Any]:
    return {"id": identity, "lastAttemptDate": time, "status_code": code, **members}


def listed(mock: responses.RequestsMock, *failures: dict[str, Any], more: str | None = None) -> None:
    mock.get(FAILURES, json={"failures": failures, "next": more})


def printed(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, ...]]:
    """Time and id of each line."""
    return [tuple(line.split("  ")[:2]) for line in capsys.readouterr().out.splitlines()]


def test_each_failed_attempt_is_printed_once_the_oldest_first(deployment, capsys, naps):
    taken = naps(4)
    old = [failed("t2", "b"), failed("t1", "a")]
    listed(deployment, *old)
    listed(deployment, *old)
    listed(deployment, *old)
    listed(deployment, failed("t4", "c"), failed("t3", "a"), failed("t2", "b"))
    listed(deployment, failed("t4", "c"), failed("t3", "a"), failed("t2", "b"))
    assert run("tail", "--interval", "2.5") == 0
    assert printed(capsys) == [("t1", "a"), ("t2", "b"), ("t3", "a"), ("t4", "c")]
    assert taken == [2.5] * 4


def test_a_line_has_what_is_known_as_text(deployment, capsys, naps):
    naps(1)
    more = {"targetRestApi": "https://erp/", "failure_reason": "404\x1b[31m Not Found"}
    both = [failed("t2", "b", "invalid", dead=True, **more), {"id": "a", "createdDate": "t1"}]
    listed(deployment, *both)
    listed(deployment, *both)
    run("tail")
    assert capsys.readouterr().out.splitlines() == [
        "t1  a  -  retrying  -  -",
        "t2  b  invalid  dead  https://erp/  404 [31m Not Found",
    ]


def test_few_of_those_that_were_there_are_printed(deployment, capsys, naps):
    naps(2)
    many = [failed(f"t{1000 - number}", f"id{number}") for number in range(100)]
    listed(deployment, *many, more="behind")
    listed(deployment, *many[:10], more="there")
    # One came, two were delivered meanwhile; what lies behind the first hundred is not new.
    listed(deployment, failed("t9999", "new"), *many[1:99], failed("t0", "old"), more="further")
    run("tail")
    assert len(lines := printed(capsys)) == 11
    assert lines[-1] == ("t9999", "new")


def test_more_new_ones_than_a_page_has_are_all_printed(deployment, capsys, naps):
    naps(2)
    listed(deployment, failed("t000", "old"))
    listed(deployment, failed("t000", "old"))
    new = [failed(f"t{200 - number}", f"id{number}") for number in range(150)]
    listed(deployment, *new[:100], more="behind")
    listed(deployment, *new[100:], failed("t000", "old"))
    run("tail")
    assert len(printed(capsys)) == 151
    assert [call.request.params.get("after") for call in deployment.calls] == [None, None, None, "behind"]


def test_what_is_written_late_is_printed_behind_what_is_known(deployment, capsys, naps):
    naps(2)
    listed(deployment, failed("t5", "a"), failed("t1", "b"))
    listed(deployment, failed("t5", "a"), failed("t1", "b"))
    listed(deployment, failed("t5", "a"), failed("t4", "late"), failed("t1", "b"))
    run("tail")
    assert printed(capsys)[2:] == [("t4", "late")]


def test_only_what_matches_is_printed_though_all_that_is_new_is_read(deployment, capsys, naps):
    naps(2)
    listed(deployment)
    listed(deployment)
    listed(deployment, failed("t2", "b", 404), failed("t1", "a", 503))
    assert run("tail", "--codes", "503", "--key", "") == 0
    assert printed(capsys) == []
    assert [call.request.params for call in deployment.calls] == [
        {"limit": "100"},
        {"retryCodes": "503", "streamKey": "", "limit": "10"},
        {"limit": "100"},
    ]


MATCHED = {
    "status_code": 503,
    "error_stream": "s",
    "targetRestApi": "https://erp.example.com/Orders/7",
    "streamKey": "k",
    "reference": "r",
    "vaultSecretName": "v",
    "createdDate": "2026-11-24T02:51:10.102230Z",
}


@pytest.mark.parametrize(
    ("chosen", "does"),
    [
        ({}, True),
        ({"retryCodes": "404, 503"}, True),
        ({"retryCodes": "50"}, False),
        ({"streamOCIDToRetry": "s"}, True),
        ({"streamOCIDToRetry": "S"}, False),
        ({"targetRestApi": "HTTPS://ERP.example.com:443/Ord"}, True),
        ({"targetRestApi": "https://erp.example.com/ord"}, False),
        ({"targetRestApi": "https://ERP.exam"}, True),
        ({"targetRestApi": "HTT"}, True),
        ({"targetRestApi": "https://erp.example.com:8443/"}, False),
        ({"streamKey": "k"}, True),
        ({"streamKey": "r"}, False),
        ({"reference": "r"}, True),
        ({"reference": "v"}, False),
        ({"vaultSecretName": "v"}, True),
        ({"vaultSecretName": "k"}, False),
        ({"from": "2026-11-24T03:51:10.102230+01:00"}, True),
        ({"from": "2026-11-24T02:51:10.102231Z"}, False),
        ({"to": "2026-11-24T02:51:10.102230Z"}, False),
        ({"to": "2026-11-24T02:51:10.102231Z"}, True),
        ({"streamKey": "k", "reference": "other"}, False),
    ],
)
def test_a_filter_means_what_the_deployment_means_by_it(chosen, does):
    assert matcher(chosen)(MATCHED) is does


def test_a_record_without_a_time_is_in_none():
    assert not matcher({"from": "2026-11-24T00:00:00Z"})({})
    assert not matcher({"to": "2026-11-24T00:00:00Z"})({"createdDate": "2026-11-23T00:00:00"})


def test_what_is_forgotten_is_not_printed_again(deployment, capsys, naps, monkeypatch):
    naps(3)
    monkeypatch.setattr("datasync.tail._KNOWN_MOST", 2)
    one, two, three, four = (failed(f"t{number}", "a") for number in (1, 2, 3, 4))
    listed(deployment, one)
    listed(deployment, one)
    listed(deployment, three, two, one)
    listed(deployment, four, three, two, one)
    run("tail")
    assert printed(capsys) == [("t1", "a"), ("t2", "a"), ("t3", "a"), ("t4", "a")]


def test_the_oldest_are_forgotten_first(deployment, capsys, naps, monkeypatch):
    naps(3)
    monkeypatch.setattr("datasync.tail._KNOWN_MOST", 2)
    three = [failed("t3", "a"), failed("t2", "b"), failed("t1", "c")]
    listed(deployment)
    listed(deployment)
    listed(deployment, *three)
    listed(deployment, three[0], failed("t2.5", "late"), *three[1:])
    run("tail")
    assert printed(capsys)[3:] == [("t2.5", "late")]


def test_behind_a_page_of_known_ones_nothing_is_read(deployment, capsys, naps):
    naps(3)
    new = [failed(f"t{200 - number}", f"id{number}") for number in range(100)]
    listed(deployment)
    listed(deployment)
    listed(deployment, *new)
    listed(deployment, *new, more="behind")
    run("tail")
    assert len(printed(capsys)) == 100
    assert len(deployment.calls) == 4


def test_what_comes_while_it_begins_is_printed_once(deployment, capsys, naps):
    naps(2)
    listed(deployment)
    listed(deployment, failed("t1", "a"))
    listed(deployment, failed("t1", "a"))
    run("tail")
    assert printed(capsys) == [("t1", "a")]


def test_an_outage_is_said_once_and_waited_for(deployment, capsys, naps, pauses):
    naps(5)
    listed(deployment)
    listed(deployment)
    deployment.get(FAILURES, body=NotReached("refused"))
    for _ in range(2):
        deployment.get(FAILURES, status=500, json={"title": "Internal server error"})
    listed(deployment, failed("t1", "a"))
    assert run("tail") == 0
    output = capsys.readouterr()
    assert output.out.split("  ")[:2] == ["t1", "a"]
    assert output.err.count("Waiting until it answers again") == 1
    assert output.err.count("It answers again.") == 1
    assert "Traceback" not in output.err


def test_a_second_outage_is_said_too(deployment, capsys, naps):
    naps(4)
    listed(deployment)
    listed(deployment)
    deployment.get(FAILURES, status=500)
    listed(deployment)
    deployment.get(FAILURES, status=500)
    assert run("tail") == 0
    assert capsys.readouterr().err.count("Waiting until it answers again") == 2


def test_a_key_that_is_no_longer_valid_is_not_waited_for(deployment, capsys, naps):
    naps(9)
    listed(deployment)
    listed(deployment)
    deployment.get(FAILURES, status=401)
    assert run("tail") == 1
    assert "DATASYNC_API_KEY" in capsys.readouterr().err


@pytest.mark.parametrize("first", [0, 1])
def test_what_can_not_be_followed_at_all_is_said_at_once(deployment, capsys, naps, first):
    naps(9)
    for _ in range(first):
        listed(deployment)
    errors = [{"pointer": "/from", "detail": "must be a time"}]
    deployment.get(FAILURES, status=422, json={"title": "Validation failed", "errors": errors})
    assert run("tail", "--from", "yesterday") == 1
    assert "at /from: must be a time" in capsys.readouterr().err


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "x"])
def test_an_interval_is_a_time(deployment, capsys, interval):
    with pytest.raises(SystemExit) as ended:
        run("tail", f"--interval={interval}")
    assert ended.value.code == 2
    assert "write seconds" in capsys.readouterr().err
