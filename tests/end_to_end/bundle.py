"""The whole bundle as a process of its own (`python -m local run`), and what a test does with it."""

import base64
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oci
import requests

import local.emulators.soda
from local.emulators import identity
from local.emulators.oci.object_store import ObjectStore
from local.emulators.private_files import private_folder
from local.emulators.soda.tracing import VARIABLE
from local.stack import ARCHIVE_BUCKET
from tests.contract.oci_server import copy_keys, signer

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "datasync_records"
TOKEN = "Bearer s3cr3t-Tok3n/of+the=target"

PATIENCE = 300.0
"""Seconds that a test waits for what it expects, however busy the machine is."""

# Everything is due again at once after a failure. The times leave a busy machine room.
SETTINGS = {
    "TARGET_CONNECT_TIMEOUT": "5s",
    "TARGET_READ_TIMEOUT": "10s",
    "LEASE": "30s",
    "RETRY_BACKOFF": "0s..0s",
    "RETRY_LIMIT": "3",
    "NOTIFICATION_TOPIC_OCID": "",  # a test of what operators are told turns it on
    "METRICS_NAMESPACE": "",
}

SHORT_LEASE = {"TARGET_CONNECT_TIMEOUT": "1s", "TARGET_READ_TIMEOUT": "6s", "LEASE": "10s"}
"""For tests in which workers die: what they had leased is free again soon."""

UNCHECKED = ("-m", "tests.faults.serve")
"""A program that starts with settings that are wrong, which `python -m local run` refuses."""

READ_WHOLE = tuple(f"datasync_records_{kind}" for kind in ("audit", "leases", "notes", "policies"))
"""Collections of a few hundred small documents at the most, which are read as a whole."""

_secrets: set[str] = set()
_homes: set[Path] = set()


def secret(text: str) -> str:
    """Note what must be found nowhere at the end of all tests, and return it."""
    _secrets.update((text, base64.b64encode(text.encode()).decode()))
    _secrets.update(part for part in text.split() if len(part) >= 12)
    return text


def operations() -> list[dict[str, Any]]:
    """Return every operation that functions of all bundles have asked of a database, with its plan."""
    traces = (_trace(home) for home in _homes)
    return [json.loads(line) for trace in traces if trace.exists() for line in trace.read_text().splitlines()]


def reading_all() -> list[dict[str, Any]]:
    """Return those that no index serves."""
    return [
        one
        for one in operations()
        if one["collection"] not in READ_WHOLE and any("SCAN" in step for step in one["plan"])
    ]


def _trace(home: Path) -> Path:
    return home.with_name(f"{home.name}-operations.jsonl")


def leaks() -> list[tuple[str, str]]:
    """Return where a secret stands in what all bundles have written: database, secret store, logs."""
    files = (path for home in _homes for path in home.rglob("*") if path.is_file())
    read = ((path, path.read_bytes()) for path in files)
    return [(str(path), one) for path, content in read for one in _secrets if one.encode() in content]


