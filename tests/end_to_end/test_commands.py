"""What people type: `make demo`'s program, and the operator's `datasync` against a running bundle."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from local import samples
from tests.end_to_end.bundle import ROOT, Bundle, eventually, running
from tests.end_to_end.commands import datasync, started


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
    sample = samples.Sample("one", "/ok", id="me")
    assert complaint in "\n".join(samples.problems(sample, state, requests))


def test_an_operator_looks_replays_and_looks_again(bundle: Bundle) -> None:
    flaky = [bundle.stored(f"/flaky/1/{number}") for number in range(5)]
    gone = bundle.stored("/status/404")
    bundle.process()
    shown = datasync(bundle.url, "status")
    assert shown.returncode == 0, shown.stderr
    assert "failed with 503" in shown.stdout
    assert "of these dead" in shown.stdout
    counts = json.loads(datasync(bundle.url, "status", "--json").stdout)["counts"]
    assert counts == {
        "not_processed": 0,
        "success": 0,
        "filtered": 0,
        "cancelled": 0,
        "failed": 6,
        "dead": 1,
        "held": 0,
    }
    replay = ("replay", "--codes", "503", "--batch", "2")
    assert datasync(bundle.url, *replay, "--dry-run").stdout.startswith("5 match: 5 with 503; 5 at ")
    assert len(bundle.received()) == 6
    done = datasync(bundle.url, *replay)
    assert done.returncode == 0, done.stderr
    assert "5 delivered" in done.stdout
    assert all(bundle.state(one)["status"] == "success" for one in flaky)
    assert datasync(bundle.url, "replay").stdout == "0 match, 1 is dead: use --force\n"
    assert "404 Not Found" in datasync(bundle.url, "show", gone).stdout
    assert json.loads(datasync(bundle.url, "show", gone, "--json").stdout) == bundle.state(gone)
    alone = datasync(bundle.url, "replay", "--id", gone)
    assert (alone.returncode, len(bundle.state(gone)["attempts"]), len(bundle.received())) == (1, 2, 12)
    unknown = datasync(bundle.url, "show", "nothing")
    assert (unknown.returncode, "There is no record 'nothing'" in unknown.stderr) == (1, True)


def test_what_waits_for_its_backoff_is_said_and_replayed_by_force(tmp_path: Path) -> None:
    with running(tmp_path / "home", RETRY_BACKOFF="1h..1h") as bundle:
        for number in range(3):
            bundle.stored(f"/flaky/1/{number}")
        bundle.process()
        due = [bundle.state(one["id"])["nextAttemptDate"] for one in report(bundle)["latestFailures"]]
        assert datasync(bundle.url, "replay").stdout == "0 match, 3 wait for their backoff: use --force\n", (
            due
        )
        assert "3 delivered" in datasync(bundle.url, "replay", "--force").stdout


def report(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = bundle.call("GET", "/process").json()
    return found


def test_the_operators_key_is_needed_and_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    source, operator = "s0urce-4f2a9c71d8aa", "0perator-b83e5d06ff"
    with running(tmp_path / "home", API_KEYS=f"source/app:{source},operator/ops:{operator}") as bundle:
        for key, words in (
            ("", "Set DATASYNC_API_KEY"),
            ("another-key-than-these", "not accepted"),
            (source, "needs an operator's"),
        ):
            refused = datasync(bundle.url, "status", key=key)
            assert (refused.returncode, words in refused.stderr) == (1, True), refused.stderr
        for number in range(20):  # each fails after the target's time-out, one second, and is worth a retry
            record = bundle.record(f"/slow/60000/{number}")
            assert bundle.call("POST", "/store", record, X_API_Key=source).status_code == 202
        mine = json.loads(
            datasync(bundle.url, "find", "--status", "not_processed", "--json", key=source).stdout
        )
        assert len(mine) == 20
        for command in (("history",), ("tail",), ("edit", mine[0]["id"], "--target", bundle.target_url)):
            refused = datasync(bundle.url, *command, key=source)
            assert (refused.returncode, "needs an operator's" in refused.stderr) == (1, True), command
        assert bundle.call("POST", "/process", {}, X_API_Key=operator).json()["failedMessages"] == 20
        with started(bundle.url, "replay", "--batch", "1", key=operator) as process:
            eventually(lambda: len(bundle.received()) > 21, 60)  # the first call is over
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert re.fullmatch(r"20 matched: 0 delivered, \d+ failed again, 0 skipped\n", out)
        assert "Traceback" not in err
        offset = re.search(r"--after (\S+)", err)
        assert offset, err
        handled = int(re.findall(r"(\d+) failed", out)[0])
        left = datasync(bundle.url, "replay", "--dry-run", "--after", offset[1], key=operator)
        assert left.stdout.startswith(f"{20 - handled} match: ")


def test_the_page_is_viewed_until_ctrl_c(bundle: Bundle) -> None:
    with started(bundle.url, "view", "--no-browser") as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        assert requests.get(address, headers={"Accept": "text/html"}, timeout=300).text.startswith(
            "<!doctype"
        )
        guessed = re.sub(r"(:\d+)/.*", r"\1/process", address)
        assert requests.get(guessed, timeout=300).status_code == 403
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
