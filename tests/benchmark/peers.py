"""The bundle beside job queues on PostgreSQL, all with 64 requests in flight and durable outcomes.

Records of 1 KB with an `Authorization` header, stored before the time is taken. CPU is that of everything
but the target: gateway, services and functions here; Node.js and PostgreSQL there. `peers/` has the queues'
programs.
"""

import json
import os
import pwd
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmark.machine import SETTINGS, TARGETS, path, targets, tree_cpu_seconds
from tests.end_to_end import bundle as bundles

LATENCIES = (0, 20, 100)  # milliseconds
IN_FLIGHT = 64
RECORDS = 5000
RUNS = 3
PEERS = {"pg-boss": "pgboss.mjs", "graphile-worker": "graphile.mjs"}
PROGRAMS = Path(__file__).parent / "peers"
POSTGRESQL = "/usr/lib/postgresql"  # where Debian keeps what is not on PATH
TOKEN = "Bearer benchmark"


def missing() -> str:
    """Return what is not installed that this needs, or nothing."""
    needed = {"npm (Node.js)": shutil.which("npm"), "PostgreSQL (Debian: postgresql)": _postgresql()}
    return ", ".join(name for name, found in needed.items() if not found)


def measure(runs: int = RUNS) -> list[dict[str, Any]]:
    """Rows of contender, latency, records per second and CPU seconds per 1,000; medians of runs in turn."""
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=PROGRAMS, check=True)
    rows = []
    for latency in LATENCIES:
        samples: dict[str, list[tuple[float, float]]] = {}
        for _ in range(runs):
            for name in ("bundle", *PEERS):
                samples.setdefault(name, []).append(_run(name, latency))
        for name, measured in samples.items():
            rates, cpu = zip(*measured, strict=True)
            row = {"contender": name, "latency_ms": latency, "per_second": statistics.median(rates)}
            rows.append(row | {"cpu_per_1000": statistics.median(cpu)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def _run(name: str, latency: int) -> tuple[float, float]:
    with targets() as urls:
        if name == "bundle":
            return _bundle(urls, path(latency))
        with _database() as (server, url):
            job = {"database": url, "targets": urls, "path": path(latency)}
            return _peer(PEERS[name], job | {"concurrency": IN_FLIGHT, "records": RECORDS}, server)


def _bundle(urls: Sequence[str], where: str) -> tuple[float, float]:
    bounds = {"CONCURRENCY": str(IN_FLIGHT), "CONCURRENCY_PER_TARGET": str(IN_FLIGHT // TARGETS)}
    allowed = {"ALLOWED_TARGETS": ",".join(urls)}
    payload = {"orderid": "18jan", "text": "x" * 1000}
    with (
        tempfile.TemporaryDirectory() as home,
        bundles.running(Path(home), **SETTINGS, **bounds, **allowed) as bundle,
    ):
        members = {"vaultSecretName": "bench", "targetRestApiPayload": payload}
        records = [bundle.record(urls[one % TARGETS] + where, **members) for one in range(RECORDS)]
        bundle.store(records[:IN_FLIGHT], TOKEN)
        bundle.process()  # warm, as the others are
        for start in range(0, RECORDS, 500):
            bundle.store(records[start : start + 500], TOKEN)
        before, started = tree_cpu_seconds(bundle.server.pid), time.perf_counter()
        delivered = bundle.process(noOfMessagesToProcess=10_000)["processedmessages"]
        seconds, cpu = time.perf_counter() - started, tree_cpu_seconds(bundle.server.pid) - before
        assert delivered == RECORDS, "not every record was delivered"
        return RECORDS / seconds, cpu / RECORDS * 1000


def _peer(program: str, job: dict[str, Any], database: int) -> tuple[float, float]:
    """Run one queue's program, which says when it has stored and when it has delivered everything."""
    command = ["node", program, json.dumps(job)]
    with subprocess.Popen(
        command, cwd=PROGRAMS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def cpu() -> float:
            return tree_cpu_seconds(process.pid) + tree_cpu_seconds(database)

        assert process.stdout.readline() == "stored\n", program
        before, started = cpu(), time.perf_counter()
        print("begin", file=process.stdin, flush=True)
        assert process.stdout.readline() == "done\n", program
        seconds, used = time.perf_counter() - started, cpu() - before
        print("end", file=process.stdin, flush=True)
        return job["records"] / seconds, used / job["records"] * 1000


def _postgresql() -> Path | None:
    """Return the folder of PostgreSQL's programs."""
    on_path = [Path(one).parent for one in [shutil.which("pg_isready")] if one]
    found = [*on_path, *sorted(Path(POSTGRESQL).glob("*/bin"))]
    return next((one for one in reversed(found) if (one / "postgres").exists()), None)


@contextmanager
def _database() -> Iterator[tuple[int, str]]:
    """Run a new PostgreSQL with its default settings; gives its process and its URL."""
    programs = _postgresql()
    assert programs is not None, "see missing()"
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}
        data = f"{folder}/data"
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        made = [programs / "initdb", "--pgdata", data, "--username", "bench", "--auth", "trust"]
        subprocess.run(made, check=True, **quiet, **user)
        server = [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        with subprocess.Popen(server, **quiet, **user) as process:
            try:
                ready = [programs / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(port)]
                while subprocess.run(ready, check=False).returncode:
                    assert process.poll() is None, "PostgreSQL did not start"
                    time.sleep(0.1)
                yield process.pid, f"postgres://bench@127.0.0.1:{port}/postgres"
            finally:
                process.terminate()
