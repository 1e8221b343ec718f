"""A bundle with faults put in, its targets, and all that was said to and by them, for the checker."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import requests

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle
from tests.faults import checker
from tests.faults.checker import Evidence, Received

RETRY_LIMIT = 8
LEASE_SECONDS = 5.0
QUICK = {
    "TARGET_CONNECT_TIMEOUT": "1s",
    "TARGET_READ_TIMEOUT": "2500ms",
    "LEASE": f"{LEASE_SECONDS:g}s",
}
KEYS = 10
_PER_REQUEST = 500
PROGRAM = ("-m", "tests.faults.serve")


class Target(Protocol):
    """Whoever keeps account of what it was sent."""

    url: str

    def received(self) -> list[Received]:
        """Return the requests, in the order in which they began."""


@dataclass(frozen=True)
class SampleTarget:
    """The sample target, at a URL."""

    url: str

    def received(self) -> list[Received]:
        answer = requests.get(f"{self.url}/_received", timeout=60).json()
        assert not answer["forgotten"]
        found = [
            Received(one["idempotencyKey"], one["started"], one["finished"], one["status"])
            for one in answer["requests"]
        ]
        return sorted(found, key=lambda one: one.began)

    def count(self) -> int:
        """Return how many requests it received: less to transfer, for those that wait for one more."""
        answer = requests.get(f"{self.url}/_received", {"count": ""}, timeout=60).json()
        return int(answer["count"])

    def reset(self) -> None:
        """Let it forget everything."""
        requests.delete(f"{self.url}/_received", timeout=10)


@dataclass
class Trial:
    """A bundle under test, and what it was asked and answered."""

    bundle: Bundle
    own: SampleTarget
    others: Sequence[Target]
    stored: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    is_unanswered: bool = False

    def store(self, records: Sequence[dict[str, Any]], token: str | None = None) -> list[str]:
        """Store records in requests of hundreds; their ids."""
        ids = []
        for start in range(0, len(records), _PER_REQUEST):
            some = self.bundle.store(records[start : start + _PER_REQUEST], token)["records"]
            ids += [one["id"] for one in some]
        self.stored += ids
        return ids

    def store_many(self, number: int, where: str = "/slow/20") -> list[str]:
        """Store records, every other one with one of ten keys; their ids."""
        return self.store(
            [
                self.bundle.record(f"{where}/{one}", streamKey=f"key-{one % (2 * KEYS)}" if one % 2 else "")
                for one in range(number)
            ]
        )

    def call(self, **members: Any) -> requests.Response:
        """Call `/process`, whatever comes of it."""
        response = self.bundle.call("POST", "/process", members)
        assert response.status_code in (200, 502, 503), response.text
        if response.status_code == 200:
            self.answers.append(response.json())
        self.is_unanswered |= response.status_code == 502
        return response

    def process(self, **members: Any) -> dict[str, Any]:
        """Call `/process`; the answer, which is one."""
        response = self.call(**members)
        assert response.status_code == 200, response.text
        return self.answers[-1]

    def deliver_all(self, calls: int = 40, **members: Any) -> int:
        """Call `/process` until nothing is due, also where processes die; return how many calls it took."""
        for number in range(calls):
            response = self.call(**members)
            is_over = response.status_code == 200 and response.json()["endOfStream"]
            if is_over and not self.report()["due"]:
                return number + 1
        raise AssertionError(f"it did not end: {self.answers[-3:]}")

    def report(self) -> dict[str, Any]:
        """Return the operators' view."""
        response = self.bundle.call("GET", "/process")
        assert response.status_code == 200, response.text
        report: dict[str, Any] = response.json()
        return report

    def received(self) -> list[Received]:
        """Return what all targets received."""
        found = [one for target in (self.own, *self.others) for one in target.received()]
        return sorted(found, key=lambda one: one.began)

    def check(self, interrupted: int = 0, retry_limit: int = RETRY_LIMIT) -> int:
        """Hold the promises of the contract; how often a record was accepted once more (see `checker`)."""
        evidence = Evidence(
            self.stored,
            self.bundle.documents(),
            self.received(),
            self.answers,
            self.report(),
            retry_limit,
            self.is_unanswered,
        )
        return checker.check(evidence, interrupted)

    def assert_all_delivered(self, interrupted: int = 0, retry_limit: int = RETRY_LIMIT) -> int:
        """Hold the promises, and that every record is a success; how often one was accepted once more."""
        twice = self.check(interrupted, retry_limit)
        assert {one["status"] for one in self.bundle.documents()} == {"success"}
        return twice


@contextmanager
def running(
    home: Path, *targets: Target, faults: dict[str, str] | None = None, **settings: str
) -> Iterator[Trial]:
    """Run a bundle that may send to its own target and to these; `faults` are put into process-data."""
    environment = {
        "FAULTS": json.dumps(faults or {}),
        "ALSO_ALLOWED": ",".join(target.url for target in targets),
        "RETRY_LIMIT": str(RETRY_LIMIT),
        **QUICK,
        **settings,
    }
    with bundles.running(home, program=PROGRAM, **environment) as bundle:
        yield Trial(bundle, SampleTarget(bundle.target_url), targets)


@contextmanager
def sample_target() -> Iterator[SampleTarget]:
    """Run a sample target as a process of its own."""
    with bundles.target() as url:
        yield SampleTarget(url)


def peak_memory(pid: int) -> int:
    """Return the most bytes that a process has had in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("it has ended")


@contextmanager
def two_machines(folder: Path, **fault: str) -> Iterator[tuple[SampleTarget, Trial, Trial]]:
    """A target, and two bundles on one database: one is right, the other has a fault."""
    home = folder / "home"
    with (
        sample_target() as target,
        running(home, target) as right,
        running(home, target, faults=fault) as wrong,
    ):
        yield target, right, wrong
