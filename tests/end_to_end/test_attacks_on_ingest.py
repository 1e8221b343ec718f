"""What others have tried with `/store` and `/process`, and what an outage did to a Stream's messages.

Who tries is a source with another's records, or with a Stream's messages, or a page of another site in an
operator's browser.

The functions run as in the cloud. A call that comes `through` the gateway has the headers that the gateway
sets, and the others are direct invocations, whose invoker learns nothing but 200, 502 or 504.
"""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import local.emulators.soda
from local.emulators.functions import Function, FunctionRunner, Reply
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

ROOT = Path(__file__).resolve().parents[2]
JSON = {"Content-Type": "application/json"}
A, B = ({"X-Datasync-Caller": name, "X-Datasync-Role": "source"} for name in ("a", "b"))
OPERATOR = {"X-Datasync-Caller": "ops", "X-Datasync-Role": "operator"}


@dataclass
class Functions:
    """Both functions, on a database of their own, and a target."""

    runner: FunctionRunner
    target: str
    database: Path

    async def through(
        self, method: str, path: str, body: Any = None, caller: dict[str, str] | None = None, **headers: str
    ) -> Reply:
        """Call as the gateway does; header names are written with underscores."""
        named = (caller or {}) | {name.replace("_", "-"): value for name, value in headers.items()}
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if body is not None and not isinstance(body, bytes):
            named = JSON | named
        function = "process-data" if path.startswith("/process") else "store-data"
        return await self.runner.call_http(function, method, path, [*named.items()], sent)

    async def store(self, caller: dict[str, str] | None = None, key: str = "", **members: Any) -> Reply:
        headers = {"Idempotency_Key": key} if key else {}
        return await self.through("POST", "/store", self.record(**members), caller, **headers)

    def record(self, path: str = "/ok", **members: Any) -> dict[str, Any]:
        record = {"targetRestApi": self.target + path, "targetRestApiOperation": "POST"}
        return record | {"targetRestApiPayload": {"orderid": "18jan"}} | members

    async def state(self, identity: str, caller: dict[str, str]) -> Reply:
        return await self.through("GET", f"/store/{identity}", None, caller)

    def documents(self) -> list[dict[str, Any]]:
        with local.emulators.soda.connect(self.database) as connection:
            collection = connection.getSodaDatabase().openCollection("datasync_records")
            return [] if collection is None else [one.getContent() for one in collection.find().getCursor()]


def functions(home: Path, target: str, **settings: str) -> FunctionRunner:
    environment = {
        "DATABASE_DSN": f"sqlite:{home / 'datasync.db'}",
        "VAULT_OCID": "vault",
        "VAULT_KEY_OCID": "key",
        "VAULT_COMPARTMENT_OCID": "compartment",
        "ALLOWED_TARGETS": target,
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "RETRY_BACKOFF": "0s..0s",
        "LEASE": "60s",
        **settings,
    }
    made = [
        Function(name, ROOT / "functions" / name, f"ocid1.fnfunc.{name}", timeout=bundles.PATIENCE)
        for name in ("store-data", "process-data")
    ]
    return FunctionRunner(made, home, environment)


@pytest.fixture(scope="module")
def target() -> Any:
    with bundles.target() as url:
        yield url


@pytest.fixture
async def world(tmp_path: Path, target: str) -> AsyncIterator[Functions]:
    async with functions(tmp_path, target) as runner:
        yield Functions(runner, target, tmp_path / "datasync.db")


def read(reply: Reply) -> Any:
    return json.loads(reply.body)


def logged(home: Path) -> str:
    return "".join(log.read_text() for log in home.glob("logs/*.log"))


# One source and another's records


async def test_another_callers_idempotency_key_blocks_nothing_and_reveals_nothing(world: Functions) -> None:
    first = await world.store(A, "order-4711")
    same_body = await world.store(B, "order-4711")
    other_body = await world.store({**B, "X-Datasync-Caller": "c"}, "order-4711", note=2)
    assert [one.status for one in (first, same_body, other_body)] == [202, 202, 202]
    assert len({read(one)["id"] for one in (first, same_body, other_body)}) == 3
    again = await world.store(A, "order-4711")
    assert (again.status, read(again)["id"]) == (200, read(first)["id"])


async def test_another_callers_key_holds_no_record_back(world: Functions) -> None:
    await world.store(B, path="/status/503", streamKey="orders")
    kept = read(await world.store(A, streamKey="orders"))["id"]
    await world.through("POST", "/process", {}, OPERATOR)
    assert read(await world.state(kept, OPERATOR))["status"] == "success"


