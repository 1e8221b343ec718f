"""What images are built from: a complete folder per function, and an SDK cut to what is called."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from shared import VERSION
from tests.end_to_end.bundle import ROOT

FUNCTIONS = ("store-data", "process-data")


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "functions" / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def staged(folder: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "functions/stage.py"), str(folder)], check=True)


def test_a_staged_function_is_complete(tmp_path: Path) -> None:
    staged(tmp_path)
    (tmp_path / "store-data/left-over").touch()
    staged(tmp_path)
    for name in FUNCTIONS:
        folder = tmp_path / name
        assert {path.name for path in folder.iterdir()} == {
            *("Dockerfile", "func.py", "func.yaml", "requirements.txt", "shared", "slim.py"),
        }
        copied = set(re.findall(r"^COPY (?!--)(.+) /\S+$", (folder / "Dockerfile").read_text(), re.MULTILINE))
        assert all((folder / one).exists() for line in copied for one in line.split())
        imported = (
            "import shared.app, shared.delivery.service, shared.ingest.service as it; print(it.__file__)\n"
            "from shared.operations.page import page; page()"  # which is put together of other files
        )
        command = [sys.executable, "-c", imported]
        found = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
        assert found.startswith(str(folder))
        assert not list(folder.rglob("local"))


def test_func_yaml_says_what_terraform_sets(tmp_path: Path) -> None:
    staged(tmp_path)
    variables = (ROOT / "terraform/variables.tf").read_text()
    functions = (ROOT / "terraform/functions.tf").read_text()
    slow, quick = map(int, re.search(r'"process-data" \? (\d+) : (\d+)', functions).groups())
    for name in FUNCTIONS:
        described = yaml.safe_load((tmp_path / name / "func.yaml").read_text())
        assert (described["name"], described["version"]) == (name, VERSION)
        written = rf'{name.replace("-", "_")}_memory_in_mbs".*?default += {described["memory"]}\n'
        assert re.search(written, variables, re.DOTALL)
        assert described["timeout"] == (slow if name == "process-data" else quick)


def test_the_version_is_said_in_one_place() -> None:
    assert yaml.safe_load((ROOT / "openapi.yaml").read_text())["info"]["version"] == VERSION
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()


def test_the_sdk_keeps_what_is_called() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "shared").rglob("*.py"))
    called = re.findall(r'"([a-z_]+)",\s*"(\w+Client)"', text)
    assert {client: service for service, client in called} == module("slim").CLIENTS


def test_the_image_runs_as_nobody_special() -> None:
    last = (ROOT / "functions/Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert "USER 1000:1000" in last
    assert "RUN " not in last
    assert last.strip().endswith('ENTRYPOINT ["/python/bin/fdk", "/function/func.py", "handler"]')


def test_what_is_cut_leaves_no_metadata_behind(tmp_path: Path) -> None:
    files = (
        "tool/__init__.py",
        "tool/part.py",
        "bin/tool",
        "tool-1.0.dist-info/METADATA",
        "kept/__init__.py",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("Name: tool\nVersion: 1.0\n" if name.endswith("METADATA") else "")
    outside = tmp_path.parent / "outside"
    outside.touch()
    record = "".join(f"{name},,\n" for name in (*files[:4], "tool-1.0.dist-info/RECORD", "../outside"))
    (tmp_path / "tool-1.0.dist-info/RECORD").write_text(record)
    module("slim").uninstall(tmp_path, "tool")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert outside.exists()
