"""`datasync rules try` says of a record what a delivery would do with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from datasync import rules as command
from datasync.__main__ import main
from shared.model import json_codec, rules

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


def rule(**members: str) -> list[dict[str, str]]:
    return [members]


def delivered(entries: list[dict[str, str]], record: dict[str, Any]) -> Any:
    """What the functions' library makes of it."""
    try:
        sent, kept_by = rules.apply(
            rules.parse(json.dumps(entries)), json_codec.parse(json.dumps(record).encode())
        )
    except rules.RuleFailed as error:
        return "fails", str(error).split(":")[0]
    if sent is None:
        return "filteredBy", kept_by
    shown = {name: sent[name] for name in command._SENT if name in sent}
    return "sent", json.loads(json_codec.dump(shown))


def tried(entries: list[dict[str, str]], record: dict[str, Any]) -> Any:
    result, _ = command.tried(command.parse(json.dumps(entries)), record)
    kind = next(name for name in result if name != "rules")
    return kind, result[kind].split(":")[0] if kind == "fails" else result[kind]


@pytest.mark.parametrize(
    "entries",
    [
        [],
        rule(filter="payload.amount > `100`"),
        rule(filter="payload.amount > `200`"),
        rule(filter="payload.missing", name="no answer"),
        rule(filter="payload.amount"),
        rule(filter="`1`"),
        rule(payload="{Order: payload.orderid, Total: payload.amount}"),
        rule(payload="payload.lines[].qty | sum(@)"),
        rule(payload="payload.missing"),
        rule(payload="sum(payload.orderid)"),
        rule(payload="[streamKey, targetRestApi, id]"),
        rule(headers="merge(headers, {\"X-Source\": 'data-sync'})"),
        rule(headers="{\"x-tenant\": 'a', \"X-Tenant\": 'b'}"),
        rule(headers='{"X-Number": payload.amount}'),
        rule(headers="payload.lines"),
        rule(targetRestApi="https://erp.example.com/", filter="`false`"),
        rule(targetRestApi="https://crm.example.com/", filter="`false`"),
        rule(targetRestApiOperation="PUT, POST", filter="`false`"),
        rule(targetRestApiOperation="PUT", filter="`false`"),
        rule(payload="payload.amount") + rule(payload="{twice: payload}"),
        rule(payload="payload.amount") + rule(filter="payload > `100`") + rule(filter="`false`", name="last"),
    ],
)
def test_it_does_what_a_delivery_does(entries: list[dict[str, str]]) -> None:
    assert tried(entries, RECORD) == delivered(entries, RECORD)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[1]",
        '[{"filter": 1}]',
        '[{"filtre": "a"}]',
        '[{"name": "empty"}]',
        '[{"filter": "payload.["}]',
        '[{"filter": "' + "!" * 3000 + 'a"}]',
    ],
)
def test_wrong_rules_are_refused_as_the_functions_refuse_them(text: str) -> None:
    with pytest.raises(ValueError, match="RULES"):
        command.parse(text)
    with pytest.raises(ValueError):  # noqa: PT011 - how it is said is tested with the library
        rules.parse(text)


def files(folder: Path, rules_: str, record: str) -> list[str]:
    (folder / "rules.json").write_text(rules_)
    (folder / "record.json").write_text(record)
    return ["rules", "try", f"--rules={folder}/rules.json", f"--record={folder}/record.json"]


@pytest.mark.parametrize("record", [RECORD, {"streamKey": "k", "streamMessage": RECORD}])
def test_a_record_is_read_in_both_forms(tmp_path: Path, capsys, record: dict[str, Any]) -> None:
    assert main(files(tmp_path, json.dumps(rule(payload="payload.amount")), json.dumps(record))) == 0
    assert json.loads(capsys.readouterr().out)["sent"]["targetRestApiPayload"] == 120


@pytest.mark.parametrize(
    ("rules_", "record", "words"),
    [
        ("{", "{}", "RULES must be a JSON list"),
        ("[]", "{", "record.json is not JSON"),
        ("[]", "[]", "must be an object"),
        ("[]", '{"streamMessage": 1}', "must be an object"),
    ],
)
def test_a_wrong_file_is_said(tmp_path: Path, capsys, rules_: str, record: str, words: str) -> None:
    assert main(files(tmp_path, rules_, record)) == 2
    assert words in capsys.readouterr().err


def test_a_missing_file_is_said(tmp_path: Path, capsys) -> None:
    arguments = files(tmp_path, "[]", "{}")
    (tmp_path / "record.json").unlink()
    assert main(arguments) == 2
    assert "record.json" in capsys.readouterr().err
