"""Latency of /store beside an FDK function that only echoes; and cold starts beside that of the bare FDK."""

import asyncio
import json
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from local import stack
from local.emulators import gateway, identity
from local.emulators.functions import Function, FunctionRunner
from local.emulators.gateway import Route
from local.emulators.oci.app import create_app
from tests.benchmark.machine import SETTINGS
from tests.end_to_end.bundle import ROOT

CALLS, WARM = 600, 100
CALLERS = (1, 8)
STARTS = 7
IDLE = "process-data, nothing due"
ECHO = ROOT / "tests" / "benchmark" / "echo"
RECORD = json.dumps(
    {
        "streamKey": "key1",
        "streamMessage": {
            "targetRestApi": "https://erp.example.com/latest/orders",
            "targetRestApiOperation": "POST",
            "targetRestApiPayload": {"orderid": "18jan", "PO": "18jan"},
        },
    }
).encode()


def measure() -> dict[str, Any]:
    """Milliseconds: p50 and p99 of store and echo with one and eight callers; medians of cold starts."""
    return asyncio.run(_measured())


async def _measured() -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        services = stack.listener(0)
        oci_url = f"http://{stack.HOST}:{services.getsockname()[1]}"
        configuration = stack.configuration(home, oci_url, ["erp.example.com"]) | SETTINGS
        functions = [
            _function("store-data", ROOT / "functions" / "store-data", configuration),
            _function("process-data", ROOT / "functions" / "process-data", configuration),
            _function(IDLE, ROOT / "functions" / "process-data", configuration | {"COLLECTION": "empty"}),
            _function("echo", ECHO, {}),
        ]
        environment = identity.environment(home)
        server = web.AppRunner(create_app(home), access_log=None)
        await server.setup()
        await web.SockSite(server, services).start()
        async with FunctionRunner(functions, home, environment) as runner:
            routes = [
                *gateway.load_routes(),
                Route(re.compile("/echo"), ("POST",), "echo", ("source",)),
            ]
            async with gateway.serve(routes, runner) as url, aiohttp.ClientSession(url) as session:
                for callers in CALLERS:
                    for route in ("/echo", "/store"):
                        await _latencies(session, route, callers, WARM)
                        rows.append(
                            {"route": route, "callers": callers}
                            | _percentiles(await _latencies(session, route, callers, CALLS))
                        )
        starts = {
            function.name: statistics.median(
                [await _cold(function, home, environment) for _ in range(STARTS)]
            )
            for function in functions
        }
        await server.cleanup()
    return {"latency": rows, "cold_start_ms": starts}


def _function(name: str, folder: Path, configuration: dict[str, str]) -> Function:
    return Function(
        name=name,
        folder=folder,
        function_id=f"ocid1.fnfunc.{name}",
        config=configuration,
        timeout=300.0,
        max_processes=8,
    )


async def _latencies(session: aiohttp.ClientSession, route: str, callers: int, calls: int) -> list[float]:
    times: list[float] = []

    async def call() -> None:
        for _ in range(calls // callers):
            started = time.perf_counter()
            headers = {"Content-Type": "application/json"}
            async with session.post(route, data=RECORD, headers=headers) as response:
                await response.read()
                assert response.status in (200, 202), response.status
            times.append((time.perf_counter() - started) * 1000)

    await asyncio.gather(*(call() for _ in range(callers)))
    return times


def _percentiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {"p50": statistics.median(ordered), "p99": ordered[int(len(ordered) * 0.99)]}


async def _cold(function: Function, home: Path, environment: dict[str, str]) -> float:
    """Milliseconds from the start of a process to its first answer."""
    async with FunctionRunner([function], home, environment) as runner:
        started = time.perf_counter()
        if function.name == "store-data":
            headers = [("Content-Type", "application/json")]
            reply = await runner.call_http("store-data", "POST", "/store", headers, RECORD)
        else:
            reply = await runner.invoke(function.name, b"{}")
        assert reply.status in (200, 202), reply
        return (time.perf_counter() - started) * 1000


def table(measured: dict[str, Any]) -> list[list[str]]:
    """Latencies and cold starts as a table."""
    lines = [["", "p50", "p99"]]
    lines += [
        [f"{row['route']}, {row['callers']} caller(s)", f"{row['p50']:.1f} ms", f"{row['p99']:.1f} ms"]
        for row in measured["latency"]
    ]
    return lines + [
        [f"cold start of {name}", f"{milliseconds:.0f} ms", ""]
        for name, milliseconds in measured["cold_start_ms"].items()
    ]
