"""Every rule of a record is checked, every broken one is named with its place, and what is valid is kept."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from shared.ingest import validation
from shared.ingest.validation import Conditions, ReadRequest
from shared.model import json_codec
from shared.model.errors import Invalid, NotJson
from shared.model.targets import TargetUrl

Members = dict[str, Any]

VALID: Members = {
    "targetRestApi": "https://erp.example.com/latest/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"orderid": "18jan", "PO": "18jan"},
    "targetRestApiHeaders": [{"key": "Content-Type", "value": "application/json"}],
}


def parse(body: bytes, *, token: bool = False) -> ReadRequest:
    return validation.read(json_codec.parse(body), Conditions(only_erp, has_token=token))


def flat(members: Members) -> tuple[Any, str]:
    return members, ""


def enveloped(members: Members) -> tuple[Any, str]:
    return {"streamKey": "key1", "streamMessage": members}, "/streamMessage"


def flat_in_an_array(members: Members) -> tuple[Any, str]:
    return [VALID, members], "/1"


def enveloped_in_an_array(members: Members) -> tuple[Any, str]:
    return [{"streamMessage": members}, VALID], "/0/streamMessage"


FORMS = [flat, enveloped, flat_in_an_array, enveloped_in_an_array]
Form = Callable[[Members], tuple[Any, str]]


def only_erp(url: TargetUrl) -> str | None:
    return None if url.host == "erp.example.com" else "is not among the allowed targets"


def read(value: object, *, token: bool = False) -> ReadRequest:
    return parse(json.dumps(value).encode(), token=token)


def pointers(value: object, *, token: bool = False) -> list[str]:
    """Where the faults of a request stand."""
    with pytest.raises(Invalid) as caught:
        read(value, token=token)
    assert caught.value.status == 422
    assert all(fault.detail for fault in caught.value.faults)
    return [fault.pointer for fault in caught.value.faults]


def without(name: str) -> Members:
    return {other: value for other, value in VALID.items() if other != name}


def kept(form: Form, members: Members) -> Members:
    """What is kept of a record that is sent in a form, without the form's own key."""
    value, place = form(members)
    record = read(value).records[int(place.split("/")[1]) if isinstance(value, list) else 0]
    return {name: value for name, value in record.items() if name != "streamKey"}


@pytest.mark.parametrize("form", FORMS)
def test_a_valid_record_passes_in_every_form(form: Form) -> None:
    assert kept(form, VALID) == VALID


def test_the_key_beside_a_message_becomes_a_member_of_the_record() -> None:
    (record,) = read({"streamKey": "key1", "streamMessage": VALID}).records
    assert record == {"streamKey": "key1", **VALID}


