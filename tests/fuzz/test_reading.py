"""Whatever comes in is read, or refused in words: nothing else happens, and what is let in can be sent."""

import json
import math
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from hypothesis import assume, given
from hypothesis import strategies as st
from yarl import URL

from shared.delivery.requests import RETRY_MEMBERS, process_request, retry_request
from shared.ingest import connector_hub, validation
from shared.ingest.validation import Conditions
from shared.model import credentials, json_codec, record, targets
from shared.model.errors import CallerError, Invalid, Misconfigured, NotJson
from shared.model.payload import encoded_payload
from shared.model.retry import retry_after_seconds
from shared.outbound import oauth, sender
from shared.settings import Settings
from tests.fuzz.made_up import BODIES, HOSTS, JSON, MESSAGES_OF_A_STREAM, RECORDS, TEXT, URLS

ALLOWED = targets.parse_allowed("erp.example.com,*.wild.example.com:8443,http://8.8.8.8,127.0.0.1")
NAMES = sorted(Settings.__dataclass_fields__)
REQUIRED = {
    "DATABASE_DSN": "sqlite:x",
    "VAULT_OCID": "v",
    "VAULT_KEY_OCID": "k",
    "VAULT_COMPARTMENT_OCID": "c",
}
SETTINGS = Settings.from_config(REQUIRED)
VALUES = st.sampled_from(
    (
        *(
            "1",
            "0",
            "-1",
            "500ms",
            "30s",
            "6h",
            "1s..2s",
            "2s..1s",
            "..",
            "1MiB",
            "7MiB",
            "503,abc",
            "[",
            "{}",
        ),
        *(
            "erp.example.com:8443",
            "*.a",
            "http://",
            "u:p@h",
            "10.0.0.0/8",
            "10.0.0.1/8",
            "::/0",
            "nan",
            "1e9",
        ),
        *('[{"responsecode": 503, "stream": "a"}]', '[{"responsecode": true}]', "[" * 5000, "٣", "9" * 400),
    )
)


def target_refusal(url: targets.TargetUrl) -> str | None:
    return targets.refusal(url, ALLOWED, ())


@given(st.binary(max_size=200) | TEXT.map(str.encode) | JSON.map(json_codec.dump))
def test_bytes_are_json_or_refused(body: bytes) -> None:
    try:
        value = json_codec.parse(body)
    except (NotJson, Invalid):
        return
    json.loads(body)  # nothing is JSON here that is none elsewhere
    assert json_codec.parse(json_codec.dump(value)) == value


@given(JSON)
def test_values_are_written_and_read_exactly(value: Any) -> None:
    assume("\\u0000" not in json.dumps(value, default=str))
    body = json_codec.dump(value)
    try:
        read = json_codec.parse(body)
    except Invalid:  # a number that the database can't keep
        return
    assert read == value
    assert json_codec.dump(read) == body or "e" in body.decode().lower()


@given(BODIES, st.booleans())
def test_a_body_is_records_that_can_be_sent_or_faults_that_are_there(body: Any, has_token: bool) -> None:
    body = as_it_comes(body)
    try:
        batch = validation.read(body, Conditions(target_refusal, has_token=has_token))
    except Invalid as error:
        assert error.faults
        for fault in error.faults:
            resolved(body, fault.pointer)
        return
    for members in batch.records:
        assert not members.keys() & record.SYSTEM_MEMBERS
        assert targets.parse_url(members["targetRestApi"]).text == members["targetRestApi"]
        document = record.new(members)
        pairs = sender.headers(document, "token")
        names = [name.lower() for name, _ in pairs]
        assert len(set(names)) == len(names)
        assert not [one for pair in pairs for one in pair if set(one) & set("\r\n\0")]
        assert isinstance(encoded_payload(document), bytes | None)
        assert (
            record.public_view(document).keys().isdisjoint({"targetRestApiPayload", "targetRestApiHeaders"})
        )
        assert json_codec.parse(json_codec.dump(document)) is not None


def as_it_comes(value: Any) -> Any:
    try:
        return json_codec.parse(json_codec.dump(value))
    except (NotJson, Invalid):
        return assume(False)


