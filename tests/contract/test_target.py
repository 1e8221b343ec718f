"""The sample target does over real sockets what its paths say."""

import asyncio
import base64
import errno
import json
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.emulators import target
from local.emulators.target.behaviours import BEHAVIOURS
from local.emulators.target.received import Log, Received

ROOT = Path(__file__).parents[2]
Target = TestClient  # the client of a target that listens on a real socket


@pytest.fixture
async def api() -> AsyncIterator[Target]:
    async with TestClient(TestServer(target.create_app())) as client:
        yield client


async def post(api: Target, path: str, key: str = "k", **headers: str) -> int:
    async with api.post(path, json={"n": 1}, headers={"Idempotency-Key": key, **headers}) as response:
        await response.read()
        return response.status


async def received(api: Target, query: str = "") -> dict:
    async with api.get(f"/_received{query}") as response:
        return await response.json()


async def until_received(api: Target, number: int, *, finished: bool = False) -> None:
    """Wait until so many requests have come, or have come and ended."""
    url = "" if finished else "?count"
    async with asyncio.timeout(120):
        while True:
            seen = await received(api, url)
            ended = [one for one in seen.get("requests", []) if one["finished"] is not None]
            if (len(ended) if finished else seen["count"]) >= number:
                return


async def duplicates(api: Target) -> dict:
    async with api.get("/_duplicates") as response:
        return await response.json()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_is_answered(api: Target, method: str):
    async with api.request(method, "/ok/orders/1") as response:
        assert response.status == 200


@pytest.mark.parametrize("status", [200, 204, 304, 404, 599])
async def test_status_answers_the_code_in_the_path(api: Target, status: int):
    assert await post(api, f"/status/{status}/orders") == status


@pytest.mark.parametrize(
    "path", ["/status/abc", "/status/199", "/status/600", "/status", "/slow/-1", "/flaky/²"]
)
async def test_a_number_that_is_none_or_out_of_bounds_answers_400(api: Target, path: str):
    async with api.post(path) as response:
        assert response.status == 400
        assert "whole number" in await response.text()


async def test_an_unknown_behaviour_answers_404_and_says_where_the_list_is(api: Target):
    async with api.post("/orders") as response:
        assert response.status == 404
        assert "GET /" in await response.text()


async def test_flaky_fails_as_often_as_told_for_each_path_and_key(api: Target):
    assert [await post(api, "/flaky/2/a", "one") for _ in range(4)] == [503, 503, 200, 200]
    assert await post(api, "/flaky/2/a", "two") == 503
    assert await post(api, "/flaky/2/b", "one") == 503


async def test_slow_answers_after_its_delay(api: Target):
    began = time.monotonic()
    assert await post(api, "/slow/150/a") == 200
    assert time.monotonic() - began > 0.14


async def test_hang_never_answers_and_is_recorded_while_it_hangs(api: Target):
    hanging = asyncio.create_task(post(api, "/hang/a"))
    await until_received(api, 1)
    (request,) = (await received(api, "?prefix=/hang"))["requests"]
    assert (request["status"], request["finished"]) == (None, None)
    hanging.cancel()


async def test_stall_hangs_as_often_as_told_for_each_path_and_key(api: Target):
    hanging = asyncio.create_task(post(api, "/stall/1/a", "one"))
    await until_received(api, 1)
    assert await post(api, "/stall/1/a", "one") == 200
    assert not hanging.done()
    hanging.cancel()


async def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_target():
    server = TestServer(target.create_app())
    async with TestClient(server) as api:
        hanging = asyncio.create_task(api.post("/hang/a"))
        await until_received(api, 1)
        await asyncio.wait_for(server.close(), 30)  # aiohttp would give it 60
        with pytest.raises(aiohttp.ClientError):
            await hanging


async def test_reset_ends_the_connection_with_rst(api: Target):
    with socket.create_connection(("127.0.0.1", api.port)) as connection:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(
            connection, b"POST /reset/a HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}"
        )
        with pytest.raises(ConnectionResetError) as raised:
            await loop.sock_recv(connection, 1)
    assert raised.value.errno == errno.ECONNRESET
    assert [request["status"] for request in (await received(api))["requests"]] == [None]


async def test_big_streams_that_many_bytes_without_announcing_them(api: Target):
    async with api.post("/big/2000001/a") as response:
        assert response.content_length is None
        assert len(await response.read()) == 2_000_001


async def test_drip_goes_on_a_byte_at_a_time(api: Target):
    async with api.post("/drip/5/a") as response:
        assert response.status == 200
        chunks = [await response.content.readany() for _ in range(5)]
    assert all(len(chunk) <= 2 for chunk in chunks)


async def test_a_caller_that_leaves_in_the_middle_of_an_answer_is_noted_as_unanswered(api: Target):
    async with api.post("/drip/5/a") as response:
        await response.content.readany()
        response.close()
    await until_received(api, 1, finished=True)
    (request,) = (await received(api))["requests"]
    assert request["status"] is None


