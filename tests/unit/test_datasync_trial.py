"""`datasync targets try` says of a record and an answer what a delivery would make of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from datasync import trial as command
from datasync.__main__ import main
from shared.model import json_codec, policies_document
from shared.model.lanes import Policies
from shared.model.policy import PolicyFailed

RECORD = {
    "streamKey": "k",
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {
        "orderid": "18jan",
        "amount": 120,
        "lines": [{"qty": 2}, {"qty": 3}],
        "none": None,
    },
    "targetRestApiHeaders": [{"key": "X-Tenant", "value": "north"}],
}
ANSWER = {"status": 200, "headers": {"X-Result": "no"}, "body": {"ReturnStatus": "ERROR"}}


def policy(**members: str) -> dict[str, str]:
    return {"name": "erp", "targetRestApi": "https://erp.example.com/", **members}


def delivered(entries: list[dict[str, str]], record: dict[str, Any]) -> Any:
    """What the functions' library makes of it."""
    policies = Policies(policies_document.read({"targets": entries}))
    known = json_codec.parse(json.dumps(record).encode())
    found = policies.lane(known).policy
    shown: dict[str, Any] = {"policy": found.name or None}
    try:
        sent = found.applied(known)
        if sent is None:
            return shown | {"filtered": True}
        kept = {name: sent[name] for name in command._SENT if name in sent}
        shown["sent"] = json.loads(json_codec.dump(kept))
        answer = command._answer(ANSWER)
        is_success = found.judges(200, answer["headers"], answer["body"]) if found.success else True
        return shown | {"success": is_success}
    except PolicyFailed as error:
        return shown | {"fails": str(error).split(" fails")[0]}


def tried(entries: list[dict[str, str]], record: dict[str, Any]) -> Any:
    result, _ = command.tried(command.parse({"targets": entries}), record, command._answer(ANSWER))
    return result | ({"fails": result["fails"].split(" fails")[0]} if "fails" in result else {})


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [policy()],
        [policy(filter="payload.amount > `100`")],
        [policy(filter="payload.amount > `200`")],
        [policy(filter="payload.missing", name="no answer")],
        [policy(filter="payload.amount")],
        [policy(filter="`1`")],
        [policy(payload="{Order: payload.orderid, Total: payload.amount}")],
        [policy(payload="payload.lines[].qty | sum(@)")],
        [policy(payload="payload.missing")],
        [policy(payload="sum(payload.orderid)")],
        [policy(payload="[streamKey, targetRestApi, id]")],
        [policy(headers="merge(headers, {\"X-Source\": 'data-sync'})")],
        [policy(headers="{\"x-tenant\": 'a', \"X-Tenant\": 'b'}")],
        [policy(headers='{"X-Number": payload.amount}')],
        [policy(headers="payload.lines")],
        [policy(success="body.ReturnStatus != 'ERROR'")],
        [policy(success="headers.\"x-result\" == 'no'")],
        [policy(success="body")],
        [policy(success="sum(body)")],
        [policy(targetRestApi="HTTPS://ERP.example.com:443/ord", filter="`false`")],
        [policy(targetRestApi="https://crm.example.com/", filter="`false`")],
        [policy(targetRestApi="https://erp.ex", filter="`false`")],
        [policy(targetRestApiOperation="PUT", filter="`false`")],
        [policy(), policy(name="posts", targetRestApiOperation="POST", filter="`false`")],
        [policy(targetRestApiOperation="POST"), policy(name="b", targetRestApi="https://erp.example.com/o")],
    ],
)
def test_it_does_what_a_delivery_does(entries: list[dict[str, str]]) -> None:
    for url in (
        "https://erp.example.com/orders",
        "https://ERP.example.com:443",
        "https://erp.example.com?a=1",
    ):
        record = RECORD | {"targetRestApi": url}
        assert tried(entries, record) == delivered(entries, record), url


def files(folder: Path, policies: str, record: str, *answer: str) -> list[str]:
    (folder / "targets.json").write_text(policies)
    (folder / "record.json").write_text(record)
    given = ["targets", "try", f"{folder}/targets.json", f"--record={folder}/record.json"]
    for text in answer:
        (folder / "answer.json").write_text(text)
        given.append(f"--answer={folder}/answer.json")
    return given


@pytest.mark.parametrize("record", [RECORD, {"streamKey": "k", "streamMessage": RECORD}])
def test_a_record_is_read_in_both_forms(tmp_path: Path, capsys, record: dict[str, Any]) -> None:
    policies = json.dumps({"targets": [policy(payload="payload.amount")]})
    assert main(files(tmp_path, policies, json.dumps(record))) == 0
    assert json.loads(capsys.readouterr().out)["sent"]["targetRestApiPayload"] == 120


@pytest.mark.parametrize(("expression", "code"), [("`true`", 0), ("`false`", 1), ("body", 1)])
def test_the_exit_code_says_whether_all_would_go_well(tmp_path: Path, expression: str, code: int) -> None:
    policies = json.dumps({"targets": [policy(success=expression)]})
    assert main(files(tmp_path, policies, json.dumps(RECORD), json.dumps(ANSWER))) == code


@pytest.mark.parametrize(
    ("policies", "record", "answer", "words"),
    [
        ("{", "{}", "{}", "targets.json is not JSON"),
        ("[]", "{}", "{}", "an object with targets"),
        ('{"targets": [1]}', "{}", "{}", "an object with targets"),
        ('{"targets": [{"name": "a"}]}', "{}", "{}", "/targets/0 must have name"),
        (
            json.dumps({"targets": [policy(filter="payload.[")]}),
            "{}",
            "{}",
            "/targets/0/filter is no JMESPath",
        ),
        (json.dumps({"targets": [policy(success="!" * 3000 + "a")]}), "{}", "{}", "/targets/0/success is no"),
        ('{"targets": []}', "{", "{}", "record.json is not JSON"),
        ('{"targets": []}', "[]", "{}", "must be an object"),
        ('{"targets": []}', '{"streamMessage": 1}', "{}", "must be an object"),
        ('{"targets": []}', "{}", "[]", "The answer must be an object"),
        ('{"targets": []}', "{}", '{"status": "200"}', "The answer must be an object"),
    ],
)
def test_a_wrong_file_is_said(
    tmp_path: Path, capsys, policies: str, record: str, answer: str, words: str
) -> None:
    assert main(files(tmp_path, policies, record, answer)) == 2
    assert words in capsys.readouterr().err


def test_a_missing_file_is_said(tmp_path: Path, capsys) -> None:
    arguments = files(tmp_path, '{"targets": []}', "{}")
    (tmp_path / "record.json").unlink()
    assert main(arguments) == 2
    assert "record.json" in capsys.readouterr().err
