"""Secrets of a call: one lookup for all that wait, and nothing waits for a Vault that does not answer."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Iterator

import pytest

from shared.delivery.limits import Skipped
from shared.delivery.secrets import Secrets
from shared.drivers import threads
from shared.drivers.threads import Threads
from shared.model.errors import DependencyDown
from shared.model.record import Document
from shared.storage import readings
from shared.storage.vault import Secret, Unreadable
from tests.unit import engine

SECONDS = 60.0


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "VAULT", Threads("two", 2))


class Vault(engine.Secrets):
    """A vault in which reading some names waits until they are let go."""

    def __init__(self, **held: str | Exception | None):
        super().__init__(**held)
        self.let_go = threading.Event()

    def current(self, name: str) -> Secret | None:
        if name.startswith("slow"):
            assert self.let_go.wait(SECONDS)
        return super().current(name)


@pytest.fixture
def vault() -> Iterator[Vault]:
    vault = Vault(slow="a", quick="b", down=DependencyDown("down"), unreadable=Unreadable("odd"))
    yield vault
    vault.let_go.set()


def secrets(vault: engine.Secrets, seconds: float = SECONDS) -> Secrets:
    return Secrets(vault, time.monotonic() + seconds)


def naming(name: str) -> Document:
    return engine.made(vaultSecretName=name).document


async def text(getting: Awaitable[Secret | None]) -> str | None:
    """What a secret holds that is being got."""
    found = await getting
    return found.text if found else None


async def test_a_secret_that_is_slow_holds_up_no_other(vault: Vault) -> None:
    its = secrets(vault)
    slow = asyncio.create_task(its.get(naming("slow")))
    assert await text(its.get(naming("quick"))) == "b"
    assert not slow.done()
    vault.let_go.set()
    assert await text(slow) == "a"


async def test_all_that_wait_for_one_secret_ask_for_it_once(vault: Vault) -> None:
    its = secrets(vault)
    assert await asyncio.gather(*(text(its.get(naming("quick"))) for _ in range(5))) == ["b"] * 5
    assert vault.reads == ["quick"]


async def test_a_secret_is_known_for_as_long_as_it_is_fresh_and_not_for_the_call(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = secrets(vault)
    assert [await text(its.get(naming("quick"))) for _ in range(3)] == ["b"] * 3
    assert vault.reads == ["quick"]
    monkeypatch.setattr(readings, "FRESH_SECONDS", 0.0)  # its time is over
    vault.held["quick"] = "c"
    assert await text(its.get(naming("quick"))) == "c"


async def test_once_vault_does_not_answer_nothing_waits_for_it_any_more(vault: Vault) -> None:
    """Neither what is being asked for, nor what waits for a thread to ask, nor what comes later."""
    its = secrets(vault)
    waiting = [
        asyncio.create_task(its.get(naming(name)))
        for name in ("slow", "down", *(f"slow{n}" for n in range(9)))
    ]
    done, _ = await asyncio.wait(waiting, timeout=SECONDS)
    assert all(isinstance(one.exception(), Skipped) for one in done)
    assert len(done) == len(waiting)
    with pytest.raises(Skipped) as skipped:
        await its.get(naming("later"))
    assert isinstance(skipped.value.cause, DependencyDown)
    vault.let_go.set()
    assert len(vault.reads) <= 3


async def test_one_secret_that_can_not_be_read_harms_itself_only(vault: Vault) -> None:
    its = secrets(vault)
    with pytest.raises(Skipped):
        await its.get(naming("unreadable"))
    assert await text(its.get(naming("quick"))) == "b"
    with pytest.raises(Skipped):
        await its.get(naming("unreadable"))
    assert vault.reads.count("unreadable") == 1


async def test_nothing_waits_longer_than_the_call_delivers(vault: Vault) -> None:
    with pytest.raises(Skipped) as skipped:
        await secrets(vault, 0.05).get(naming("slow"))
    assert skipped.value.cause is None
