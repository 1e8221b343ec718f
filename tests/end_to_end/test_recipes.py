"""The recipes of docs/targets.md, applied with the command, do what they say."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documents import blocks, section
from tests.end_to_end.bundle import Bundle, running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with running(tmp_path_factory.mktemp("recipes") / "home") as bundle:
        yield bundle


@pytest.fixture
def bundle(shared: Bundle) -> Bundle:
    shared.reset()
    return shared


def command(bundle: Bundle, *arguments: str) -> None:
    done = bundle.targets_command(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def applied(bundle: Bundle, folder: Path, title: str, **places: str) -> list[dict[str, Any]]:
    """Apply a recipe with other beginnings of URLs, by their hosts or whole; its entries."""
    (text,) = blocks(section("docs/targets.md", title), "json")
    for url, path in places.items():
        text, number = re.subn(rf'"https://{url}[^"]*"', f'"{bundle.target_url}{path}"', text)
        assert number, f"the recipe has no {url}"
    (folder / "targets.json").write_text(text)
    command(bundle, "apply", str(folder / "targets.json"), "--yes")
    entries: list[dict[str, Any]] = json.loads(text)["targets"]
    return entries


def test_a_maintenance_window(bundle: Bundle, tmp_path: Path) -> None:
    applied(bundle, tmp_path, "A maintenance window", erp="/")
    command(bundle, "pause", "erp", "--until", "8h")  # whenever this test runs
    identity = bundle.stored()
    assert (bundle.process()["processedmessages"], bundle.received()) == (0, [])
    assert "attempts" not in bundle.state(identity)
    command(bundle, "resume", "erp")
    assert bundle.process()["processedmessages"] == 1


def test_a_rate_limit(bundle: Bundle, tmp_path: Path) -> None:
    (entry,) = applied(bundle, tmp_path, "A rate limit", crm="/")
    assert entry["rate"] == {"requests": 30, "per": "1m"}
    bundle.store([bundle.record() for _ in range(4)])
    started = time.monotonic()
    while len(bundle.received()) < 4:
        bundle.process()
    times = sorted(one["started"] for one in bundle.received())
    assert times[-1] - times[0] > 3 * 60 / 30 * 0.9
    assert time.monotonic() - started < 30


def test_an_api_that_answers_200_with_an_error(bundle: Bundle, tmp_path: Path) -> None:
    applied(bundle, tmp_path, "An API that answers 200 with an error", erp="/")
    good, bad = (
        bundle.stored("/mirror/200", targetRestApiPayload={"ReturnStatus": said}) for said in ("OK", "ERROR")
    )
    bundle.process()
    assert bundle.state(good)["status"] == "success"
    state = bundle.state(bad)
    assert (state["status"], state["status_code"], state["dead"]) == ("failed", 200, True)
    assert json.loads(state["attempts"][-1]["answer"]) == {"ReturnStatus": "ERROR"}


def test_fusion(bundle: Bundle, tmp_path: Path) -> None:
    places = {"fusion[^/]*/fscm": "/status/504", "fusion": "/"}
    applied(bundle, tmp_path, "Fusion", **places)
    bundle.stored("/ok", targetRestApiHeaders={"X-Tenant": "north"})
    held = bundle.stored("/status/504/import")
    bundle.process()
    (request,) = bundle.received("/ok")
    header = request["header"]
    assert (header["rest-framework-version"], header["upsert-mode"]) == ("9", "true")
    assert header["content-type"] == "application/vnd.oracle.adf.resourceitem+json"
    assert header["x-tenant"] == "north"
    assert bundle.state(held)["dead"] is True
    assert bundle.call("GET", "/process").json()["counts"]["held"] == 1
    assert bundle.process()["failedMessages"] == 0


def test_ords(bundle: Bundle, tmp_path: Path) -> None:
    applied(bundle, tmp_path, "ORDS", ords="/")
    broken, busy = bundle.stored("/status/555"), bundle.stored("/status/503")
    bundle.process()
    assert bundle.state(broken)["dead"] is True
    assert bundle.state(busy).get("dead") is None
