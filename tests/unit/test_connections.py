"""Which connections are used again: those that are known to be good, for the same credential, for a while."""

import asyncio
import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from shared.model.answer import TlsIdentity
from shared.outbound import connections
from shared.outbound.client import Client
from shared.outbound.connections import Reputations
from tests.contract import raw_target, tls
from tests.contract.clients import SETTINGS, posted, terms
from tests.contract.raw_target import good

CLOSES = [good("/closes").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")]


async def test_connections_are_never_shared_between_credentials() -> None:
    made = random.Random(7)
    used: dict[int, set[str]] = defaultdict(set)
    async with raw_target.running({}) as target, Client(SETTINGS) as client:

        async def work() -> None:
            for _ in range(60):
                credential = f"token-{made.randrange(8)}"
                path = f"/{credential}/{made.getrandbits(64)}"
                answer = await client.deliver(posted(target.url + path, credential=credential), terms())
                assert answer.code == 299
                used[target.connections[path]].add(credential)

        await asyncio.gather(*(work() for _ in range(32)))
    assert all(len(credentials) == 1 for credentials in used.values())
    assert len(used) < 32 * 60 / 4  # they are used again


async def test_connections_are_never_shared_between_tls_identities(tmp_path: Path) -> None:
    authority = tls.made()
    context = tls.server_context(tls.made(authority), tmp_path)
    trusting = TlsIdentity(authorities=authority.public_pem)
    other = TlsIdentity(authorities=authority.public_pem, certificate=tls.made(authority).pem)
    async with raw_target.running({}, tls=context) as target, Client(SETTINGS) as client:
        paths = {
            f"/{name}/{number}": identity
            for number in range(5)
            for name, identity in (("one", trusting), ("other", other))
        }
        for path, identity in paths.items():
            assert (await client.deliver(posted(target.url + path, identity=identity), terms())).code == 299
        ones = {target.connections[path] for path in paths if path.startswith("/one/")}
        others = {target.connections[path] for path in paths if path.startswith("/other/")}
        assert (len(ones), len(others), ones & others) == (1, 1, set())
        for connection in client._connections._open:  # asyncio's own are of 256 KiB
            assert len(connection._transport._ssl_protocol._ssl_buffer) == 32 * 1024
        untrusting = await client.deliver(posted(target.url), terms())
        assert untrusting.reason == "the target's certificate is not valid: its authority is unknown"


async def test_the_last_used_connection_serves_next() -> None:
    async with raw_target.running({"/slow": [0.05, good("/slow")]}) as target, Client(SETTINGS) as client:
        slow = asyncio.create_task(client.deliver(posted(target.url + "/slow"), terms()))
        await target.began["/slow"].wait()
        await client.deliver(posted(target.url + "/fast"), terms())
        await slow
        for number in range(10):
            await client.deliver(posted(f"{target.url}/{number}"), terms())
        used = {target.connections[f"/{number}"] for number in range(10)}
        assert used == {target.connections["/slow"]}


async def test_a_connection_that_was_idle_for_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_target.running({}) as target, Client(SETTINGS) as client:
        await client.deliver(posted(target.url + "/first"), terms())
        [kept] = client._connections._open
        kept.released_at -= connections._IDLE_SECONDS
        await client.deliver(posted(target.url + "/second"), terms())
        assert target.connections["/first"] != target.connections["/second"]
        monkeypatch.setattr(connections, "_SWEEP_SECONDS", 0.01)
        [kept] = client._connections._open
        kept.released_at -= connections._IDLE_SECONDS
        while client._connections._open:  # noqa: ASYNC110 - closed by a timer
            await asyncio.sleep(0.01)


async def test_idle_connections_make_room_for_others() -> None:
    async with raw_target.running({}) as target, Client(replace(SETTINGS, concurrency=4)) as client:
        for number in range(20):
            await client.deliver(posted(f"{target.url}/{number}", credential=str(number)), terms())
            assert len(client._connections._open) <= 4
        await client.deliver(posted(f"{target.url}/again", credential="17"), terms())
        assert target.connections["/again"] == target.connections["/17"]


async def test_a_target_that_sends_more_than_answers_gets_each_request_on_a_connection_of_its_own() -> None:
    more = [good("/more"), 0.03, b"and more"]
    async with raw_target.running({"/more": more}) as target, Client(SETTINGS) as client:
        await client.deliver(posted(target.url + "/more"), terms())
        while client._connections._open:  # noqa: ASYNC110 - closed when more comes
            await asyncio.sleep(0.001)
        for number in range(5):
            assert (await client.deliver(posted(f"{target.url}/{number}"), terms())).code == 299
        used = {target.connections[f"/{number}"] for number in range(5)}
        assert len(used) == 5


async def test_what_a_target_sends_beyond_its_answers_is_remembered_between_calls() -> None:
    reputations = Reputations()
    async with raw_target.running({"/more": [good("/more") + b"and more"]}) as target:
        async with Client(SETTINGS, reputations=reputations) as client:
            await client.deliver(posted(target.url + "/more"), terms())
        async with Client(SETTINGS, reputations=reputations) as client:
            for number in range(5):
                assert (await client.deliver(posted(f"{target.url}/{number}"), terms())).code == 299
        assert len({target.connections[f"/{number}"] for number in range(5)}) == 5


async def test_a_second_answer_that_is_late_is_not_taken_for_that_to_the_next_request() -> None:
    twice = [good("/twice"), 0.05, good("/twice")]
    async with raw_target.running({"/twice": twice, "/next": [0.2, good("/next")]}) as target:
        async with Client(SETTINGS, reputations=Reputations()) as client:
            await client.deliver(posted(target.url + "/twice"), terms())
            answer = await client.deliver(posted(target.url + "/next"), terms())
        assert answer.headers["x-path"] == "/next"


async def test_many_requests_at_once_open_no_more_connections_than_are_in_flight() -> None:
    async with raw_target.running({}) as target, Client(SETTINGS) as client:
        for burst in range(10):
            requests = (posted(f"{target.url}/{burst}/{number}") for number in range(16))
            await asyncio.gather(*(client.deliver(request, terms()) for request in requests))
        assert len(set(target.connections.values())) == 16


async def test_nothing_is_open_after_a_call() -> None:
    async with raw_target.running({"/closes": CLOSES}) as target:
        async with Client(SETTINGS) as client:
            for path in ("/closes", "/other"):
                await client.deliver(posted(target.url + path), terms())
            assert len(client._connections._open) == 1
        assert not client._connections._open
