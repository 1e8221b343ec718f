"""Odd answers: a final status that curl reads is read, nothing is sent twice, no other request is harmed."""

import asyncio
from dataclasses import replace

import pytest

from shared.outbound.client import Client
from tests.contract import curl, raw_target
from tests.contract.clients import SETTINGS, posted, terms
from tests.contract.odd_answers import ODD, OddAnswer


def test_there_are_at_least_sixty_of_them() -> None:
    assert len(ODD) >= 60


@pytest.mark.parametrize("name", ODD)
async def test_the_status_of_an_odd_answer_is_read_and_the_next_request_is_not_harmed(name: str) -> None:
    odd = ODD[name]
    settings = replace(SETTINGS, target_read_timeout=1.0 if _hangs(odd) else 20.0)
    async with raw_target.running({"/odd": odd.steps}) as target, Client(settings) as client:
        answer = await client.deliver(posted(target.url + "/odd"), terms(40.0, settings))
        assert answer.code == (odd.status or "unexpectedError"), answer
        assert answer.sent == ("yes" if odd.status else "unknown")
        target.read["/odd"].set()
        await target.played["/odd"].wait()
        for number in range(3):
            following = await client.deliver(posted(f"{target.url}/next/{number}"), terms(40.0))
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
    async with raw_target.running(scripts) as target, Client(SETTINGS) as client:
        first = await asyncio.gather(
            *(client.deliver(posted(target.url + path), terms(40.0)) for path in scripts)
        )
        assert [answer.code for answer in first] == [201] * len(late)
        for path in scripts:
            target.read[path].set()
            await target.played[path].wait()
        paths = [f"/next/{number}" for number in range(100)]
        answers = await asyncio.gather(
            *(client.deliver(posted(target.url + path), terms(40.0)) for path in paths)
        )
        assert [answer.headers.get("x-path") for answer in answers] == paths
        assert set(target.received.values()) == {1}


@pytest.mark.parametrize("surplus", [b"hello", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
async def test_what_comes_a_little_after_an_answer_is_not_met_by_the_next_request(surplus: bytes) -> None:
    """Where the next is sent at once, nothing tells yet that the target says more than its answer."""
    odd = [b"HTTP/1.1 204 No Content\r\n\r\n", 0.002, surplus]
    async with raw_target.running({"/odd": odd}) as target, Client(SETTINGS) as client:
        assert (await client.deliver(posted(target.url + "/odd"), terms(40.0))).code == 204
        following = await client.deliver(posted(target.url + "/next"), terms(40.0))
        assert (following.code, following.headers["x-path"]) == (299, "/next")
        assert target.received == {"/odd": 1, "/next": 1}
