"""The local OCI endpoints on a free port, and real `oci` clients of them."""

import asyncio
import atexit
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import oci.auth.signers
import oci.circuit_breaker
import oci.exceptions
import oci.retry
import pytest
from aiohttp import web

from local.emulators import identity
from local.emulators.oci.app import create_app


def signer(home: Path) -> Any:
    """The signer that a function gets from its environment."""
    with mock.patch.dict("os.environ", identity.environment(home)):
        return oci.auth.signers.get_resource_principals_signer()


@dataclass
class Server:
    url: str
    home: Path
    app: web.Application
    signer: Any

    def client(self, kind: Any, **options: Any) -> Any:
        """A client that neither retries nor opens a circuit, so that each call is one request."""
        defaults = {
            "signer": self.signer,
            "retry_strategy": oci.retry.NoneRetryStrategy(),
            "circuit_breaker_strategy": oci.circuit_breaker.NoCircuitBreakerStrategy(),
            "timeout": 120,
        }
        return kind({}, service_endpoint=self.url, **(defaults | options))


@cache
def _made_keys() -> Path:
    home = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, home)
    identity.environment(home)
    return home / "identity"


def copy_keys(home: Path) -> None:
    """Give a home its keys, if it has none: to make them takes a second."""
    if not (home / "identity").exists():
        shutil.copytree(_made_keys(), home / "identity")


@contextmanager
def serving(home: Path, **options: Any) -> Iterator[Server]:
    """Serve on a thread with a loop of its own, as the clients block; keys are made once for all homes."""
    copy_keys(home)
    loop = asyncio.new_event_loop()
    app = create_app(home, **options)
    runner = web.AppRunner(app)

    async def start() -> str:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        return f"http://{host}:{port}"

    url = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Server(url, home, app, signer(home))
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(120)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(120)
        loop.close()


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    """The block must end in this error of a service."""
    with pytest.raises(oci.exceptions.ServiceError) as caught:
        yield
    assert (caught.value.status, caught.value.code) == (status, code), caught.value.message
    assert caught.value.request_id
