"""`datasync targets` shows and changes what holds for targets, as an operator does it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.end_to_end.bundle import ROOT, Bundle, running

ERP = {"name": "erp", "targetRestApi": "https://erp.example.com/"}
CRM = {"name": "crm", "targetRestApi": "https://crm.example.com/", "rate": {"requests": 30, "per": "1m"}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with running(tmp_path_factory.mktemp("targets") / "home") as bundle:
        yield bundle


@pytest.fixture
def bundle(shared: Bundle) -> Bundle:
    shared.reset()
    return shared


def document(bundle: Bundle) -> list[dict[str, object]]:
    targets: list[dict[str, object]] = bundle.call("GET", "/process/targets").json()["targets"]
    return targets


def test_policies_and_hosts_are_listed_with_what_is_live(bundle: Bundle) -> None:
    bundle.put_policies(ERP | {"paused": True}, CRM)
    bundle.stored("/status/404")
    bundle.process()
    bundle.stored()
    for arguments in ((), ("list",)):
        lines = bundle.targets_command(*arguments).stdout.splitlines()
        assert next(line for line in lines if "erp" in line).split("│")[2].strip() == "paused"
        assert "0 of 30 in 1m" in next(line for line in lines if "crm" in line)
        sample = next(line for line in lines if bundle.target_url.removeprefix("http://") in line)
        assert [cell.strip() for cell in sample.split("│")[2:6]] == ["open", "", "1", "1"]
    live = json.loads(bundle.targets_command("list", "--json").stdout)
    assert [line.get("name") for line in live][:2] == ["crm", "erp"]
    assert json.loads(bundle.targets_command("--json").stdout) == live


@pytest.mark.parametrize(("said", "code", "version"), [("y\n", 0, 2), ("n\n", 1, 1), ("", 1, 1)])
def test_a_file_is_applied_once_its_changes_were_seen(
    bundle: Bundle, tmp_path: Path, said: str, code: int, version: int
) -> None:
    bundle.put_policies(ERP)
    file = tmp_path / "targets.json"
    file.write_text(bundle.targets_command("show").stdout)
    assert bundle.targets_command("apply", str(file)).stdout == "Nothing changes.\n"
    file.write_text(json.dumps({"targets": [ERP | {"concurrency": 4}, CRM]}))
    done = bundle.targets_command("apply", str(file), said=said)
    assert done.returncode == code, done.stderr
    assert '+      "concurrency": 4' in done.stdout
    assert bundle.call("GET", "/process/targets").json()["version"] == version


def test_faults_of_a_file_are_said_where_they_are(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "targets.json"
    file.write_text(json.dumps({"targets": [ERP | {"pause": True}, {"name": "x"}]}))
    done = bundle.targets_command("apply", str(file), "--yes")
    assert done.returncode == 1
    assert "at /targets/0/pause: " in done.stderr
    assert "at /targets/1/targetRestApi: is missing" in done.stderr
    for content, words in (("{", "can't be read"), ("[]", "must hold an object")):
        file.write_text(content)
        done = bundle.targets_command("apply", str(file), "--yes")
        assert (done.returncode, words in done.stderr) == (2, True)
    assert bundle.targets_command("apply", str(tmp_path / "none.json")).returncode == 2
    assert document(bundle) == []


def test_a_policy_is_paused_resumed_and_limited_by_its_name(bundle: Bundle) -> None:
    bundle.put_policies(ERP, CRM)
    assert bundle.targets_command("pause", "erp").returncode == 0
    assert document(bundle) == [ERP | {"paused": True}, CRM]
    assert bundle.targets_command("pause", "erp").stdout == "It is so already.\n"
    assert bundle.targets_command("pause", "erp", "--until", "2099-12-05T06:00:00Z").returncode == 0
    assert bundle.live("erp")["pausedUntil"] == "2099-12-05T06:00:00.000000Z"
    assert bundle.targets_command("pause", "erp", "--until", "2h").returncode == 0
    assert bundle.live("erp")["paused"] is True
    assert bundle.targets_command("resume", "erp").returncode == 0
    assert bundle.targets_command("rate", "crm", "5/10s").returncode == 0
    assert document(bundle) == [ERP, CRM | {"rate": {"requests": 5, "per": "10s"}}]
    assert json.loads(bundle.targets_command("show", "crm").stdout)["rate"] == {"requests": 5, "per": "10s"}
    assert bundle.targets_command("rate", "crm", "none").returncode == 0
    assert "rate" not in document(bundle)[1]
    versions = json.loads(bundle.targets_command("history", "--json").stdout)
    assert [one["version"] for one in versions] == [*range(7, 0, -1)]
    assert "erp, crm" in bundle.targets_command("history").stdout


def test_a_name_that_is_none_is_answered_with_those_there_are(bundle: Bundle) -> None:
    bundle.put_policies(ERP, CRM)
    done = bundle.targets_command("pause", "ERP")
    assert done.returncode == 1
    assert "There is no policy named 'ERP'; there are: erp, crm." in done.stderr
    for arguments in (("pause", "erp", "--until", "tomorrow"), ("rate", "erp", "30"), ("pause",)):
        assert bundle.targets_command(*arguments).returncode == 2


def test_changes_at_the_same_time_are_both_made(bundle: Bundle) -> None:
    bundle.put_policies(ERP, CRM)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda name: bundle.targets_command("pause", name), ("erp", "crm")))
    assert [one.returncode for one in done] == [0, 0], done
    assert [entry["paused"] for entry in document(bundle)] == [True, True]


def test_options_before_an_action_count(bundle: Bundle) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "datasync", "targets", "--url", bundle.url, "show"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout) == {"targets": []}, done.stderr
