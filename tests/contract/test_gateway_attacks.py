"""Attacks on the gateway: pages that call it by a name of their own, callers that pass for others, bombs."""

import gzip
import json

import pytest
import pytest_asyncio

from local.emulators.functions import MAX_BODY_BYTES
from tests.contract.gateway_server import call, is_problem, raw, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOBILE, OPS = "m0bile-m0bile-m0bile", "0ps-0ps-0ps-0ps-0ps"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("api")) as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory):
    async with serving(
        tmp_path_factory.mktemp("guarded"), API_KEYS=f"source/mobile:{MOBILE}, operator/ops:{OPS}"
    ) as session:
        yield session


@pytest.mark.parametrize("host", ["127.0.0.1:PORT", "localhost:PORT", "LocalHost:PORT", "[::1]:PORT"])
async def test_the_names_of_this_machine_are_answered(api, host):
    assert (await raw(api, f"Host: {host}"))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:PORT",
        "127.0.0.1.evil.example:PORT",
        "localhost.evil.example:PORT",
        "localhost.:PORT",
        "evil.example@127.0.0.1:PORT",
        "127.0.0.1:PORT@evil.example",
        "127.0.0.1:PORT, evil.example",
        "127.0.0.1:1",
        "127.0.0.1",
        "localhost",
        "0.0.0.0:PORT",
        "[::]:PORT",
        "169.254.169.254:PORT",
        "",
    ],
)
async def test_attack_a_page_calls_by_a_name_that_leads_here(api, host):
    """DNS rebinding: the browser takes the gateway for the page's own server, whose answers it may read."""
    status, answer = await raw(api, f"Host: {host}")
    assert status in (400, 421), answer
    assert "http_headers" not in (answer or {})


async def test_attack_the_name_stands_in_the_request_target_or_twice(api):
    assert (await raw(api, "Host: 127.0.0.1:PORT", target="http://evil.example/v1/store"))[0] == 421
    assert (await raw(api, "Host: evil.example", target="http://127.0.0.1:PORT/v1/store"))[0] == 421
    assert (await raw(api, "Host: 127.0.0.1:PORT", "Host: evil.example"))[0] in (400, 421)
    assert (await raw(api))[0] in (400, 421)


def identity(seen):
    """What a function is given of who calls, in whatever spelling."""
    return {
        name: value
        for name, value in seen["http_headers"].items()
        if name.replace("_", "-").startswith("x-datasync")
    }


MINE = {"x-datasync-caller": "mobile", "x-datasync-role": "source"}


@pytest.mark.parametrize(
    "forged",
    [
        {"X-Datasync-Caller": "ops"},
        {"x-datasync-caller": "ops"},
        {"X-DATASYNC-ROLE": "operator"},
        {"X_Datasync_Caller": "ops", "X_DATASYNC_ROLE": "operator"},
        {"X-Datasync_Caller": "ops"},
        {"X-Datasync-Anything": "ops"},
        {"Connection": "X-Datasync-Caller, X-Datasync-Role"},
        {"Connection": "x-datasync-caller", "X-Datasync-Caller": "ops"},
        {"Fn-Http-H-X-Datasync-Caller": "ops", "Fn-Http-H-X-Datasync-Role": "operator"},
    ],
)
async def test_attack_a_source_passes_for_somebody_else(guarded, forged):
    _, seen = await call(guarded, headers={"X-API-Key": MOBILE, **forged})
    assert identity(seen) == MINE
    assert MOBILE not in json.dumps(seen)


async def test_attack_several_names_at_once(guarded):
    fields = [("X-Datasync-Caller", "ops"), ("X-API-Key", MOBILE), ("X-Datasync-Caller", "ops")]
    _, seen = await call(guarded, headers=fields)
    assert identity(seen) == MINE


async def test_attack_a_key_that_is_spelled_otherwise_reaches_no_function(guarded):
    _, seen = await call(guarded, headers={"X-API-Key": MOBILE, "X_API_Key": OPS})
    assert OPS not in json.dumps(seen)


async def test_attack_an_anonymous_caller_names_itself(api):
    _, seen = await call(api, headers={"X-Datasync-Caller": "ops", "X-Datasync-Role": "operator"})
    assert identity(seen) == {}


async def test_attack_what_the_gateway_says_of_the_client_is_named_as_hop_by_hop(api):
    _, seen = await call(api, headers={"Connection": "X-Forwarded-For, X-Real-Ip, Opc-Request-Id, Forwarded"})
    fields = seen["http_headers"]
    assert (fields["x-forwarded-for"], fields["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert fields["forwarded"] == "for=127.0.0.1"
    assert seen["headers"]["opc-request-id"]


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "unknown"]
)
async def test_attack_a_body_is_compressed(api, coding):
    """API Gateway unpacks nothing: neither does this one, and no bomb costs the next caller a second."""
    bomb = gzip.compress(bytes(MAX_BODY_BYTES - 100))
    response, answer = await call(api, data=bomb, headers={"Content-Encoding": coding})
    assert is_problem(response, answer, 415, "UnsupportedMediaType")
    assert response.headers["Accept-Encoding"] == "identity"


async def test_attack_a_compressed_body_is_not_even_looked_at(api):
    """Whoever unpacks it would say that it is not gzip."""
    response, answer = await call(api, data=b"not gzip", headers={"Content-Encoding": "gzip"})
    assert is_problem(response, answer, 415, "UnsupportedMediaType")


async def test_attack_the_compression_is_declared_twice_or_as_a_transfer_coding(api):
    two = ("Host: 127.0.0.1:PORT", "Content-Encoding: identity", "Content-Encoding: gzip")
    assert (await raw(api, *two))[0] == 415
    status, answer = await raw(api, "Host: 127.0.0.1:PORT", "Transfer-Encoding: gzip, chunked")
    assert status in (400, 415), answer


async def test_a_body_that_is_declared_as_it_is_passes(api):
    assert (await call(api, headers={"Content-Encoding": "identity"}))[0].status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Fn-Http-Method", "DELETE"),
        ("Fn-Http-Request-Url", "/process"),
        ("Fn-Deadline", "2000-01-01T00:00:00Z"),
        ("Fn-Call-Id", "mine"),
        ("Fn-Intent", "cloudevent"),
        ("fn-intent", "httprequest"),
        ("Fn-Invoke-Type", "detached"),
        ("Fn-Http-H-Authorization", "Bearer forged"),
    ],
)
async def test_attack_a_client_speaks_as_the_platform(api, name, value):
    _, plain = await call(api)
    response, seen = await call(api, headers={name: value})
    assert response.status == 200
    assert (seen["method"], seen["url"]) == ("POST", "/v1/store")
    assert seen["deadline"] >= plain["deadline"]
    assert seen["call_id"] != value
    assert "authorization" not in seen["http_headers"]
    assert seen["http_headers"][name.lower()] == value
