"""The gateway lets in who has a key, to the routes that are for them, and no key goes further."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import ROOT, TOKEN, Bundle

MOBILE, OPS = (bundles.secret(key) for key in ("mobile-5f0c1d2e3b4a", "operator-9a8b7c6d5e4f"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    home: Path = tmp_path_factory.mktemp("guarded")
    keys = f"source/mobile:{MOBILE},operator/ops:{OPS}"
    with bundles.running(home, API_KEYS=keys, RATE_LIMIT="100") as bundle:
        yield bundle


def test_sources_store_and_operators_process(guarded: Bundle) -> None:
    record = guarded.record(vaultSecretName="erp")
    kept = guarded.call("POST", "/store", record, Authorization=TOKEN, X_API_Key=MOBILE)
    assert kept.status_code == 202
    state = f"/store/{kept.json()['id']}"
    for method, path, expected in (
        ("POST", "/store", (401, 202, 403)),
        ("GET", state, (401, 200, 200)),
        ("GET", "/process", (401, 403, 200)),
        ("POST", "/process", (401, 403, 200)),
        ("POST", "/process/retry", (401, 403, 200)),
    ):
        body = guarded.record() if path == "/store" else None
        answers = [
            guarded.call(method, path, body, **({"X_API_Key": key} if key else {}))
            for key in ("", MOBILE, OPS)
        ]
        assert tuple(one.status_code for one in answers) == expected, (method, path)
        refused = [one for one in answers if one.status_code > 400]
        assert {one.headers["Content-Type"] for one in refused} == {"application/problem+json"}
    [request] = [one for one in guarded.received() if "authorization" in one["header"]]
    assert request["header"]["authorization"] == TOKEN
    assert "x-api-key" not in request["header"]


def test_a_caller_that_is_too_fast_gets_429_and_the_others_do_not(guarded: Bundle) -> None:
    answers = []
    while 429 not in answers and len(answers) < 1000:
        response = guarded.call("GET", "/store/unknown", X_API_Key=MOBILE)
        answers.append(response.status_code)
    assert set(answers) == {404, 429}
    assert response.headers["Retry-After"] == "1"
    assert guarded.call("GET", "/store/unknown", X_API_Key=OPS).status_code == 404


def test_the_commands_send_the_operator_s_key(guarded: Bundle) -> None:
    command = [sys.executable, "-m", "local", "status", "--url", guarded.url, "--json"]
    for key, code in ((OPS, 0), (MOBILE, 2), ("", 2)):
        environment = os.environ | {"DATASYNC_API_KEY": key}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert not key or key not in done.stdout + done.stderr
    assert "DATASYNC_API_KEY" in done.stderr


def test_a_key_that_can_not_be_is_named_by_its_place(home: Path) -> None:
    environment = os.environ | {"PORT": "0", "DATASYNC_HOME": str(home), "API_KEYS": "source/mobile:short"}
    command = [sys.executable, "-m", "local", "run"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.partition(" must be")[0]) == (1, "API_KEYS: entry 1")
