"""What people type: `make demo`'s program, `status` and `replay` against a running bundle."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local import demo
from tests.end_to_end.bundle import ROOT, Bundle


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    environment = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def processes(mark: str) -> set[str]:
    """The command lines of those processes whose environment has a mark."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.add((folder / "cmdline").read_text())
        except OSError:  # it ended, or is somebody else's
            continue
    return found


def test_the_demo_ends_well_and_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    result = run("demo", TMPDIR=str(tmp_path))  # which its functions have in their environment, too
    assert result.returncode == 0, result.stderr
    assert "Every record ended as it should" in result.stdout
    assert "the target answered 404 Not Found" in result.stdout
    assert processes(str(tmp_path)) == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("state", "received", "complaint"),
    [
        ({"status": "failed", "status_code": 503}, [("me", 200, None)], "ended failed 503"),
        ({"status": "success", "status_code": 200}, [], "accepted it 0 times"),
        ({"status": "success", "status_code": 200}, [("me", 200, None)] * 2, "accepted it 2 times"),
        ({"status": "success", "status_code": 200}, [("me", 200, "Bearer x")], "another token"),
    ],
)
def test_the_demo_complains_of_a_record_that_did_not_end_as_it_should(
    state: dict[str, Any], received: list[tuple[str, int, str | None]], complaint: str
) -> None:
    requests = [
        {"idempotencyKey": key, "status": status, "headers": [("Authorization", token)] if token else []}
        for key, status, token in received
    ]
    sample = demo.Sample("one", "/ok", id="me")
    assert complaint in "\n".join(demo.problems(sample, state, requests))


def test_status_and_replay_work_against_a_deployment(bundle: Bundle) -> None:
    flaky = [bundle.stored(f"/flaky/1/{number}") for number in range(5)]
    bundle.stored("/status/404")
    bundle.process()
    shown = run("status", "--url", bundle.url)
    assert shown.returncode == 0, shown.stderr
    assert "failed with 503" in shown.stdout
    counts = json.loads(run("status", "--url", bundle.url, "--json").stdout)["counts"]
    assert counts == {"not_processed": 0, "success": 0, "filtered": 0, "failed": 6, "dead": 1}
    replay = ("replay", "--url", bundle.url, "--codes", "503", "--batch", "2")
    assert "5 failed records match" in run(*replay, "--dry-run").stdout
    assert len(bundle.received()) == 6
    done = run(*replay)
    assert done.returncode == 0, done.stderr
    assert "5 succeeded" in done.stdout
    assert all(bundle.state(one)["status"] == "success" for one in flaky)
