"""The demonstration: sample records through store, process and retry, and what became of each of them."""

import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
from rich import box
from rich.console import Console
from rich.table import Table

from local import oracle_database, stack
from local.samples import Sample, problems, samples

_SETTINGS = {"RETRY_BACKOFF": "100ms..400ms", "RETRY_LIMIT": "4"}
_COLLECTION = "datasync_demo"  # in an Oracle Database, where there may be others
_MOST_ROUNDS = 20  # of replaying; each ends a record or brings it nearer to its limit
_PAUSE = 0.2  # seconds between rounds; in the cloud a schedule's interval
_PATIENCE = 120.0  # seconds for an answer; only a machine that is very busy takes some
_WIDTH = 150  # columns, if the output is no terminal


class DemoError(Exception):
    """Something did not go as it should; the message says what."""


async def main(environment: Mapping[str, str]) -> int:
    """Show it, in the database that the environment names; return 0 if every record ended as it should."""
    started = time.monotonic()
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    with tempfile.TemporaryDirectory(prefix="datasync-demo-") as home:
        try:
            await _show(Path(home), console, _SETTINGS | _database(environment))
        except (DemoError, stack.StartError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            print(f"The demo failed: {error}", file=sys.stderr)
            _show_logs(Path(home))
            return 1
    console.print(f"Every record ended as it should ({time.monotonic() - started:.1f} s).")
    return 0


def _show_logs(home: Path) -> None:
    for log in sorted(home.glob("logs/*.log")):
        print(f"--- {log.name}\n{log.read_text()[-4000:]}", file=sys.stderr)


def _database(environment: Mapping[str, str]) -> dict[str, str]:
    named = oracle_database.settings(environment)
    return named | {"COLLECTION": environment.get("COLLECTION", _COLLECTION)} if named else {}


async def _show(home: Path, console: Console, settings: Mapping[str, str]) -> None:
    with closing(socket.socket()) as deaf:
        deaf.bind((stack.HOST, 0))  # nobody else gets the port, and without listen() connections are refused
        nowhere = f"http://{stack.HOST}:{deaf.getsockname()[1]}"
        await _show_samples(home, console, settings, nowhere)


async def _show_samples(home: Path, console: Console, settings: Mapping[str, str], nowhere: str) -> None:
    async with (
        stack.running(home, settings, also_allowed=[nowhere]) as running,
        aiohttp.ClientSession(running.url, timeout=aiohttp.ClientTimeout(total=_PATIENCE)) as gateway,
    ):
        console.print(f"Gateway {running.url}, sample target {running.target_url}")
        requests = samples(nowhere)
        for request in requests:
            await _store(gateway, request, running.target_url)
        everything = [sample for request in requests for sample in request]
        console.print(f"POST /store          {len(everything)} records in {len(requests)} requests")
        console.print(f"POST /process        {_summary(await _called(gateway, '/process', {}))}")
        await _replay(gateway, console, sum(sample.waits for sample in everything))
        # A record that was held back behind a failed one has not failed: the next scheduled call delivers it.
        console.print(f"POST /process        {_summary(await _called(gateway, '/process', {}))}")
        states = [await _answer(gateway, "GET", f"/store/{sample.id}") for sample in everything]
        console.print(_table(everything, states))
        received = await _received(running.target_url)
    complaints = [
        problem
        for sample, state in zip(everything, states, strict=True)
        for problem in problems(sample, state, received)
    ]
    if complaints:
        raise DemoError("\n".join(complaints))


async def _store(gateway: aiohttp.ClientSession, request: list[Sample], target_url: str) -> None:
    bodies = [sample.body(target_url) for sample in request]
    headers = {"Authorization": request[0].token} if request[0].token else {}
    answer = await _answer(gateway, "POST", "/store", bodies if len(bodies) > 1 else bodies[0], headers, 202)
    for sample, stored in zip(request, answer.get("records", [answer]), strict=True):
        sample.id = stored["id"]


async def _replay(gateway: aiohttp.ClientSession, console: Console, waiting: int) -> None:
    """Walk through /process/retry to its end, again and again, until only so many records still wait."""
    for _ in range(_MOST_ROUNDS):
        await asyncio.sleep(_PAUSE)
        offset, ended = "-1", False
        while not ended:
            body = {"readAfterOffset": offset, "noOfMessagesToProcess": 5}
            answer = await _called(gateway, "/process/retry", body)
            offset, ended = answer["lastReadOffset"], answer["endOfStream"]
            console.print(f"POST /process/retry  {_summary(answer)}")
        counts = (await _answer(gateway, "GET", "/process"))["counts"]
        if counts["failed"] - counts["dead"] <= waiting:
            return
    raise DemoError(f"after {_MOST_ROUNDS} rounds some failed records are neither delivered nor dead")


async def _called(gateway: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return await _answer(gateway, "POST", path, body)


async def _answer(
    gateway: aiohttp.ClientSession,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    expected: int = 200,
) -> dict[str, Any]:
    async with gateway.request(method, path, json=body, headers=headers) as response:
        text = await response.text()
        if response.status != expected:
            raise DemoError(f"{method} {path} answered {response.status}: {text[:500]}")
        content: dict[str, Any] = await response.json()
        return content


async def _received(target_url: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession(target_url) as target, target.get("/_received") as response:
        requests: list[dict[str, Any]] = (await response.json())["requests"]
        return requests


def _summary(answer: Mapping[str, Any]) -> str:
    return (
        f"{answer['processedmessages']} delivered, {answer['failedMessages']} failed,"
        f" {answer['skippedMessages']} skipped, endOfStream {str(answer['endOfStream']).lower()}"
    )


def _table(sent: list[Sample], states: list[dict[str, Any]]) -> Table:
    table = Table(title="What became of each record", box=box.SIMPLE_HEAD)
    for name in ("record", "operation", "target", "attempts", "status", "code", "reason"):
        table.add_column(name, overflow="fold", no_wrap=name in ("operation", "attempts", "status", "code"))
    for sample, state in zip(sent, states, strict=True):
        status = state["status"] + (" (dead)" if state.get("dead") else "")
        table.add_row(
            sample.what,
            sample.operation,
            "a closed port" if sample.path.startswith("http") else sample.path,
            str(state.get("retry_attempts", -1) + 1),
            f"[green]{status}" if state["status"] == "success" else f"[red]{status}",
            str(state.get("status_code", "-")),
            state.get("failure_reason", ""),
        )
    return table