@pytest.mark.parametrize(
    "changes",
    [
        {"targetRestApiOperation": "PUT"},
        {"targetRestApiOperation": "PATCH"},
        {"targetRestApiOperation": "DELETE"},
        {"targetRestApiPayload": None},
        {"targetRestApiPayload": False},
        {"targetRestApiPayload": 0},
        {"targetRestApiPayload": ""},
        {"targetRestApiPayload": []},
        {"targetRestApiPayload": [{"status": "new", "id": 7, "streamKey": 1}]},
        {"targetRestApiHeaders": []},
        {"targetRestApiHeaders": {}},
        {"targetRestApiHeaders": {"Content-Type": "text/plain", "X-Empty": "", "X-Name": "Bjørn"}},
        {"targetRestApiHeaders": [{"key": f"X-{number}", "value": "v"} for number in range(64)]},
        {"note": "unknown", "": 1, "Id": 2, "nested": {"status": "new", "id": [None, True]}},
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_the_rules_leave_open_is_kept_as_it_came(form: Form, changes: Members) -> None:
    record = VALID | changes
    assert json.dumps(kept(form, record), sort_keys=True) == json.dumps(record, sort_keys=True)


def test_unknown_members_beside_a_message_are_kept_too() -> None:
    (record,) = read({"source": "erp", "streamKey": "key1", "streamMessage": {**VALID, "note": [1]}}).records
    assert record == {"source": "erp", "streamKey": "key1", **VALID, "note": [1]}


def test_numbers_are_kept_exactly() -> None:
    body = json.dumps(VALID | {"targetRestApiPayload": "NUMBER"}).replace('"NUMBER"', "[12.50, 0.1]")
    (record,) = parse(body.encode()).records
    assert [str(number) for number in record["targetRestApiPayload"]] == ["12.50", "0.1"]
    assert all(isinstance(number, Decimal) for number in record["targetRestApiPayload"])


def test_a_delete_needs_no_payload_and_no_record_needs_headers() -> None:
    record = without("targetRestApiPayload") | {"targetRestApiOperation": "DELETE"}
    del record["targetRestApiHeaders"]
    assert read(record).records == [record]


@pytest.mark.parametrize("key", ["", "key1", "ключ / 18", "k" * 256, "😀" * 256])
def test_a_key_is_a_string_of_at_most_256_characters_and_may_be_empty(key: str) -> None:
    assert read({"streamKey": key, "streamMessage": VALID}).records[0]["streamKey"] == key
    assert read({"streamKey": key, **VALID}).records[0]["streamKey"] == key


@pytest.mark.parametrize("key", [7, True, [], {}, "k" * 257])
def test_another_key_is_refused(key: object) -> None:
    assert pointers({"streamKey": key, **VALID}) == ["/streamKey"]
    assert pointers({"streamKey": key, "streamMessage": VALID}) == ["/streamKey"]
    assert pointers([VALID, {"streamKey": key, "streamMessage": VALID}]) == ["/1/streamKey"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *product(["targetRestApi"], [None, 7, "", [], "/orders", "erp.example.com"]),
        ("targetRestApi", "https://user:password@erp.example.com/"),
        ("targetRestApi", "https://erp.example.com/#a"),
        ("targetRestApi", "ftp://erp.example.com/"),
        ("targetRestApi", "https://evil.example/"),
        *product(["targetRestApiOperation"], [None, 7, "", [], ["POST"], "GET", "HEAD", "CONNECT"]),
        *product(["targetRestApiOperation"], ["post", "POST ", "POST\n", "POST,PUT"]),
        *product(["targetRestApiHeaders"], [7, True, "", "Content-Type: text/plain"]),
        *product(["reference"], [7, True, [], {}, "r" * 257]),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_member_that_breaks_its_rule_is_named(form: Form, member: str, value: object) -> None:
    request, place = form(VALID | {member: value})
    assert pointers(request) == [f"{place}/{member}"]


@pytest.mark.parametrize("member", ["targetRestApi", "targetRestApiOperation", "targetRestApiPayload"])
@pytest.mark.parametrize("form", FORMS)
def test_a_member_that_is_missing_is_named(form: Form, member: str) -> None:
    request, place = form(without(member))
    assert pointers(request) == [f"{place}/{member}"]


@pytest.mark.parametrize("operation", ["POST", "PUT", "PATCH"])
def test_an_operation_that_sends_something_needs_a_payload(operation: str) -> None:
    record = without("targetRestApiPayload") | {"targetRestApiOperation": operation}
    assert pointers(record) == ["/targetRestApiPayload"]


def test_the_operators_refusal_of_a_target_is_what_the_caller_reads() -> None:
    with pytest.raises(Invalid) as caught:
        read(VALID | {"targetRestApi": "https://evil.example/"})
    assert caught.value.faults[0].detail == "is not among the allowed targets"


@pytest.mark.parametrize("name", ["a", "erp-token-7", "A_b.C-9", "x" * 200, "..", "-"])
def test_a_secret_name_comes_with_a_token(name: str) -> None:
    assert read(VALID | {"vaultSecretName": name}, token=True).secret_names() == [name]


@pytest.mark.parametrize(
    "name", [None, 7, "", "a b", "a/b", "../a", "a:b", "ä", "a\n", "a\u200b", "x" * 201, ["a"], {"a": "b"}]
)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_secret_name_is_refused(form: Form, name: object) -> None:
    request, place = form(VALID | {"vaultSecretName": name})
    assert f"{place}/vaultSecretName" in pointers(request, token=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_name_without_a_token_is_refused(form: Form) -> None:
    request, place = form(VALID | {"vaultSecretName": "erp-token-7"})
    assert pointers(request, token=False) == [f"{place}/vaultSecretName"]


def test_a_token_without_a_name_is_refused_for_each_record_without_one() -> None:
    named = VALID | {"vaultSecretName": "erp-token-7"}
    assert pointers(VALID, token=True) == ["/vaultSecretName"]
    assert pointers({"streamMessage": VALID}, token=True) == ["/streamMessage/vaultSecretName"]
    assert pointers([named, VALID, VALID], token=True) == ["/1/vaultSecretName", "/2/vaultSecretName"]


def test_every_secret_of_an_array_is_named_once_in_order() -> None:
    names = ["b", "a", "b", "c", "a"]
    assert read([VALID | {"vaultSecretName": name} for name in names], token=True).secret_names() == [*"bac"]


@pytest.mark.parametrize(
    "member",
    [
        *("id", "caller", "status_code", "failure_reason", "error_stream", "retry_attempts", "attempts"),
        *("lastAttemptDate", "nextAttemptDate", "dead", "datasync", "_id", "setAside", "filteredBy"),
    ],
)
def test_what_the_system_writes_a_caller_can_not(member: str) -> None:
    for form in FORMS:
        request, place = form(VALID | {member: None})
        assert pointers(request) == [f"{place}/{member}"]
    assert pointers({member: "x", "streamMessage": VALID}) == [f"/{member}"]


FORBIDDEN_HEADERS = [
    *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer"),
    *("Transfer-Encoding", "Upgrade", "Proxy-Connection", "Expect"),
    *(
        "Host",
        "Content-Length",
        "Authorization",
        "Cookie",
        "Idempotency-Key",
        "Fn-Call-Id",
        "Fn-",
        "fn-http-h-a",
    ),
]
NO_HEADER_NAMES = ["", " ", "X Name", "X-Name:", "X-Name\r\nX-Other", "X-Näme", "(X)", "X-Name\t", "x" * 257]
BAD_VALUES = ["a\r\nX-Injected: 1", "a\n", "\r", "a\tb", "\x01", "\x1b[0m", "\x7f", "\x85"]
BAD_HEADERS = [
    *[(name, "value") for name in FORBIDDEN_HEADERS],
    *[(name.lower(), "value") for name in FORBIDDEN_HEADERS],
    *[(name.upper(), "value") for name in FORBIDDEN_HEADERS],
    *[(name, "value") for name in NO_HEADER_NAMES],
    *[("X-Name", value) for value in BAD_VALUES],
]


@pytest.mark.parametrize(("name", "value"), BAD_HEADERS)
def test_a_header_that_a_record_can_not_set_is_named_in_both_forms_of_headers(name: str, value: str) -> None:
    pairs = [{"key": "X-Good", "value": "good"}, {"key": name, "value": value}]
    assert pointers(VALID | {"targetRestApiHeaders": pairs}) == ["/targetRestApiHeaders/1"]
    members = {"X-Good": "good", name: value}
    assert pointers(VALID | {"targetRestApiHeaders": members}) == [f"/targetRestApiHeaders/{name}"]


@pytest.mark.parametrize(
    "name", ["X-Host", "Hosts", "Fnord", "X-Fn-Call-Id", "Accept", "content-type", "X-Cookie-Consent"]
)
def test_a_header_whose_name_only_resembles_a_refused_one_is_kept(name: str) -> None:
    for headers in ({name: "value"}, [{"key": name, "value": "value"}]):
        assert read(VALID | {"targetRestApiHeaders": headers}).records[0]["targetRestApiHeaders"] == headers


@pytest.mark.parametrize(
    "name",
    [
        *("X-Api-Key", "x-api-key", "API-Key", "ApiKey", "X_API_KEY", "x-goog-api-key", "X-RapidAPI-Key"),
        *("X-Auth-Token", "X-Access-Token", "X-Shopify-Access-Token", "X-Amz-Security-Token", "X-Auth-Key"),
        *("Ocp-Apim-Subscription-Key", "x-functions-key", "Private-Token", "X-Vault-Token", "X-Gitlab-Token"),
        *(
            "Set-Cookie",
            "Authentication",
            "X-Authorization",
            "X-Forwarded-Authorization",
            "DD-API-KEY",
            "Token",
        ),
        *("X-Client-Secret", "X-Secret", "X-Password", "Job-Token", "Circle-Token", "X-Session-Token"),
    ],
)
def test_a_header_that_carries_a_credential_is_refused_with_the_advice_where_to_keep_it(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(VALID | {"targetRestApiHeaders": {name: "s3cret-value"}})
    (fault,) = caught.value.faults
    assert fault.pointer == f"/targetRestApiHeaders/{name}"
    assert "secret that vaultSecretName names" in fault.detail
    assert "s3cret-value" not in fault.detail


@pytest.mark.parametrize(
    "name",
    [
        *("X-CSRF-Token", "X-Continuation-Token", "X-Hub-Signature-256", "X-Request-Id", "Sec-WebSocket-Key"),
        *("X-Key", "X-Api-Version", "X-Token-Type", "X-Author", "X-Secretary", "Authority", "Content-MD5"),
    ],
)
def test_a_header_that_only_resembles_a_credential_is_kept(name: str) -> None:
    assert read(VALID | {"targetRestApiHeaders": {name: "value"}}).records


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("member", ["reference", "vaultSecretName", "targetRestApiHeaders"])
def test_an_optional_member_that_is_null_is_absent(form: Form, member: str) -> None:
    assert kept(form, VALID | {member: None}) == {name: VALID[name] for name in VALID if name != member}


def test_a_key_that_is_null_is_absent() -> None:
    assert read({"streamKey": None, **VALID}).records == [VALID]
    assert read({"streamKey": None, "streamMessage": VALID}).records == [VALID]


def test_a_payload_that_is_null_is_sent_where_one_is_needed_and_absent_where_not() -> None:
    empty = VALID | {"targetRestApiPayload": None}
    assert read(empty).records == [empty]
    (record,) = read(empty | {"targetRestApiOperation": "DELETE"}).records
    assert "targetRestApiPayload" not in record


@pytest.mark.parametrize("form", FORMS)
def test_the_state_that_bodies_for_oracles_sample_have_is_overwritten(form: Form) -> None:
    sent = VALID | {"status": "not_processed", "createdDate": "2021-01-01"}
    assert kept(form, sent) == VALID
    both = {"status": "new", "createdDate": 1, "streamMessage": sent}
    assert read(both).records == [VALID]


@pytest.mark.parametrize("reference", ["", "order 4711", "r" * 256, "😀" * 256])
def test_a_reference_is_a_string_of_at_most_256_characters(reference: str) -> None:
    assert read(VALID | {"reference": reference}).records[0]["reference"] == reference


@pytest.mark.parametrize("form", FORMS)
def test_a_url_is_kept_normalised(form: Form) -> None:
    written = VALID | {"targetRestApi": "HTTPS://ERP.example.com:443/latest/orders"}
    assert kept(form, written) == VALID


@pytest.mark.parametrize(
    ("content_type", "payload", "is_kept"),
    [
        ("text/plain; charset=ISO-8859-1", "Bjørn", True),
        ('text/plain; charset="iso-8859-1"; format=flowed', "Bjørn", True),
        ("text/plain;charset=ISO-8859-1", "10 €", False),
        ("text/plain; charset=us-ascii", "Bjørn", False),
        ("text/plain; charset=utf-16", "10 €", True),
        ("text/plain; charset=utf-8", "10 €", True),
        ("text/plain", "10 €", True),
        ("text/plain; charset=klingon", "a", False),
        ("text/plain; charset=zip", "a", False),
        ("text/plain; charset=unicode_escape", "a", False),
        ("application/json; charset=ISO-8859-1", "10 €", True),  # JSON can escape what the charset lacks
        ("application/json; charset=klingon", {"a": 1}, False),
    ],
)
def test_a_payload_is_one_that_can_be_sent_as_it_is_declared(
    content_type: str, payload: object, is_kept: bool
) -> None:
    record = VALID | {"targetRestApiHeaders": {"Content-Type": content_type}, "targetRestApiPayload": payload}
    if is_kept:
        assert read(record).records == [record]
    else:
        assert pointers(record) == ["/targetRestApiPayload"]


def test_a_headers_name_is_escaped_in_its_pointer() -> None:
    assert pointers({"streamMessage": VALID | {"targetRestApiHeaders": {"a/b~c": "value"}}}) == [
        "/streamMessage/targetRestApiHeaders/a~1b~0c"
    ]


@pytest.mark.parametrize(
    "headers",
    [
        [["X-Name", "value"]],
        ["X-Name: value"],
        [None],
        [{"key": "X-Name"}],
        [{"value": "value"}],
        [{"name": "X-Name", "value": "value"}],
        [{"key": "X-Name", "value": 7}],
        [{"key": "X-Name", "value": None}],
        [{"key": 7, "value": "value"}],
        {"X-Name": 7},
        {"X-Name": ["value"]},
        {"X-Name": None},
    ],
)
def test_headers_are_pairs_of_strings(headers: object) -> None:
    (pointer,) = pointers(VALID | {"targetRestApiHeaders": headers})
    assert pointer.startswith("/targetRestApiHeaders")


@pytest.mark.parametrize(
    "headers", [{f"X-{number}": "v" for number in range(65)}, {"X-Name": "v" * 8192}, {"x" * 200: "v" * 7993}]
)
def test_headers_have_a_greatest_number_and_size(headers: dict[str, str]) -> None:
    assert pointers(VALID | {"targetRestApiHeaders": headers}) == ["/targetRestApiHeaders"]


def test_a_header_that_stands_twice_is_refused() -> None:
    headers = [{"key": "X-Name", "value": "a"}, {"key": "x-name", "value": "b"}]
    assert pointers(VALID | {"targetRestApiHeaders": headers}) == ["/targetRestApiHeaders/1"]


@pytest.mark.parametrize("message", [None, 7, "", "text", [], [VALID]])
def test_a_message_is_an_object(message: object) -> None:
    assert pointers({"streamMessage": message})[0] == "/streamMessage"


def test_a_member_stands_in_one_place_only() -> None:
    operation = {"targetRestApiOperation": "POST"}
    assert pointers({**operation, "streamMessage": VALID}) == ["/targetRestApiOperation"]
    assert pointers({"vaultSecretName": "a", "streamMessage": VALID}) == ["/vaultSecretName"]
    assert pointers({"note": 1, "streamMessage": {**VALID, "note": 1}}) == ["/note"]
    assert pointers({"streamMessage": {**VALID, "streamKey": "key1"}}) == ["/streamMessage/streamKey"]


@pytest.mark.parametrize("value", [None, True, 7, "text"])
def test_a_record_is_an_object(value: object) -> None:
    assert pointers(value) == [""]
    assert pointers([VALID, value, VALID]) == ["/1"]
    assert pointers([value, [VALID]]) == ["/0", "/1"]


def test_an_array_holds_one_record_at_least_and_has_a_greatest_length() -> None:
    assert pointers([]) == [""]
    assert len(read([VALID] * 1000).records) == 1000
    assert pointers([VALID] * 1001) == [""]


def test_an_array_of_one_is_an_array() -> None:
    assert read([VALID]).is_array
    assert not read(VALID).is_array


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": 1, "a": 2}'])
def test_what_is_not_json_is_no_broken_rule(body: bytes) -> None:
    with pytest.raises(NotJson):
        parse(body)


def test_all_broken_rules_of_all_records_are_named_at_once() -> None:
    broken = {
        "id": "x",
        "vaultSecretName": "a b",
        "targetRestApi": "http://user@erp.example.com/",
        "targetRestApiOperation": "GET",
        "targetRestApiHeaders": {"Host": "evil.example", "X-Good": "good", "X-Bad": "\r\n"},
    }
    request = [VALID, broken, 7, {"streamKey": 7, "dead": True, "streamMessage": broken}]
    expected = [
        *("id", "vaultSecretName", "targetRestApi", "targetRestApiOperation"),
        *("targetRestApiHeaders/Host", "targetRestApiHeaders/X-Bad"),
    ]
    assert sorted(pointers(request)) == sorted(
        [
            *[f"/1/{place}" for place in expected],
            "/2",
            *("/3/streamKey", "/3/dead"),
            *[f"/3/streamMessage/{place}" for place in expected],
        ]
    )


def test_a_broken_record_leaves_nothing_of_its_values_in_the_message() -> None:
    with pytest.raises(Invalid) as caught:
        read(
            VALID | {"vaultSecretName": "s3 cret", "targetRestApiHeaders": {"Authorization": "Bearer s3cret"}}
        )
    told = caught.value.detail + "".join(fault.pointer + fault.detail for fault in caught.value.faults)
    assert "s3" not in told
