"""`datasync cancel` ends the records that were meant, asks first, and says what became of each."""

import io
import json
from typing import Any

import pytest
import responses

from tests.unit.datasync_deployment import URL, deployment, interrupt, run

__all__ = ["deployment"]  # a fixture


def problem(status: int) -> dict[str, Any]:
    return {"status": status, "json": {"title": "Conflict", "status": status, "detail": "why"}}


def cancelled(mock: responses.RequestsMock, *ids: str) -> None:
    for one in ids:
        mock.delete(f"{URL}/store/{one}", json={"id": one, "status": "cancelled"})


def failures(mock: responses.RequestsMock, *ids: str, more: str | None = None) -> None:
    listed = [
        {"id": one, "status_code": 404, "targetRestApi": f"https://erp.example.com/{one}"} for one in ids
    ]
    mock.get(f"{URL}/process/failures", json={"failures": listed, "next": more})


def said(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_one_record_is_cancelled_without_a_question(deployment, capsys, monkeypatch):
    said(monkeypatch, "n\n")
    cancelled(deployment, "1")
    assert run("cancel", "1") == 0
    assert capsys.readouterr() == ("1 cancelled, 0 finished already, 0 not found\n", "")


def test_an_id_is_one_part_of_the_path_whatever_it_holds(deployment, capsys):
    deployment.delete(f"{URL}/store/..%2Fx%20y%3F", **problem(404))
    assert run("cancel", "../x y?") == 1
    assert capsys.readouterr().out.splitlines()[1] == "not found: ../x y?"


def test_an_id_that_is_no_text_is_not_found(deployment, capsys):
    deployment.delete(f"{URL}/store/%FF", **problem(404))
    assert run("cancel", "\udcff") == 1
    assert "1 not found" in capsys.readouterr().out


def test_what_became_of_each_is_said_by_outcome(deployment, capsys):
    cancelled(deployment, "1")
    deployment.delete(f"{URL}/store/2", **problem(409))
    deployment.delete(f"{URL}/store/3", **problem(404))
    assert run("cancel", "--yes", "1", "2", "3", "1") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["1 cancelled, 1 finished already, 1 not found", "finished already: 2", "not found: 3"]


def test_as_json_every_id_stands_under_its_outcome_and_nothing_beside(deployment, capsys):
    cancelled(deployment, "1")
    deployment.delete(f"{URL}/store/2", **problem(409))
    assert run("cancel", "--yes", "--json", "1", "2") == 1
    output = capsys.readouterr()
    assert json.loads(output.out) == {"cancelled": ["1"], "finished": ["2"], "notFound": []}
    assert output.err == ""


def test_of_many_that_were_not_cancelled_a_few_are_named(deployment, capsys):
    ids = [f"id{number:02}" for number in range(12)]
    for one in ids:
        deployment.delete(f"{URL}/store/{one}", **problem(409))
    assert run("cancel", "--yes", *ids) == 1
    line = capsys.readouterr().out.splitlines()[1]
    assert line == f"finished already: {' '.join(ids[:10])} and 2 more (--json names all)"


def test_what_matches_is_cancelled_page_by_page(deployment, capsys):
    failures(deployment, "1", "2", more="behind")
    failures(deployment, more="later")
    failures(deployment, "2", "3")
    cancelled(deployment, "1", "2", "3")
    options = "--codes 404 --stream s --from f --to t --target https://a/ --key k --reference r --secret v"
    assert run("cancel", "--yes", *options.split()) == 0
    assert capsys.readouterr().out == "3 cancelled, 0 finished already, 0 not found\n"
    query = {
        "retryCodes": "404",
        "streamOCIDToRetry": "s",
        "from": "f",
        "to": "t",
        "targetRestApi": "https://a/",
        "streamKey": "k",
        "reference": "r",
        "vaultSecretName": "v",
        "limit": "100",
    }
    asked = [call.request.params for call in deployment.calls[:3]]
    assert asked == [query, {**query, "after": "behind"}, {**query, "after": "later"}]


def test_if_nothing_matches_nothing_is_asked(deployment, capsys):
    failures(deployment)
    assert run("cancel", "--codes", "404") == 0
    assert capsys.readouterr() == ("0 cancelled, 0 finished already, 0 not found\n", "")


@pytest.mark.parametrize("options", [(), ("1", "--codes", "404"), ("--yes",)])
def test_it_never_means_everything(deployment, capsys, options):
    assert run("cancel", *options) == 2
    assert "--codes" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yesterday\n"])
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_more_than_one_is_cancelled_only_after_a_yes(deployment, capsys, monkeypatch, answer, as_json):
    said(monkeypatch, answer)
    assert run("cancel", "1", "2", *as_json) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("Cancel 2 records? [y/N] ")
    assert "Nothing was changed" in output.err


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_the_question_says_of_what_and_a_yes_is_one(deployment, capsys, monkeypatch, answer):
    said(monkeypatch, answer)
    failures(deployment, "1", "2")
    cancelled(deployment, "1", "2")
    assert run("cancel", "--codes", "404") == 0
    asked = "Cancel 2 records: 2 with 404; 2 at erp.example.com? [y/N] "
    assert capsys.readouterr().err.startswith(asked)


def test_an_error_in_the_middle_says_what_was_done_and_how_to_go_on(deployment, capsys):
    cancelled(deployment, "1")
    deployment.delete(f"{URL}/store/2", status=403, json={"title": "Forbidden"})
    assert run("cancel", "--yes", "1", "2", "3") == 1
    output = capsys.readouterr()
    assert output.out == "1 cancelled, 0 finished already, 0 not found\n"
    assert "Forbidden" in output.err
    assert "run the same command again" in output.err


def test_ctrl_c_says_what_was_done_and_how_to_go_on(deployment, capsys):
    cancelled(deployment, "1")
    deployment.add_callback("DELETE", f"{URL}/store/2", interrupt)
    assert run("cancel", "--yes", "1", "2", "3") == 130
    output = capsys.readouterr()
    assert output.out == "1 cancelled, 0 finished already, 0 not found\n"
    assert "may still finish" in output.err
    assert "run the same command again" in output.err
