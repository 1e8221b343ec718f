"""A deployment that answers as a test says, and the operator's command called with its URL."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import responses
from requests import PreparedRequest

from datasync.__main__ import main

URL = "https://deployment.example.com/datasync"
RETRY = f"{URL}/process/retry"


def run(command: str, *options: str) -> int:
    """The exit code of `datasync COMMAND --url URL …`."""
    return main([command, "--url", URL, *options])


def bodies(mock: responses.RequestsMock) -> list[dict[str, Any]]:
    """What was sent, call by call."""
    return [json.loads(call.request.body or "null") for call in mock.calls]


def interrupt(_: PreparedRequest) -> NoReturn:
    """Ctrl-C during a call."""
    raise KeyboardInterrupt


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """Answers what a test adds, each once, and complains of what was not asked for."""
    for name in ("DATASYNC_URL", "DATASYNC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of the command, in seconds, noted instead of waited for."""
    taken: list[float] = []
    monkeypatch.setattr("datasync.deployment.sleep", taken.append)
    return taken