@dataclass
class Bundle:
    """A running bundle."""

    server: subprocess.Popen[str]
    home: Path
    url: str
    target_url: str
    oci_url: str
    key: str = ""
    """What its calls are authenticated with, unless they say otherwise."""

    # What callers do

    def record(self, path: str = "/ok", **members: Any) -> dict[str, Any]:
        """A valid record in the enveloped form, to be sent to the sample target."""
        key = members.pop("streamKey", None)
        message = {
            "targetRestApi": path if "://" in path else self.target_url + path,
            "targetRestApiOperation": "POST",
            "targetRestApiPayload": {"orderid": "18jan"},
        } | members
        return {"streamMessage": message} | ({} if key is None else {"streamKey": key})

    def call(
        self, method: str, path: str, body: Any = None, *, data: bytes | None = None, **headers: str
    ) -> requests.Response:
        """One request to the gateway; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            named.setdefault("X-API-Key", self.key)
        if "Authorization" in named:
            secret(named["Authorization"])
        response = requests.request(
            method, self.url + path, json=body, data=data, headers=named, timeout=PATIENCE
        )
        assert not [one for one in _secrets if one in response.text], "a secret stands in an answer"
        return response

    def store(self, body: Any, token: str | None = None) -> Any:
        """Store what must be accepted; the answer."""
        response = self.call("POST", "/store", body, **({"Authorization": token} if token else {}))
        assert response.status_code == 202, response.text
        return response.json()

    def stored(self, path: str = "/ok", token: str | None = None, **members: Any) -> str:
        """Store one record; its id."""
        answer: dict[str, str] = self.store(self.record(path, **members), token)
        return answer["id"]

    def process(self, route: str = "/process", **members: Any) -> dict[str, Any]:
        """Call `/process` or another route of it; the answer."""
        response = self.call("POST", route, members)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def retry(self, **members: Any) -> dict[str, Any]:
        """Call `/process/retry`; `from_` stands for `from`."""
        return self.process("/process/retry", **{name.rstrip("_"): value for name, value in members.items()})

    def put_policies(self, *entries: dict[str, Any]) -> dict[str, Any]:
        """Write the policies, whatever they were; the answer. Each is the sample target's, by default."""
        targets = [{"name": "sample", "targetRestApi": f"{self.target_url}/"} | entry for entry in entries]
        response = self.call("PUT", "/process/targets", {"targets": targets}, If_Match="*")
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def live(self, name: str) -> dict[str, Any]:
        """What `GET /process/targets` says of a policy, or of a host without one."""
        lines = self.call("GET", "/process/targets").json()["live"]
        return next(line for line in lines if name in (line.get("name"), line.get("target")))

    def targets_command(self, *arguments: str, said: str = "") -> "subprocess.CompletedProcess[str]":
        """Run `datasync targets`; `said` is what is typed."""
        return subprocess.run(
            [sys.executable, "-m", "datasync", "targets", *arguments],
            cwd=ROOT,
            env={"DATASYNC_URL": self.url, "PATH": ""},
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )

    def state(self, identity: str) -> dict[str, Any]:
        """What `GET /store/{id}` says."""
        response = self.call("GET", f"/store/{identity}")
        assert response.status_code == 200, response.text
        state: dict[str, Any] = response.json()
        return state

    # What stands at the other end

    def received(self, prefix: str = "") -> list[dict[str, Any]]:
        """What the target received on paths that begin with `prefix`, oldest first."""
        answer = requests.get(f"{self.target_url}/_received", {"prefix": prefix}, timeout=PATIENCE).json()
        requests_: list[dict[str, Any]] = answer["requests"]
        for request in requests_:
            request["body"] = base64.b64decode(request["bodyBase64"])
            request["header"] = {name.lower(): value for name, value in request["headers"]}
        return requests_

    def fault(self, where: str, **how: Any) -> None:
        """Let calls to an OCI service fail."""
        response = requests.post(
            f"{self.oci_url}/_local/faults", json={"where": where, **how}, timeout=PATIENCE
        )
        assert response.status_code == 201, response.text

    def oci_calls(self) -> dict[str, int]:
        """How often each operation of the OCI services was called."""
        counts: dict[str, int] = requests.get(f"{self.oci_url}/_local/calls", timeout=PATIENCE).json()
        return counts

    def clear_oci(self) -> None:
        """End all faults, and count calls from zero."""
        requests.delete(f"{self.oci_url}/_local/faults", timeout=PATIENCE)
        requests.delete(f"{self.oci_url}/_local/calls", timeout=PATIENCE)

    def task(self, name: str, **members: Any) -> Any:
        """Invoke process-data directly, as a schedule does, for one of its tasks; the function's answer."""
        return self.invoke(task=name, **members)

    def invoke(self, **members: Any) -> Any:
        """Invoke process-data directly; the function's answer."""
        client = oci.functions.FunctionsInvokeClient(
            {}, service_endpoint=self.oci_url, signer=signer(self.home), timeout=PATIENCE
        )
        body = json.dumps(members)
        return client.invoke_function(
            identity.PROCESS_DATA_FUNCTION_OCID, invoke_function_body=body
        ).data.json()

    def maintain(self, **members: Any) -> Any:
        """Invoke maintenance."""
        return self.task("maintenance", **members)

    def archived(self) -> dict[str, list[dict[str, Any]]]:
        """The records in the archive, by object."""
        store = ObjectStore(self.home)
        objects = {}
        for one in store.all(ARCHIVE_BUCKET):
            found = store.read(ARCHIVE_BUCKET, one.name)
            assert found is not None
            objects[one.name] = [json.loads(line) for line in gzip.decompress(found[1]).splitlines()]
        return objects

    # What lies below

    @property
    def database(self) -> Path:
        return self.home / "datasync.db"

    def documents(self, name: str = COLLECTION) -> list[dict[str, Any]]:
        """Every document of a collection, as the database has it."""
        with local.emulators.soda.connect(self.database) as connection:
            collection = connection.getSodaDatabase().openCollection(name)
            return [] if collection is None else [one.getContent() for one in collection.find().getCursor()]

    def logs(self) -> str:
        """What the functions wrote."""
        return "".join(log.read_text() for log in self.home.glob("logs/*.log"))

    def pids(self, function: str) -> list[int]:
        """The processes of a function."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_text()
            except OSError:  # it ended meanwhile
                continue
            if parent == self.server.pid and f"functions/{function}/" in command:
                found.append(int(folder.name))
        return found

    def reset(self) -> None:
        """Forget all records, what the target received, and every fault."""
        with local.emulators.soda.connect(self.database) as connection:
            connection.autocommit = True
            soda = connection.getSodaDatabase()
            for name in soda.getCollectionNames():
                soda.openCollection(name).truncate()
        requests.delete(f"{self.target_url}/_received", timeout=PATIENCE)
        self.clear_oci()

    def kill(self) -> None:
        """End everything at once, as a machine that loses power does."""
        children = [*self.pids("store-data"), *self.pids("process-data")]
        for pid in (self.server.pid, *children):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.server.wait(PATIENCE)


@contextmanager
def running(
    home: Path, *, program: Sequence[str] = ("-m", "local", "run"), make_home: bool = True, **settings: str
) -> Iterator[Bundle]:
    """Run a bundle on free ports, with `settings` over those for tests.

    Without `make_home` it makes home and keys itself, which takes a second more.
    """
    _homes.add(home)
    if make_home:
        copy_keys(private_folder(home))
    environment = {
        "PORT": "0",
        "DATASYNC_HOME": str(home),
        VARIABLE: str(_trace(home)),
        **SETTINGS,
        **settings,
    }
    with subprocess.Popen(
        [sys.executable, *program],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            url, target_url, oci_url = _urls(process)
            yield Bundle(process, home, url, target_url, oci_url)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _urls(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    found: list[str] = []
    while len(found) < 3:
        line = process.stdout.readline()
        assert line, "the bundle did not start"
        found += re.findall(r"http://\S+", line)[:1]
    return found


@contextmanager
def target(*arguments: str) -> Iterator[str]:
    """Run a sample target as a process of its own, which outlives a bundle; gives its URL."""
    command = [sys.executable, "-m", "local.emulators.target", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url: str = json.loads(process.stdout.readline())["url"]
            yield url
        finally:
            process.terminate()


_ports = iter(range(20_000 + 1000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), 32_000))


def own_port() -> int:
    """A port that nobody gets by asking for a free one, as those from 32768 on, and no other test worker."""
    for port in _ports:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("all ports of this worker are used up")


def count(url: str) -> int:
    """How many requests a target has received."""
    received: int = requests.get(f"{url}/_received?count", timeout=PATIENCE).json()["count"]
    return received


def eventually(condition: Any, pause: float = 0.05) -> None:
    """Wait until a condition holds, asking again after `pause` seconds; fail if it never does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(pause)
