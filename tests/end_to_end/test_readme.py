"""What the README shows is true: its commands run, its tables are the code's."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest

from shared.settings import Settings
from tests.end_to_end.bundle import ROOT, Bundle

README = (ROOT / "README.md").read_text()
SHOWN_ID = "01a20b76-df29-7055-b3ec-dc7ab6212dc5"


def section(title: str) -> str:
    return re.split(r"^## ", README, flags=re.MULTILINE)[
        [part.split("\n")[0] for part in re.split(r"^## ", README, flags=re.MULTILINE)].index(title)
    ]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_settings_table_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (.+) \|$", section("Settings"), flags=re.MULTILINE)
    declared = [
        (one.name.upper(), one.metadata["default"], one.metadata["meaning"]) for one in fields(Settings)
    ]
    shown = [
        (name, {"required": None, "none": ""}.get(default, default.strip("`")), meaning)
        for name, default, meaning in rows
    ]
    assert shown == declared


def test_every_target_of_the_makefile_that_the_readme_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)`", README)) | {"demo", "test"} <= targets
    assert blocks(README, "sh")[0].startswith("make demo")


@pytest.mark.skipif(not shutil.which("curl"), reason="the README's examples are made with curl")
def test_the_examples_run_as_shown(bundle: Bundle) -> None:
    identity = SHOWN_ID
    answers = []
    for block in blocks(section("Calling it"), "sh") + blocks(section("Operating"), "sh"):
        commands = (
            [block] if block.count("\ncurl") + block.count("\n.venv") == 0 else block.strip().split("\n")
        )
        for command in commands:
            here = command.replace("http://127.0.0.1:8080", bundle.url)
            here = here.replace("http://127.0.0.1:8081", bundle.target_url)
            here = here.replace(".venv/bin/python", sys.executable).replace(SHOWN_ID, identity)
            done = subprocess.run(
                ["bash", "-c", here], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            assert '"title"' not in done.stdout, (command, done.stdout)
            if command.startswith("curl"):
                answers.append(json.loads(done.stdout))
                identity = answers[0]["id"]
    kept, array, processed, dry, replayed, report, state = answers
    shown_kept, shown_processed = (json.loads(block) for block in blocks(section("Calling it"), "json"))
    assert kept.keys() == shown_kept.keys()
    assert len(array["records"]) == 2
    assert {**processed, "lastReadOffset": ""} == {**shown_processed, "lastReadOffset": ""}
    assert dry == {"matchingMessages": 1}
    assert replayed["processedmessages"] == 1
    assert report["counts"] == {"not_processed": 0, "success": 4, "filtered": 0, "failed": 0, "dead": 0}
    assert (state["id"], state["status"]) == (identity, "success")