async def test_a_key_with_another_callers_name_in_it_is_not_that_callers_key(world: Functions) -> None:
    """Whatever an anonymous caller, or a producer of a Stream, writes before the key."""
    await world.store(A, streamKey="orders")
    for written in ("a orders", "a/orders", "a\norders", "aorders", "a:orders"):
        await world.store(streamKey=written)
    encoded = base64.b64encode(b"a\0orders").decode()
    await world.runner.invoke("store-data", json.dumps([message(world.record(), key=encoded)]).encode())
    keys = [one["datasync"].get("keyed") for one in world.documents()]
    assert len(keys) == 7
    assert keys.count(keys[0]) == 1


async def test_a_source_sees_its_own_records_only_and_an_operator_all(world: Functions) -> None:
    kept = read(await world.store(A))["id"]
    assert (await world.state(kept, A)).status == 200
    assert (await world.state(kept, OPERATOR)).status == 200
    theirs, nobodys = await world.state(kept, B), await world.state("nobody", B)
    assert (theirs.status, nobodys.status) == (404, 404)
    assert theirs.body == nobodys.body.replace(b"nobody", kept.encode())


async def test_who_stored_a_record_is_what_the_gateway_says(world: Functions) -> None:
    assert (await world.through("POST", "/store", world.record(caller="a"), B)).status == 422
    kept = read(await world.store(B))["id"]
    assert read(await world.state(kept, B))["caller"] == "b"


