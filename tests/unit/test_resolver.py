"""Names that are resolved, slowly, wrongly or not at all: each is a matter of its own."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from shared.model.answer import HttpRequest
from shared.outbound.client import Client
from shared.outbound.faults import NoAnswer
from shared.outbound.resolver import Address, Resolver
from tests.contract import raw_target
from tests.contract.clients import HERE, SETTINGS, failed, posted, terms


class Names:
    """Stands for the system's resolver: some names hang until they are let go."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.let_go = threading.Event()

    def look_up(self, host: str, port: int) -> list[Address]:
        self.asked[host] += 1
        if host.startswith("silent"):
            assert self.let_go.wait(120)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host.startswith("odd"):
            raise UnicodeError("label too long")
        if host.startswith("full"):
            raise OSError(24, "Too many open files")
        return [] if host.startswith("empty") else [Address(socket.AF_INET, (HERE, port))]


@pytest.fixture
def names() -> Iterator[Names]:
    made = Names()
    yield made
    made.let_go.set()


def request(target: raw_target.RawTarget, host: str) -> HttpRequest:
    return posted(target.url.replace(HERE, host))


async def test_names_that_are_silent_hold_up_no_other(names: Names) -> None:
    resolver = Resolver(names.look_up)
    async with raw_target.running({}) as target, Client(SETTINGS, resolver) as client:
        silent = [
            asyncio.create_task(client.deliver(request(target, f"silent{number % 24}.example"), terms()))
            for number in range(240)
        ]
        while len(names.asked) < 24:  # noqa: ASYNC110 - asked on threads
            await asyncio.sleep(0.001)
        good = [client.deliver(request(target, f"good{number}.example"), terms()) for number in range(8)]
        assert [answer.code for answer in await asyncio.gather(*good)] == [299] * 8
        assert not any(task.done() for task in silent)
        assert names.asked.total() == 24 + 8
        names.let_go.set()
        for answer in await asyncio.gather(*silent):
            reason = "the target's host name could not be resolved"
            assert failed(answer) == (reason, "name", "no")


async def test_a_name_that_is_not_resolved_in_time_is_a_failure_of_its_own_kind(names: Names) -> None:
    resolver = Resolver(names.look_up)
    async with raw_target.running({}) as target, Client(SETTINGS, resolver) as client:
        answer = await client.deliver(request(target, "silent.example"), terms(0.2))
        reason = "the target's host name was not resolved within the 0.2 s that there were for it"
        assert failed(answer) == (reason, "name", "no")
        assert not answer.connected
        again = asyncio.create_task(client.deliver(request(target, "silent.example"), terms()))
        await asyncio.sleep(0)
        assert names.asked == {"silent.example": 1}  # the lookup that hangs serves the second, too
        names.let_go.set()
        assert failed(await again)[0] == "the target's host name could not be resolved"


@pytest.mark.parametrize(
    ("host", "reason", "cause"),
    [
        ("unknown.example", "the target's host name could not be resolved", "name"),
        ("empty.example", "the target's host name could not be resolved", "name"),
        ("odd.example", "the target's host name could not be resolved", "name"),
        ("full.example", "not sent: this machine has no more files to open", "machine"),
    ],
)
async def test_what_a_resolver_answers_with_is_never_an_exception(
    names: Names, host: str, reason: str, cause: str
) -> None:
    async with raw_target.running({}) as target, Client(SETTINGS, Resolver(names.look_up)) as client:
        for _ in range(2):
            assert failed(await client.deliver(request(target, host), terms())) == (reason, cause, "no")


async def test_names_beyond_the_threads_wait_for_one(names: Names) -> None:
    resolver = Resolver(names.look_up, threads=2)
    waiting = [asyncio.create_task(resolver.addresses(f"silent{number}", 80)) for number in range(2)]
    good = asyncio.create_task(resolver.addresses("good", 80))
    while len(names.asked) < 2:  # noqa: ASYNC110 - asked on threads
        await asyncio.sleep(0.001)
    assert names.asked["good"] == 0
    names.let_go.set()
    assert await good == [Address(socket.AF_INET, (HERE, 80))]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [NoAnswer, NoAnswer]


async def test_without_a_thread_the_target_is_not_to_blame(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver(names.look_up)
    async with raw_target.running({}) as target, Client(SETTINGS, resolver) as client:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            answer = await client.deliver(request(target, "good.example"), terms())
        assert failed(answer) == ("not sent: this machine has no more threads", "machine", "no")
        assert (await client.deliver(request(target, "good.example"), terms())).code == 299


def test_a_lookup_that_outlasts_its_loop_disturbs_nobody(names: Names) -> None:
    resolver = Resolver(names.look_up)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.addresses("silent", 80), 0.01)

    asyncio.run(give_up())
    names.let_go.set()
    assert asyncio.run(resolver.addresses("good", 80))