@pytest.mark.parametrize("status", [302, 307, 308])
async def test_redirect_points_to_where_a_visit_would_be_seen(api: Target, status: int):
    async with api.post(f"/redirect/{status}/a", allow_redirects=False) as response:
        assert response.status == status
        assert response.headers["Location"] == "/ok/redirected"
    await api.post(f"/redirect/{status}/a")
    assert (await received(api, "?prefix=/ok/redirected&count"))["count"] == 1


async def test_retry_after_says_when_to_come_back(api: Target):
    async with api.post("/retry-after/7/a") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "7")


async def test_auth_wants_its_scheme(api: Target):
    assert await post(api, "/auth/bearer/a") == 401
    assert await post(api, "/auth/bearer/a", Authorization="Basic YTpi") == 401
    assert await post(api, "/auth/bearer/a", Authorization="Bearer ") == 401
    assert await post(api, "/auth/bearer/a", Authorization="Bearer t0ken") == 200


async def test_echo_answers_with_all_it_was_sent(api: Target):
    async with api.put(
        "/echo/422/a?b=1", data=b"payload", headers={"Authorization": "Bearer t0ken"}
    ) as response:
        assert response.status == 422
        echoed = await response.json()
    assert (echoed["method"], echoed["path"], echoed["body"]) == ("PUT", "/echo/422/a?b=1", "payload")
    assert ["Authorization", "Bearer t0ken"] in echoed["headers"]


async def test_what_was_received_can_be_filtered_counted_and_forgotten(api: Target):
    await post(api, "/ok/a", "one", Authorization="Bearer t0ken")
    await post(api, "/status/404/b", "two")
    everything = await received(api)
    assert [(one["path"], one["idempotencyKey"], one["status"]) for one in everything["requests"]] == [
        ("/ok/a", "one", 200),
        ("/status/404/b", "two", 404),
    ]
    assert base64.b64decode(everything["requests"][0]["bodyBase64"]) == b'{"n": 1}'
    assert ["Authorization", "Bearer t0ken"] in everything["requests"][0]["headers"]
    assert await received(api, "?prefix=/ok&count") == {"count": 1, "forgotten": 0}
    async with api.delete("/_received") as response:
        assert response.status == 204
    assert (await received(api))["count"] == 0


async def test_a_retry_after_a_failure_is_no_duplicate_but_one_after_a_success_is(api: Target):
    for _ in range(3):
        await post(api, "/flaky/2/a", "retried")
    assert (await duplicates(api))["count"] == 0
    await post(api, "/flaky/2/a", "retried")
    assert await duplicates(api) == {"count": 1, "forgotten": 0, "keys": {"retried": 1}}


async def test_two_requests_of_one_key_at_once_are_a_duplicate_even_where_both_fail(api: Target):
    hanging = [asyncio.create_task(post(api, "/hang/a", "same")) for _ in range(2)]
    await until_received(api, 2)
    for one in hanging:
        one.cancel()
    assert (await duplicates(api))["keys"] == {"same": 1}


def test_the_log_forgets_the_oldest_beyond_its_bounds_and_says_how_many():
    log = Log(most=3, most_bytes=100)
    for size in (10, 20, 30, 40, 50):
        log.add(Received("POST", f"/ok/{size}", [], None, b"x" * size))
    assert [one.path for one in log.requests] == ["/ok/40", "/ok/50"]
    assert log.forgotten == 3


async def test_without_recording_nothing_is_kept_and_nothing_can_be_asked():
    async with TestClient(TestServer(target.create_app(recording=False))) as api:
        assert await post(api, "/ok/a") == 200
        for path in ("/_received", "/_duplicates"):
            async with api.get(path) as response:
                assert response.status == 404


async def test_the_description_lists_every_behaviour_and_the_docstring_does_too(api: Target):
    async with api.get("/") as response:
        described = await response.json()
    assert set(described) == {behaviour.form for behaviour in BEHAVIOURS.values()}
    for form in described:
        assert f"    {form}/…" in (target.__doc__ or "")


async def start(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.emulators.target", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, json.loads(await process.stdout.readline())["url"]


async def test_as_a_process_it_prints_its_url_and_stops_at_once_when_asked_even_while_a_call_hangs():
    process, url = await start("--port", "0")
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/ok/a") as response:
            assert response.status == 200
        hanging = asyncio.create_task(session.post(f"{url}/hang/a"))
        async with asyncio.timeout(120):
            while (await (await session.get(f"{url}/_received?count")).json())["count"] < 2:
                continue
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0  # aiohttp would give it 60
        with pytest.raises(aiohttp.ClientError):
            await hanging


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "certificate.pem", folder / "key.pem"


async def test_with_a_certificate_it_serves_https(tmp_path: Path):
    certificate, key = self_signed(tmp_path)
    process, url = await start("--certificate", str(certificate), "--key", str(key))
    try:
        trusting = ssl.create_default_context(cafile=certificate)
        address = url.replace("127.0.0.1", "localhost")
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{address}/ok/a", ssl=trusting) as response:
                assert response.status == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.post(f"{address}/ok/a")
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.post(f"{address}/reset/a", ssl=trusting)
    finally:
        process.terminate()
        await process.wait()
