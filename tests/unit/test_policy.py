"""Policies see no token, give exact numbers, and end in time; the one that is nearest to a record counts."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shared.model import expressions
from shared.model.expressions import Expression
from shared.model.lanes import Policies
from shared.model.policy import Area, Document, Policy, PolicyFailed, visible

DOCUMENT = {
    "id": "1",
    "streamKey": "k",
    "vaultSecretName": "erp",
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"amount": Decimal("12.10"), "lines": [{"n": Decimal(1)}, {"n": Decimal("0.2")}]},
    "targetRestApiHeaders": [{"key": "X-Tenant", "value": "north"}],
}


def policy(**members: str) -> Policy:
    return replace(Policy("n"), **{name: Expression.parse(text) for name, text in members.items()})


def applied(entry: dict[str, str], **members: Any) -> Document | None:
    return policy(**entry).applied(DOCUMENT | members)


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
    sent = applied({"payload": "{total: payload.amount, all: payload.lines[].n}", "headers": "{A: 'b'}"})
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
    monkeypatch.setattr(expressions, "_MOST_SECONDS", 0.05)
    payload = {"many": [Decimal(n % 97) for n in range(20_000)]}
    expression = "[" + ",".join(["sort(payload.many)"] * 100) + "]"
    with pytest.raises(PolicyFailed, match=r"takes more than 0\.05 s"):
        applied({"payload": expression}, targetRestApiPayload=payload)


def named(*areas: tuple[str, str, str | None]) -> Policies:
    return Policies(Policy(name, Area(prefix, operation)) for name, prefix, operation in areas)


ERP = "https://erp.example.com/"
MANY = named(
    ("host", ERP, None),
    ("patches", ERP, "PATCH"),
    ("orders", ERP + "orders", None),
    ("crm", "https://crm.example.com/", None),
    ("beginning", "https://er", None),
)


@pytest.mark.parametrize(
    ("url", "operation", "name"),
    [
        (ERP + "items", "POST", "host"),
        (ERP + "items", "PATCH", "patches"),
        (ERP + "orders/1", "PATCH", "orders"),  # the longest URL, and not the one with an operation
        ("HTTPS://ERP.example.com:443/orders", "POST", "orders"),
        ("https://ERP.example.com", "POST", "host"),
        ("https://erp.example.com?a=1", "POST", "host"),
        ("https://erp.example.com.evil.example/", "POST", "beginning"),
        ("https://else.example.com/", "POST", ""),
    ],
)
def test_the_nearest_policy_counts(url: str, operation: str, name: str) -> None:
    document = {"targetRestApi": url, "targetRestApiOperation": operation}
    lane = MANY.lane(document)
    assert lane.policy.name == name
    assert lane.name == f"{lane.origin} {name}".strip()
    assert MANY.named(lane.name) == lane
    assert MANY.lane(document) is MANY.lane(dict(document))  # looked up once


def test_a_host_has_the_lanes_that_its_records_can_be_in() -> None:
    lanes = {lane.name.partition(" ")[2]: lane for lane in MANY.lanes_at("erp.example.com:443")}
    assert set(lanes) == {"host", "patches", "orders", "beginning"}
    assert lanes["host"].area is None
    assert set(lanes["host"].others) == {Area(ERP, "PATCH"), Area(ERP + "orders")}
    assert lanes["patches"].others == (Area(ERP + "orders"),)
    assert [lane.name for lane in MANY.lanes_at("else.example.com:443")] == ["else.example.com:443"]


def test_no_policy_shows_a_token_to_its_expressions() -> None:
    assert "vaultSecretName" not in visible(DOCUMENT)


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
    with pytest.raises(PolicyFailed) as caught:
        applied(entry, targetRestApiPayload=payload | DOCUMENT["targetRestApiPayload"])  # type: ignore[operator]
    assert reason in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "body", "is_success"),
    [
        ("body.ReturnStatus != 'ERROR'", {"ReturnStatus": "ERROR"}, False),
        ("body.ReturnStatus != 'ERROR'", {"ReturnStatus": "OK"}, True),
        ("status == `200` && headers.\"x-result\" == 'ok'", None, True),
        ("contains(body, 'accepted')", "order accepted", True),
    ],
)
def test_success_is_what_the_policy_calls_so(expression: str, body: Any, is_success: bool) -> None:
    assert policy(success=expression).judges(200, {"x-result": "ok"}, body) is is_success


@pytest.mark.parametrize("expression", ["body", "body.missing", "sum(body)"])
def test_what_gives_neither_true_nor_false_fails(expression: str) -> None:
    with pytest.raises(PolicyFailed, match="success"):
        policy(success=expression).judges(200, {}, "text")
