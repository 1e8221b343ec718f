"""The demonstration: sample records through store, process and retry, and what became of each of them."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich import box
from rich.console import Console
from rich.table import Table

from local import stack

_SETTINGS = {"RETRY_BACKOFF": "100ms..400ms", "RETRY_LIMIT": "4"}
_MOST_ROUNDS = 20  # of replaying; each ends a record or brings it nearer to its limit
_PAUSE = 0.2  # seconds between rounds; in the cloud a schedule's interval
_PATIENCE = 120.0  # seconds for an answer; only a machine that is very busy takes some
_WIDTH = 150  # columns, if the output is no terminal
_ERP_TOKEN, _CRM_TOKEN = "Bearer erp-8c1f", "Basic Y3JtOmRlbW8="  # made up


class DemoError(Exception):
    """Something did not go as it should; the message says what."""


@dataclass
class Sample:
    """A record to store, the token to store it with, and how it should end."""

    what: str
    path: str
    token: str | None = None
    operation: str = "POST"
    members: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    flat: bool = False
    expected: tuple[str, int | str] = ("success", 200)
    waits: bool = False
    """It ends failed and alive: what was never sent has no limit, and waits for its target."""
    id: str = ""

    def body(self, target_url: str) -> dict[str, Any]:
        """Return the record as a source would send it."""
        url = self.path if self.path.startswith("http") else target_url + self.path
        message = {"targetRestApi": url, "targetRestApiOperation": self.operation, **self.members}
        if self.operation != "DELETE":
            message["targetRestApiPayload"] = {"orderid": self.what, "amount": 12.50}
        beside = {} if self.key is None else {"streamKey": self.key}
        return beside | message if self.flat else beside | {"streamMessage": message}


def _samples(nowhere: str) -> list[list[Sample]]:
    """Return what is sent, request by request: more than one record is an array."""
    erp, crm = {"vaultSecretName": "erp-token"}, {"vaultSecretName": "crm-token"}
    xml = {"targetRestApiHeaders": [{"key": "X-Tenant", "value": "north"}]}
    return [
        [Sample("enveloped", "/auth/bearer/orders", _ERP_TOKEN, members=erp, key="order-1")],
        [Sample("flat", "/ok/anyone", flat=True)],
        [Sample("with a header", "/auth/basic/contacts", _CRM_TOKEN, members={**crm, **xml}, flat=True)],
        [Sample("PUT", "/auth/bearer/orders/1", _ERP_TOKEN, "PUT", members=erp, key="order-1")],
        [Sample("DELETE", "/auth/bearer/orders/0", _ERP_TOKEN, "DELETE", members=erp)],
        [
            Sample("array, 1st", "/auth/basic/contacts/1", _CRM_TOKEN, "PATCH", members=crm),
            Sample("array, 2nd", "/auth/basic/contacts/2", _CRM_TOKEN, "PATCH", members=crm, flat=True),
            Sample("array, 3rd", "/slow/300/contacts/3", _CRM_TOKEN, members=crm),
        ],
        [Sample("503 twice, then well", "/flaky/2/stock", key="stock-7")],
        [Sample("behind the former", "/ok/stock", key="stock-7")],
        [Sample("no such resource", "/status/404/gone", expected=("failed", 404))],
        [Sample("unreachable", nowhere, expected=("failed", "unexpectedError"), waits=True)],
        [Sample("redirected", "/redirect/302/elsewhere", expected=("failed", 302))],
    ]


async def main() -> int:
    """Show it, and return 0 if every record ended as it should."""
    started = time.monotonic()
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    with tempfile.TemporaryDirectory(prefix="datasync-demo-") as home:
        try:
            await _show(Path(home), console)
        except (DemoError, stack.StartError, aiohttp.ClientError, TimeoutError) as error:
            print(f"The demo failed: {error}", file=sys.stderr)
            _show_logs(Path(home))
            return 1
    console.print(f"Every record ended as it should ({time.monotonic() - started:.1f} s).")
    return 0


def _show_logs(home: Path) -> None:
    for log in sorted(home.glob("logs/*.log")):
        print(f"--- {log.name}\n{log.read_text()[-4000:]}", file=sys.stderr)


async def _show(home: Path, console: Console) -> None:
    nowhere = f"http://{stack.HOST}:{_closed_port()}"
    async with (
        stack.running(home, _SETTINGS, also_allowed=[nowhere]) as running,
        aiohttp.ClientSession(running.url, timeout=aiohttp.ClientTimeout(total=_PATIENCE)) as gateway,
    ):
        console.print(f"Gateway {running.url}, sample target {running.target_url}")
        requests = _samples(nowhere)
        for samples in requests:
            await _store(gateway, samples, running.target_url)
        everything = [sample for samples in requests for sample in samples]
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


async def _store(gateway: aiohttp.ClientSession, samples: list[Sample], target_url: str) -> None:
    bodies = [sample.body(target_url) for sample in samples]
    headers = {"Authorization": samples[0].token} if samples[0].token else {}
    answer = await _answer(gateway, "POST", "/store", bodies if len(bodies) > 1 else bodies[0], headers, 202)
    for sample, stored in zip(samples, answer.get("records", [answer]), strict=True):
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


def _table(samples: list[Sample], states: list[dict[str, Any]]) -> Table:
    table = Table(title="What became of each record", box=box.SIMPLE_HEAD)
    for name in ("record", "operation", "target", "attempts", "status", "code", "reason"):
        table.add_column(name, overflow="fold", no_wrap=name in ("operation", "attempts", "status", "code"))
    for sample, state in zip(samples, states, strict=True):
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


def problems(sample: Sample, state: dict[str, Any], received: list[dict[str, Any]]) -> list[str]:
    """Say what is not as it should be: the record's end, or what the target got."""
    complaints = []
    if (state["status"], state.get("status_code")) != sample.expected:
        complaints.append(f"{sample.what}: ended {state['status']} {state.get('status_code')}")
    if state["status"] == "failed" and bool(state.get("dead")) == sample.waits:
        complaints.append(f"{sample.what}: failed, and is {'dead' if sample.waits else 'not dead'}")
    got = [request for request in received if request["idempotencyKey"] == sample.id]
    delivered = [request for request in got if request["status"] == 200]
    if len(delivered) != (1 if sample.expected[0] == "success" else 0):
        complaints.append(f"{sample.what}: the target accepted it {len(delivered)} times")
    if any(dict(request["headers"]).get("Authorization") != sample.token for request in got):
        complaints.append(f"{sample.what}: the target got another token than the source gave")
    return complaints


def _closed_port() -> int:
    """Return a port on which nothing listens."""
    with stack.listener(0) as closed:
        port: int = closed.getsockname()[1]
        return port
