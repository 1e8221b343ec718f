"""`datasync find`, `edit`, `cancel`, `replay`, `tail` and `history` against a running bundle."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest

from datasync.filters import matcher
from tests.end_to_end.bundle import ROOT, Bundle, own_port, running
from tests.end_to_end.commands import datasync, started


def test_an_order_is_found_edited_and_replayed_alone_and_everybody_sees_what_was_done(bundle: Bundle) -> None:
    wrong, other = (bundle.stored("/status/422", reference="PO 4711") for _ in range(2))
    bundle.stored(reference="PO 4712", streamKey="ok")
    bundle.process()
    for search in (("PO 4711",), ("--reference", "PO 4711"), ("--status", "failed")):
        found = json.loads(datasync(bundle.url, "find", *search, "--json").stdout)
        assert [one["id"] for one in found] == [other, wrong], search
    assert "200" in datasync(bundle.url, "find", "--key", "ok").stdout
    none = datasync(bundle.url, "find", "PO 47")
    assert (none.returncode, "None found" in none.stdout) == (0, True)
    edit = ("edit", wrong, "--target", f"{bundle.target_url}/ok")
    payload = '{"orderid": 12345678901234567890.25}'
    edited = datasync(bundle.url, *edit, "--payload", "-", "--target-header", "X-Order: 1", said=payload)
    assert f"replay --id {wrong}" in edited.stdout, edited.stderr
    assert datasync(bundle.url, "replay", "--id", wrong).returncode == 0
    sent = bundle.received("/ok")[-1]
    assert (sent["idempotencyKey"], sent["header"]["x-order"]) == (wrong, "1")
    assert b"12345678901234567890.25" in sent["body"]
    shown = datasync(bundle.url, "show", wrong).stdout
    for words in ("the target's answer", "edited", "replayed", "/status/422"):
        assert words in shown
    refused = datasync(bundle.url, "edit", other, "--target", "https://elsewhere.example.com/")
    assert (refused.returncode, "at /targetRestApi: " in refused.stderr) == (1, True)
    done = datasync(bundle.url, "history").stdout
    assert done.index(f"ids={wrong}") < done.index("edit ")
    acts = json.loads(datasync(bundle.url, "history", "--json").stdout)
    assert [one["act"] for one in acts] == ["replay", "edit"]


def test_records_are_cancelled_once_somebody_agrees(bundle: Bundle) -> None:
    dead = [bundle.stored("/status/404") for _ in range(3)]
    delivered = bundle.stored()
    bundle.process()
    waiting = bundle.stored()
    cancel = ("cancel", "--codes", "404", "--target", bundle.target_url)
    silent = datasync(bundle.url, *cancel)
    assert (silent.returncode, silent.stdout, "Nothing was changed" in silent.stderr) == (1, "", True)
    assert bundle.state(dead[0])["status"] == "failed"
    agreed = datasync(bundle.url, *cancel, said="y\n")
    assert agreed.stdout == "3 cancelled, 0 finished already, 0 not found\n", agreed.stderr
    assert f"3 with 404; 3 at {bundle.target_url.removeprefix('http://')}" in agreed.stderr
    named = datasync(bundle.url, "cancel", "--yes", "--json", waiting, delivered, dead[0], "nothing")
    expected = {"cancelled": [waiting], "finished": [delivered, dead[0]], "notFound": ["nothing"]}
    assert (named.returncode, json.loads(named.stdout), named.stderr) == (1, expected, "")
    assert all(bundle.state(one)["status"] == "cancelled" for one in (*dead, waiting))
    assert datasync(bundle.url, *cancel).returncode == 0  # there is nothing to ask about


def test_more_is_found_than_a_page_has(bundle: Bundle) -> None:
    stored = bundle.store([bundle.record(reference="r") for _ in range(130)])["records"]
    for limit in (120, 200):
        found = json.loads(datasync(bundle.url, "find", "r", "--limit", str(limit), "--json").stdout)
        assert [one["id"] for one in found] == sorted((one["id"] for one in stored), reverse=True)[:limit]


@pytest.mark.parametrize(("typed", "code", "sent"), [(b"n\n", 1, 3), (b"y\n", 0, 5)])
def test_at_a_terminal_a_replay_tells_of_what_and_asks(
    bundle: Bundle, typed: bytes, code: int, sent: int
) -> None:
    for _ in range(2):
        bundle.stored(
            "/flaky/1/mine", reference="mine", vaultSecretName="erp", token="Bearer t0ken-of-the-erp"
        )
    bundle.stored("/flaky/1/other", reference="other")
    bundle.process()
    keyboard, terminal = pty.openpty()
    os.write(keyboard, typed)
    filters = ("--reference", "mine", "--secret", "erp")
    done = subprocess.run(
        [sys.executable, "-m", "datasync", "replay", "--url", bundle.url, *filters],
        cwd=ROOT,
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    os.close(keyboard)
    os.close(terminal)
    host = bundle.target_url.removeprefix("http://")
    assert done.stderr.startswith(f"2 match: 2 with 503; 2 at {host}. Replay them? [y/N] ")
    assert (done.returncode, len(bundle.received())) == (code, sent)


def test_failures_are_followed_through_an_outage_until_ctrl_c(tmp_path: Path) -> None:
    home, port = tmp_path / "home", str(own_port())

    def fail(bundle: Bundle, path: str) -> str:
        identity = bundle.stored(path)
        bundle.process()
        return identity

    with running(home, PORT=port) as bundle:
        before, url = fail(bundle, "/status/404/before"), bundle.url
        process = started(url, "tail", "--codes", "404", "--interval", "0.2")
        assert process.stdout is not None
        assert process.stderr is not None
        assert before in process.stdout.readline()
        fail(bundle, "/status/422")
        assert fail(bundle, "/status/404/new") in process.stdout.readline()
    while "Waiting until it answers again" not in process.stderr.readline():
        assert process.poll() is None
    with running(home, make_home=False, PORT=port) as bundle:
        assert "It answers again" in process.stderr.readline()
        line = fail(bundle, "/status/404/later"), process.stdout.readline()
        assert line[0] in line[1]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=300) == ("", "")
    assert process.returncode == 0


def test_a_filter_means_to_who_follows_what_it_means_to_the_deployment(bundle: Bundle) -> None:
    bundle.stored("/status/404/a", reference="a", streamKey="k")
    bundle.stored("/status/404/A", reference="b")
    middle = bundle.stored("/flaky/1/b", streamKey="K")
    bundle.stored("/status/422", vaultSecretName="erp", token="Bearer t0ken-of-the-erp")
    bundle.process()
    time = bundle.state(middle)["createdDate"]
    every = bundle.call("GET", "/process/failures").json()["failures"]
    target = bundle.target_url
    for name, value, number in (
        ("retryCodes", "404, 422", 3),
        ("retryCodes", "503", 1),
        ("streamOCIDToRetry", "recoverable", 1),
        ("targetRestApi", f"{target}/status/404/a".replace("http", "HTTP"), 1),
        ("targetRestApi", f"{target}/status", 3),
        ("targetRestApi", target[:-2], 4),
        ("streamKey", "k", 1),
        ("reference", "b", 1),
        ("vaultSecretName", "erp", 1),
        ("from", time, 2),
        ("to", time, 2),
    ):
        query = urlencode({name: value})
        found = {one["id"] for one in bundle.call("GET", f"/process/failures?{query}").json()["failures"]}
        matches = matcher({name: value})
        assert {one["id"] for one in every if matches(one)} == found, name
        assert len(found) == number, name