# A page of another site, in an operator's browser


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/process/retry", b"{}", {}, 415),  # no Content-Type: a Blob without a type
        ("/process/retry", b'{"force": true}', {"Content-Type": "text/plain"}, 415),
        ("/process", b"", {"Content-Type": "application/x-www-form-urlencoded"}, 415),  # an empty form
        ("/process", b"", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ("/process", b"", {"Content-Type": "text/plain"}, 415),
        ("/store", b"[]", {}, 415),
        ("/process", b"", {"Origin": "https://evil.example.com", "Host": "gateway.example.com"}, 403),
        ("/process", b"", {"Origin": "null", "Host": "gateway.example.com"}, 403),
        ("/process", b"", {"Origin": "http://gateway.example.com:8081", "Host": "gateway.example.com"}, 403),
        ("/process", b"", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("/process", b"", {"Sec-Fetch-Site": "same-site"}, 403),  # other ports of one machine are one site
        (
            "/process/retry",
            b"{}",
            {**JSON, "Origin": "https://evil.example.com", "Host": "g.example.com"},
            403,
        ),
        ("/store", b"[]", {**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_what_a_page_of_another_site_can_send_is_refused(
    world: Functions, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    reply = await world.through("POST", path, body, OPERATOR | headers)
    assert reply.status == status
    assert read(reply)["status"] == status


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/process", b"", {}),
        ("/process", b"", JSON),
        ("/process/retry", b"{}", {"Content-Type": "application/json; charset=utf-8"}),
        ("/process", b"", {"Origin": "https://gateway.example.com", "Host": "Gateway.example.com"}),
        ("/process", b"", {"Origin": "https://gateway.example.com", "Host": "gateway.example.com:443"}),
        (
            "/process",
            b"",
            {"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example.com", "Host": "inner"},
        ),
        ("/process", b"", {"Sec-Fetch-Site": "none"}),
    ],
)
async def test_what_an_operator_sends_is_answered(
    world: Functions, path: str, body: bytes, headers: dict[str, str]
) -> None:
    assert (await world.through("POST", path, body, OPERATOR | headers)).status == 200


@pytest.mark.parametrize("intent", ["cloudevent", "", "httprequest"])
async def test_a_clients_intent_changes_no_status_and_drops_no_header(world: Functions, intent: str) -> None:
    reply = await world.through("GET", "/store/nobody", None, A, Fn_Intent=intent)
    assert reply.status == 404
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.header("Cache-Control") == "no-store"


# A caller, and a Stream's messages


def message(value: Any, offset: int = 0, **members: Any) -> dict[str, Any]:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    encoded = base64.b64encode(raw).decode()
    coordinates = {"stream": "orders", "partition": "0", "offset": offset, "timestamp": 1790000000000}
    return {**coordinates, "key": None, "value": encoded, **members}


async def invoke(world: Functions, batch: Any) -> Reply:
    return await world.runner.invoke("store-data", json.dumps(batch).encode())


async def test_a_batch_through_the_gateway_is_refused_and_claims_no_message(world: Functions) -> None:
    batch = [message(world.record(path=f"/ok/{number}"), number) for number in range(3)]
    forged = [message({"not": "a record"}, number) for number in range(3)]
    for body in (forged, batch):
        assert (await world.through("POST", "/store", body, B)).status == 422
    assert world.documents() == []
    assert (await invoke(world, batch)).status == 200
    assert sorted(one["status"] for one in world.documents()) == ["not_processed"] * 3


async def test_the_messages_of_a_stream_that_was_made_anew_are_new(world: Functions) -> None:
    for version in (1, 2):
        for _ in range(2):  # the Hub repeats what it got no answer for
            batch = [message(world.record(version=version), number) for number in range(3)]
            assert (await invoke(world, batch)).status == 200
    assert sorted(one["version"] for one in world.documents()) == [1, 1, 1, 2, 2, 2]


async def test_at_most_a_thousand_elements_of_a_batch_are_set_aside(world: Functions) -> None:
    bad = [message(b"{}", number) for number in range(18_000)]
    assert (await invoke(world, [*bad, message(world.record(), 18_000)])).status == 200
    documents = world.documents()
    assert sum(one["status"] == "failed" for one in documents) == 1000
    assert sum(one["status"] == "not_processed" for one in documents) == 1
    (summary,) = (one for one in documents if "more elements" in one.get("failure_reason", ""))
    assert summary["failure_reason"].startswith("17001 more elements")
    assert (summary["setAside"]["first"]["offset"], summary["setAside"]["last"]["offset"]) == (999, 17_999)


async def test_messages_with_members_that_nobody_knows_are_stored(world: Functions) -> None:
    reply = await invoke(world, [message(world.record(), number, region="eu") for number in range(2)])
    assert reply.status == 200
    assert len(world.documents()) == 2


async def test_one_element_that_is_no_message_harms_no_other(world: Functions) -> None:
    batch = [message(world.record(), 1), 7, {"stream": "orders"}, None, message(world.record(), 2)]
    assert (await invoke(world, batch)).status == 200
    assert sorted(one["status"] for one in world.documents()) == ["failed"] * 3 + ["not_processed"] * 2


async def test_a_batch_larger_than_the_limit_of_bodies_is_stored(world: Functions) -> None:
    """As Terraform asks for it: 100 messages of 8 KB and more, and the platform's 6 MB is the bound."""
    batch = [message(world.record(targetRestApiPayload="x" * 40_000), number) for number in range(100)]
    assert len(json.dumps(batch)) > 5 * 1024 * 1024
    assert (await invoke(world, batch)).status == 200
    assert [one["status"] for one in world.documents()] == ["not_processed"] * 100


async def test_an_element_larger_than_the_limit_of_bodies_is_set_aside(world: Functions) -> None:
    large = world.record(targetRestApiPayload="x" * 1024 * 1024)
    assert (await invoke(world, [message(large, 1), message(world.record(), 2)])).status == 200
    states = {one["status"]: one for one in world.documents()}
    assert states.keys() == {"failed", "not_processed"}
    assert "BODY_LIMIT" in states["failed"]["failure_reason"]


# What must be invoked again


async def test_what_an_outage_keeps_from_being_done_must_be_invoked_again(
    tmp_path: Path, target: str
) -> None:
    """Connector Hub, schedulers and topics take all but 502 and 504 for success."""
    (tmp_path / "away").mkdir()
    bodies: list[tuple[str, Any]] = [
        ("store-data", [message({"any": "record"})]),
        ("process-data", {}),
        ("process-data", {"noOfMessagesToProcess": 10, "fannedOut": True}),
        ("process-data", {"title": "an alarm that serves as a clock"}),
        ("process-data", {"task": "maintenance"}),
    ]
    outages = {"database": {"DATABASE_DSN": f"sqlite:{tmp_path / 'away'}"}, "setting": {"LEASE": "1s"}}
    for name, settings in outages.items():
        home = tmp_path / name
        async with functions(home, target, **settings) as runner:
            for function, body in bodies:
                reply = await runner.invoke(function, json.dumps(body).encode())
                assert reply.status == 502, (name, body, reply)
        assert logged(home).count("a direct invocation failed and must be repeated") == len(bodies)


async def test_through_the_gateway_an_outage_is_told_as_it_is(tmp_path: Path, target: str) -> None:
    (tmp_path / "away").mkdir()
    for settings, status in (({"DATABASE_DSN": f"sqlite:{tmp_path / 'away'}"}, 503), ({"LEASE": "1s"}, 500)):
        async with functions(tmp_path, target, **settings) as runner:
            world = Functions(runner, target, tmp_path / "none.db")
            assert (await world.store(A)).status == status
            assert (await world.through("POST", "/process", {}, OPERATOR)).status == status


async def test_what_would_fail_again_in_the_same_way_is_answered_and_logged(
    world: Functions, tmp_path: Path
) -> None:
    """Else Connector Hub would bring it for ever, and nothing behind it."""
    for function, body in (
        ("store-data", b"{"),
        ("store-data", b"[]"),
        ("process-data", b'{"task": "dance"}'),
    ):
        assert (await world.runner.invoke(function, body)).status == 200
    assert logged(tmp_path).count("a direct invocation was refused") == 3


# What stands in the database


async def test_a_header_that_carries_a_credential_is_refused(world: Functions) -> None:
    for headers in ({"X-Api-Key": "s3cret"}, [{"key": "x-auth-token", "value": "s3cret"}]):
        reply = await world.store(A, targetRestApiHeaders=headers)
        assert reply.status == 422
        assert b"s3cret" not in reply.body
    assert world.documents() == []


async def test_a_url_is_stored_normalised_and_goes_around_no_policy(tmp_path: Path, target: str) -> None:
    port = target.rpartition(":")[2]
    policy = {"name": "pay", "targetRestApi": f"http://localhost:{port}/pay", "filter": "`false`"}
    async with functions(tmp_path, target, ALLOWED_TARGETS=f"http://localhost:{port}") as runner:
        world = Functions(runner, f"HTTP://LOCALHOST:{port}", tmp_path / "datasync.db")
        written = await world.through(
            "PUT", "/process/targets", {"targets": [policy]}, OPERATOR, If_Match="*"
        )
        assert written.status == 200
        kept = read(await world.store(A, path="/pay"))["id"]
        await world.through("POST", "/process", {}, OPERATOR)
        state = read(await world.state(kept, OPERATOR))
        assert state["targetRestApi"] == f"http://localhost:{port}/pay"
        assert state["status"] == "filtered"


async def test_a_payload_that_can_not_be_sent_as_it_is_declared_is_refused(world: Functions) -> None:
    headers = {"Content-Type": "text/plain; charset=ISO-8859-1"}
    assert (await world.store(A, targetRestApiHeaders=headers, targetRestApiPayload="10 €")).status == 422
    kept = read(
        await world.store(A, targetRestApiHeaders=headers, targetRestApiPayload="Bjørn", path="/echo/200")
    )
    await world.through("POST", "/process", {}, OPERATOR)
    assert read(await world.state(kept["id"], A))["status"] == "success"


# What a caller can use up


def test_one_request_makes_at_most_twenty_secrets(bundle: Bundle) -> None:
    def store(number: int) -> int:
        records = [bundle.record(vaultSecretName=f"name-{number}-{place}") for place in range(number)]
        return bundle.call("POST", "/store", records, Authorization="Bearer t0ken-of-many-names").status_code

    bundle.clear_oci()
    for number in (21, 1000):
        assert store(number) == 422
    assert bundle.oci_calls().get("vault.create_secret", 0) == 0
    assert bundle.documents() == []
    assert store(20) == 202
    assert bundle.oci_calls()["vault.create_secret"] == 20


def test_nobody_takes_another_callers_name_or_an_operators_role(tmp_path: Path) -> None:
    keys = {name: bundles.secret(f"{name}-key-7d1e0f5a92c4") for name in ("first", "second", "ops")}
    listed = f"source/a:{keys['first']},source/b:{keys['second']},operator/ops:{keys['ops']}"
    with bundles.running(tmp_path / "home", API_KEYS=listed) as bundle:
        kept = bundle.call("POST", "/store", bundle.record(), X_API_Key=keys["first"]).json()["id"]
        for forged in (
            {},
            {"X_Datasync_Caller": "a"},
            {"x_datasync_role": "operator"},
            {"Connection": "X-Datasync-Caller"},
        ):
            answer = bundle.call("GET", f"/store/{kept}", X_API_Key=keys["second"], **forged)
            assert answer.status_code == 404, forged
        for name in ("first", "ops"):
            answer = bundle.call("GET", f"/store/{kept}", X_API_Key=keys[name])
            assert (answer.status_code, answer.json()["caller"]) == (200, "a")