def resolved(body: Any, pointer: str) -> None:
    """Walk a JSON Pointer (RFC 6901); its last member may be missing, no other may."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for place, part in enumerate(parts):
        if isinstance(body, list):
            body = body[int(part)]
        elif part in body:
            body = body[part]
        else:
            assert place == len(parts) - 1, pointer


@given(URLS | TEXT)
def test_a_url_that_is_let_in_means_one_place_to_everybody(text: str) -> None:
    try:
        url = targets.parse_url(text)
    except ValueError:
        return
    connected, standard = URL(text, encoded=True), urlsplit(text)
    assert connected.scheme == url.scheme
    assert place(connected.raw_host or "") == place(url.host) == place(standard.hostname or "")
    assert connected.port == url.port == (standard.port or {"http": 80, "https": 443}[url.scheme])
    assert connected.raw_user is connected.raw_password is standard.username is None
    if targets.refusal(url, ALLOWED, ()) is None:
        assert url.host in ("erp.example.com", "8.8.8.8") or url.host.endswith(".wild.example.com")


def place(host: str) -> object:
    """A name, or the address, however it is written."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return host.lower()


@given(st.sampled_from(HOSTS) | TEXT)
def test_allowed_targets_are_read_or_refused(host: str) -> None:
    for entry in (host, f"*.{host}", f"http://{host}", f"{host}:8443"):
        try:
            allowed = targets.parse_allowed(entry)
        except ValueError as error:
            assert str(error)
            continue
        for one in allowed:
            assert one.host != "."
            assert one.scheme in ("http", "https")


@given(st.dictionaries(st.sampled_from(NAMES).map(str.upper), VALUES | TEXT, max_size=4))
def test_settings_are_read_or_named(config: dict[str, str]) -> None:
    try:
        Settings.from_config(REQUIRED | config)
    except Misconfigured as error:
        assert error.faults
        named = {fault.pointer for fault in error.faults}
        beside = {"DATABASE_USER", "DATABASE_PASSWORD_SECRET_OCID", "LEASE", "MESSAGES_PER_CALL"}
        assert named <= config.keys() | beside


@given(
    st.dictionaries(st.sampled_from(RETRY_MEMBERS) | TEXT, JSON, max_size=4).map(json_codec.dump)
    | JSON.map(json_codec.dump)
    | st.binary(max_size=50)
)
def test_an_order_is_read_or_refused(body: bytes) -> None:
    for read in (process_request, retry_request):
        try:
            order = read(body, SETTINGS, 0.0)
        except (NotJson, Invalid):
            continue
        assert 1 <= order.limit <= SETTINGS.messages_per_call_max
    if b"noOf" not in body:  # a message that serves as a clock
        assert process_request(body, SETTINGS, 0.0, direct=True).limit == SETTINGS.messages_per_call


@given(st.lists(MESSAGES_OF_A_STREAM | JSON, max_size=5))
def test_each_element_of_a_batch_is_a_record_or_set_aside(items: list[Any]) -> None:
    messages = list(connector_hub.read(items, Conditions(target_refusal), 10_000))
    assert len(messages) == len(items)
    for message in messages:
        assert bool(message.fault) != bool(message.members)
        if message.members:
            record.encoded(record.new(message.members, idempotency=message.key.members(0)))
    again = list(connector_hub.read(items, Conditions(target_refusal), 10_000))
    assert [message.key for message in again] == [message.key for message in messages]


@given(RECORDS.map(lambda value: json_codec.dump(value).decode()) | TEXT.map("{".__add__))
def test_a_secret_is_a_token_or_says_what_is_wrong(content: str) -> None:
    proof = credentials.proof(content)
    if not credentials.describes_client(content):
        assert proof == content
        return
    try:
        assert credentials.parse(content).authorization == proof
    except ValueError as error:
        assert proof is None
        assert "it" in str(error)


@given(
    st.binary(max_size=100)
    | st.fixed_dictionaries(
        {},
        optional={
            "access_token": TEXT | JSON,
            "token_type": st.just("Bearer") | JSON,
            "expires_in": JSON | TEXT,
        },
    ).map(json_codec.dump)
)
def test_an_access_token_can_stand_in_a_header(body: bytes) -> None:
    try:
        authorization, lifetime = oauth.read_answer(body)
    except oauth.NoAccessToken:
        return
    assert authorization.isascii()
    assert authorization.isprintable()
    assert 0 < lifetime <= 24 * 3600


@given(
    TEXT | st.sampled_from(("Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 1 Jan 0001 00:00:00 +2359", "1e5", "-1"))
)
def test_a_retry_after_is_seconds_or_nothing(header: str) -> None:
    seconds = retry_after_seconds(header, datetime.now(UTC))
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(BODIES)
def test_a_refusal_quotes_no_payload(body: Any) -> None:
    marked = {
        "targetRestApiPayload": "pay-l0ad",
        "streamMessage": body,
        "targetRestApiHeaders": [{"key": "pay-l0ad"}],
    }
    try:
        validation.read(marked, Conditions(target_refusal))
    except CallerError as error:
        assert "pay-l0ad" not in error.detail + "".join(fault.detail for fault in error.faults)
