"""Odd answers: a final status that curl reads is read, nothing is sent twice, no other request is harmed."""

import asyncio

import pytest

from shared.model.answer import HttpRequest
from shared.outbound.client import Client
from shared.settings import Settings
from tests.contract import curl, raw_target
from tests.contract.odd_answers import ODD, OddAnswer
from tests.contract.raw_target import RawTarget

CONFIG = {
    "DATABASE_DSN": "sqlite:x",
    "VAULT_OCID": "v",
    "VAULT_KEY_OCID": "k",
    "VAULT_COMPARTMENT_OCID": "c",
    "ALLOWED_NETWORKS": "127.0.0.0/8",
    "TARGET_CONNECT_TIMEOUT": "20s",
    "LEASE": "100s",
}


def posted(target: RawTarget, path: str) -> HttpRequest:
    return HttpRequest("POST", target.url + path, [("Content-Type", "application/json")], b"{}")


def test_there_are_at_least_sixty_of_them() -> None:
    assert len(ODD) >= 60


@pytest.mark.parametrize("name", ODD)
async def test_the_status_of_an_odd_answer_is_read_and_the_next_request_is_not_harmed(name: str) -> None:
    odd = ODD[name]
    settings = Settings.from_config(CONFIG | {"TARGET_READ_TIMEOUT": "1s" if _hangs(odd) else "20s"})
    async with raw_target.running({"/odd": odd.steps}) as target, Client(settings) as client:
        answer = await client.deliver(posted(target, "/odd"), 40.0)
        assert answer.code == (odd.status or "unexpectedError"), answer
        assert answer.sent == ("yes" if odd.status else "unknown")
        await target.played["/odd"].wait()
        for number in range(3):
            following = await client.deliver(posted(target, f"/next/{number}"), 40.0)
            assert (following.code, following.headers["x-path"]) == (299, f"/next/{number}")
        assert target.received == {"/odd": 1, "/next/0": 1, "/next/1": 1, "/next/2": 1}


def _hangs(odd: OddAnswer) -> bool:
    return odd is ODD["head-and-silence"]


async def test_curl_reads_the_same() -> None:
    judged = [name for name, odd in ODD.items() if odd.curl]
    scripts = {f"/{name}": ODD[name].steps for name in judged}
    async with raw_target.running(scripts) as target:
        read = await curl.readings(target.url, [f"{raw_target.CURL}/{name}" for name in judged])
    statuses = {name: reading.status for name, reading in zip(judged, read, strict=True)}
    assert statuses == {name: ODD[name].status for name in judged}


async def test_the_second_of_two_answers_is_never_taken_for_that_to_another_request() -> None:
    """On many connections at once, and at many moments after the first."""
    late = [number / 1000 for number in range(0, 40, 2)]
    created = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    scripts = {f"/odd/{number}": [created, seconds, created] for number, seconds in enumerate(late)}
    async with raw_target.running(scripts) as target, Client(Settings.from_config(CONFIG)) as client:
        first = await asyncio.gather(*(client.deliver(posted(target, path), 40.0) for path in scripts))
        assert [answer.code for answer in first] == [201] * len(late)
        for path in scripts:
            await target.played[path].wait()
        paths = [f"/next/{number}" for number in range(100)]
        answers = await asyncio.gather(*(client.deliver(posted(target, path), 40.0) for path in paths))
        assert [answer.headers.get("x-path") for answer in answers] == paths
        assert set(target.received.values()) == {1}
