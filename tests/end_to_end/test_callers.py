"""The gateway lets in who has a key, to the routes that are for them, and no key goes further."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import ROOT, TOKEN, Bundle

MOBILE, OPS = (bundles.secret(key) for key in ("mobile-5f0c1d2e3b4a", "operator-9a8b7c6d5e4f"))
KEYS = f"source/mobile:{MOBILE},operator/ops:{OPS}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    home: Path = tmp_path_factory.mktemp("guarded")
    with bundles.running(home, API_KEYS=KEYS) as bundle:
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


def test_a_caller_that_is_too_fast_gets_429_and_the_others_do_not(home: Path) -> None:
    with bundles.running(home, API_KEYS=KEYS, RATE_LIMIT="0.001") as bundle:
        mine = [bundle.call("GET", "/store/unknown", X_API_Key=MOBILE) for _ in range(2)]
        assert [one.status_code for one in mine] == [404, 429]
        assert 0 < int(mine[1].headers["Retry-After"]) <= 1000
        assert bundle.call("GET", "/store/unknown", X_API_Key=OPS).status_code == 404


def test_the_commands_send_the_operator_s_key(guarded: Bundle) -> None:
    command = [sys.executable, "-m", "datasync", "status", "--url", guarded.url, "--json"]
    for key, code in ((OPS, 0), (MOBILE, 1), ("", 1)):
        environment = os.environ | {"DATASYNC_API_KEY": key}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert not key or key not in done.stdout + done.stderr
    assert "DATASYNC_API_KEY" in done.stderr


PLATFORM = [
    {"Fn-Intent": "cloudevent"},
    {"fn-intent": ""},
    {"Fn-Http-H-Fn-Intent": "cloudevent"},
    {"Fn-Http-Status": "200"},
    {"Fn-Http-Method": "DELETE", "Fn-Http-Request-Url": "/process"},
    {"Fn-Deadline": "2000-01-01T00:00:00Z"},
    {"Fn-Invoke-Type": "detached"},
]


@pytest.mark.parametrize("headers", PLATFORM)
@pytest.mark.parametrize(
    ("path", "body", "status"), [("/store", {"a": 1}, 422), ("/process", {"noOfMessagesToProcess": 0}, 422)]
)
def test_attack_a_client_speaks_as_the_platform(
    bundle: Bundle, headers: dict[str, str], path: str, body: Any, status: int
) -> None:
    """Status and headers are the functions' own, whatever the FDK makes of a client's `Fn-*`."""
    plain, forged = bundle.call("POST", path, body), bundle.call("POST", path, body, **headers)
    assert forged.status_code == plain.status_code == status
    for answer in (plain, forged):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert forged.json() == plain.json()


def test_attack_a_client_takes_the_page_s_protection_away(bundle: Bundle) -> None:
    page = bundle.call("GET", "/process", Accept="text/html", **{"Fn-Intent": "cloudevent"})
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_attack_a_page_calls_by_a_name_of_its_own(bundle: Bundle) -> None:
    host = f"evil.example:{bundle.url.rpartition(':')[2]}"
    for method, path in (("POST", "/store"), ("GET", "/process"), ("POST", "/process/retry")):
        assert bundle.call(method, path, bundle.record(), Host=host).status_code == 421
    assert bundle.documents() == []


def test_attack_a_page_reads_what_the_target_received(bundle: Bundle) -> None:
    """The sample target shows the tokens that it was sent."""
    host = {"Host": f"evil.example:{bundle.target_url.rpartition(':')[2]}"}
    for path in ("/_received", "/_duplicates"):
        assert requests.get(bundle.target_url + path, headers=host, timeout=60).status_code == 421
        assert requests.get(bundle.target_url + path, timeout=60).status_code == 200


def test_attack_a_bomb_is_refused_and_stores_nothing(bundle: Bundle) -> None:
    bomb = gzip.compress(b" " * 6_000_000 + json.dumps(bundle.record()).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert bundle.call("POST", "/store", data=bomb, **headers).status_code == 415
    assert bundle.documents() == []
