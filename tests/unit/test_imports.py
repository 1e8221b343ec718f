"""Imports point one way, as the map in `shared/__init__.py` says, and never to `local`."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import shared

ROOT = Path(__file__).resolve().parents[2]


def test_imports_follow_the_layers() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_map_of_the_library_shows_the_layers_that_are_enforced() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    enforced = [set(re.split(r"[ |]+", layer)) for layer in contracts[0]["layers"]]
    shown = [
        set(re.split(r",\s*", line.strip().split("  ")[0]))
        for line in (shared.__doc__ or "").splitlines()
        if line.startswith("    ")
    ]
    assert shown == enforced


def test_functions_import_the_library_and_nothing_that_is_not_shipped() -> None:
    for file in ROOT.glob("functions/*/func.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                package = (node.module or "").split(".")[0]
                assert package == "shared" or package in sys.stdlib_module_names, (file, node.module)
            elif isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
                assert names <= sys.stdlib_module_names, (file, names)
