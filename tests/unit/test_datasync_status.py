"""`datasync status` and `datasync show` print what the deployment says, as text."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from datasync import VERSION
from tests.unit.datasync_deployment import URL, deployment, run

__all__ = ["deployment"]  # a fixture
ROOT = Path(__file__).resolve().parents[2]
REPORT = {
    "counts": {"not_processed": 3, "success": 1200, "filtered": 0, "failed": 42, "dead": 17},
    "due": 5,
    "oldestDueDate": "2026-11-23T21:00:00.123456Z",
    "failed": {
        "byCode": {"503": 25},
        "byStream": {"[red]recoverable": 25},
        "byTarget": {"erp.example.com:443": 42},
    },
}
STATE = {
    "streamKey": "\x1b[31m[red]key",
    "id": "id-1",
    "status": "failed",
    "status_code": 503,
    "dead": True,
    "note": {"from": ["caller"]},
    "attempts": [
        {"time": "2026-11-24T02:51:10.102230Z", "code": 503, "durationMs": 21, "reason": "503 Unavailable"},
        {"time": "2026-11-24T02:52:10.102230Z", "code": "unexpectedError", "sent": "unknown"},
    ],
}


def rows(table: str) -> list[tuple[str, ...]]:
    """The rows of what was printed, without the box around them."""
    lines = [line.strip("│┃ ").replace("┃", "│") for line in table.splitlines()]
    return [tuple(cell.strip() for cell in line.split("│")) for line in lines]


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "datasync", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_status_shows_every_count(deployment, capsys) -> None:
    deployment.get(f"{URL}/process", json=REPORT)
    assert run("status") == 0
    shown = rows(capsys.readouterr().out)
    expected = [
        ("not processed", "3"),
        ("delivered", "1200"),
        ("filtered", "0"),
        ("failed", "42"),
        ("of these dead", "17"),
        ("failed with 503", "25"),
        ("failed, filed under [red]recoverable", "25"),
        ("failed at erp.example.com:443", "42"),
        ("due now", "5"),
        ("oldest due since", "2026-11-23T21:00:00.123456Z"),
    ]
    assert [row for row in shown if row in expected] == expected


def test_status_as_json_is_the_report_itself(deployment, capsys) -> None:
    deployment.get(f"{URL}/process", json=REPORT)
    assert run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == REPORT


def test_a_report_with_members_of_other_shapes_is_shown_as_far_as_it_goes(deployment, capsys) -> None:
    deployment.get(f"{URL}/process", json={"counts": {"new": "?"}, "failed": [], "due": None})
    assert run("status") == 0
    assert ("new", "?") in rows(capsys.readouterr().out)


def test_show_prints_the_state_and_every_attempt(deployment, capsys) -> None:
    deployment.get(f"{URL}/store/id-1", json=STATE)
    assert run("show", "id-1") == 0
    output = capsys.readouterr().out
    shown = rows(output)
    for row in [
        ("status", "failed"),
        ("dead", "true"),
        ("status_code", "503"),
        ("streamKey", "[31m[red]key"),
        ("note", '{"from": ["caller"]}'),
        ("time", "code", "ms", "reason", "sent"),
        ("2026-11-24T02:51:10.102230Z", "503", "21", "503 Unavailable", "-"),
        ("2026-11-24T02:52:10.102230Z", "unexpectedError", "-", "-", "unknown"),
    ]:
        assert row in shown, row
    assert "\x1b" not in output


def test_show_as_json_is_the_state_itself(deployment, capsys) -> None:
    deployment.get(f"{URL}/store/id-1", json=STATE)
    assert run("show", "id-1", "--json") == 0
    assert json.loads(capsys.readouterr().out) == STATE


def test_an_id_is_one_part_of_the_path_whatever_it_holds(deployment, capsys) -> None:
    problem: dict[str, Any] = {"title": "Not found", "status": 404, "detail": "There is no record '../x y?'."}
    deployment.get(f"{URL}/store/..%2Fx%20y%3F", status=404, json=problem)
    assert run("show", "../x y?") == 1
    said = capsys.readouterr().err
    assert "There is no record" in said
    assert "--url" not in said  # the function has answered: the address is right


def test_the_version_is_printed() -> None:
    assert command("--version").stdout == f"datasync {VERSION}\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m datasync completion fish | true"],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_a_terminal_that_lacks_a_character_gets_its_number(deployment, tmp_path: Path) -> None:
    record = {"targetRestApi": "https://a/", "targetRestApiOperation": "POST", "targetRestApiPayload": "ü"}
    (tmp_path / "record.json").write_text(json.dumps(record))
    (tmp_path / "targets.json").write_text('{"targets": []}')
    files = [f"{tmp_path}/targets.json", f"--record={tmp_path}/record.json"]
    done = command("targets", "try", *files, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r'"\xfc"' in done.stdout
