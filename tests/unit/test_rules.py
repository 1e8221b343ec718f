"""Rules are validated when they are read, see no token, give exact numbers, and end in time."""

import json
from decimal import Decimal
from typing import Any

import pytest

from shared.model import rules
from shared.model.rules import RuleFailed

DOCUMENT = {
    "id": "1",
    "streamKey": "k",
    "vaultSecretName": "erp",
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"amount": Decimal("12.10"), "lines": [{"n": Decimal(1)}, {"n": Decimal("0.2")}]},
    "targetRestApiHeaders": [{"key": "X-Tenant", "value": "north"}],
}


def applied(*entries: dict[str, str], **members: Any) -> rules.Document | None:
    return rules.apply(rules.parse(json.dumps(entries)), DOCUMENT | members)[0]


@pytest.mark.parametrize(
    ("expression", "is_sent"),
    [
        ("payload.amount > `12`", True),
        ("payload.amount > `12.10`", False),
        ("payload.amount == `12.1`", True),  # a fraction that no float is
        ("payload.missing > `12`", False),
        ("headers.\"X-Tenant\" == 'north' && streamKey == 'k'", True),
        ("sum(payload.lines[].n) == `1.2`", True),
        ("contains(targetRestApi, 'orders')", True),
        ("vaultSecretName == 'erp'", False),  # neither the token nor its name can be seen
    ],
)
def test_a_filter_says_what_is_sent(expression: str, is_sent: bool) -> None:
    assert (applied({"filter": expression}) is not None) is is_sent


def test_payload_and_headers_are_mapped_exactly() -> None:
    sent = applied({"payload": "{total: payload.amount, all: payload.lines[].n}"}, {"headers": "{A: 'b'}"})
    assert sent is not None
    assert sent["targetRestApiPayload"] == {"total": Decimal("12.10"), "all": [Decimal(1), Decimal("0.2")]}
    assert str(sent["targetRestApiPayload"]["total"]) == "12.10"
    assert sent["targetRestApiHeaders"] == {"A": "b"}
    assert DOCUMENT["targetRestApiHeaders"] == [{"key": "X-Tenant", "value": "north"}]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("to_string(payload.amount)", "12.10"),
        ("to_string(payload.lines)", '[{"n":1},{"n":0.2}]'),
        ("to_number('12.10')", Decimal("12.10")),
        ("sum([payload.amount, to_number('0.1')])", Decimal("12.20")),
        ("avg(payload.lines[].n)", Decimal("0.6")),
        ("[to_number('x'), to_number(`true`), to_number('1e9')]", [None, None, Decimal("1E+9")]),
        ("type(payload.amount)", "number"),
        ("contains(`[12.10, 1]`, payload.amount)", True),
        ("sum(`[0.1, 0.2]`)", Decimal("0.3")),
        ('`{"type": "literal", "value": 0.5}`', {"type": "literal", "value": Decimal("0.5")}),
    ],
)
def test_numbers_stay_what_they_are(expression: str, result: Any) -> None:
    sent = applied({"payload": expression})
    assert sent is not None
    assert sent["targetRestApiPayload"] == result
    assert str(sent["targetRestApiPayload"]) == str(result)


def test_a_header_is_written_over_whatever_its_case() -> None:
    sent = applied({"headers": "merge(headers, {\"x-tenant\": 'south'})"})
    assert sent is not None
    assert sent["targetRestApiHeaders"] == {"x-tenant": "south"}


def test_an_evaluation_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_MOST_SECONDS", 0.05)
    payload = {"many": [Decimal(n % 97) for n in range(20_000)]}
    expression = "[" + ",".join(["sort(payload.many)"] * 100) + "]"
    with pytest.raises(RuleFailed, match=r"takes more than 0\.05 s"):
        applied({"payload": expression}, targetRestApiPayload=payload)


def test_rules_are_for_targets_and_operations() -> None:
    none = {"filter": "`false`"}
    assert applied({**none, "targetRestApi": "https://crm.example.com/"}) == DOCUMENT
    assert applied({**none, "targetRestApiOperation": "PUT, PATCH"}) == DOCUMENT
    assert applied({**none, "targetRestApi": "https://erp.", "targetRestApiOperation": "PUT,POST"}) is None
    for written in ("HTTPS://ERP.example.com:443/orders", "https://erp.Example.com/orders"):
        assert applied({**none, "targetRestApi": written}) is None
        assert (
            applied(none | {"targetRestApi": "https://erp.example.com/orders"}, targetRestApi=written) is None
        )


def test_each_rule_sees_what_the_one_before_it_made() -> None:
    assert applied({"payload": "{a: `1`}"}, {"filter": "payload.a == `1`"}) is not None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "JSON list"),
        ("[", "JSON list"),
        ("[1]", "objects"),
        ('[{"name": "n"}]', "must have filter, payload or headers"),
        ('[{"filtre": "a"}]', "rules of name"),
        ('[{"filter": 1}]', "all text"),
        ('[{"name": "n", "filter": "payload.["}]', "rule 'n': filter is no JMESPath expression"),
        (json.dumps([{"filter": "a" * 2001}]), "at most 2000 characters"),
        (json.dumps([{"filter": "!" * 1999 + "a"}]), "is no JMESPath expression"),
        ("[" * 100_000, "JSON list"),
    ],
)
def test_what_is_no_rule_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("[", "\\[")):
        rules.parse(text)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"filter": "payload.lines"}, "filter gives neither true nor false"),
        ({"filter": "payload.lines[0].n"}, "filter gives neither true nor false"),  # 1, which equals true
        ({"payload": "payload.missing"}, "payload gives null"),
        ({"headers": "{A: `1`}"}, "headers gives no object of strings"),
        ({"filter": "sum(payload.secret)"}, "filter fails (JMESPathTypeError)"),
    ],
)
def test_what_fails_is_said_without_the_payload(entry: dict[str, str], reason: str) -> None:
    payload = {"secret": "s3cr3t"}
    with pytest.raises(RuleFailed) as caught:
        applied({"name": "n", **entry}, targetRestApiPayload=payload | DOCUMENT["targetRestApiPayload"])  # type: ignore[operator]
    assert reason in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
