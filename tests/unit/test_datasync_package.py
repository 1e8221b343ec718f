"""The operator's command stands alone: what it imports, what it needs, what its shells complete."""

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import datasync
import shared
from datasync.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
NEEDED = {"requests", "rich"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Runs `datasync` from a folder, where nothing can be imported but it, the standard library, and what the
# installation of the packages that are named brings.
ALONE = r"""
import importlib.metadata, re, runpy, sys
folder, wanted, *arguments = sys.argv[1:]
allowed, wanted = {"datasync", *sys.stdlib_module_names}, wanted.split(",")
while wanted:
    package = importlib.metadata.distribution(wanted.pop())
    allowed |= {file.parts[0].removesuffix(".py") for file in package.files}
    wanted += [re.match(r"[\w.-]+", one)[0] for one in package.requires or () if ";" not in one]

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
sys.path.insert(0, folder)
sys.argv = ["datasync", *arguments]
runpy.run_module("datasync", run_name="__main__")
"""


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as if only what its installation brings were installed."""
    return subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(ROOT), ",".join(NEEDED), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_imports_the_standard_library_and_what_it_needs() -> None:
    imported = {}
    for file in (ROOT / "datasync").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported |= {name.split(".")[0]: file.name for name in names}
    foreign = {name: file for name, file in imported.items() if name not in sys.stdlib_module_names}
    assert foreign.keys() == NEEDED | {"datasync", "jmespath"}
    assert foreign["jmespath"] == "trial.py"  # an extra


def test_its_installation_asks_for_what_it_needs() -> None:
    assert set(PROJECT["dependencies"]) == NEEDED
    assert PROJECT["optional-dependencies"]["try"] == ["jmespath"]
    assert PROJECT["scripts"] == {"datasync": "datasync.__main__:main"}


def test_it_runs_with_nothing_else_installed() -> None:
    done = alone("status", "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Connection refused" in done.stderr
    for command in (
        *("view", "show", "find", "tail", "replay", "cancel", "edit", "history", "targets"),
        "completion",
    ):
        assert alone(command, "--help").returncode == 0, command


def test_what_pip_installs_is_the_command_alone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "datasync", source / "datasync", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", tmp_path, source], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        assert "datasync = datasync.__main__:main" in wheel.read(entry_points).decode()
    assert names == {f"datasync/{file.name}" for file in (ROOT / "datasync").glob("*.py")}


def test_without_jmespath_a_trial_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "targets.json").write_text('{"targets": [{"name": "a", "filter": "a"}]}')
    (tmp_path / "record.json").write_text("{}")
    done = alone("targets", "try", f"{tmp_path}/targets.json", f"--record={tmp_path}/record.json")
    assert done.returncode == 2
    assert "pip install jmespath" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_has_the_librarys_version() -> None:
    assert datasync.VERSION == shared.VERSION


@pytest.fixture(scope="module")
def bash_script() -> str:
    command = [sys.executable, "-m", "datasync", "completion", "bash"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["s"], ["status", "show"]),
        (["replay", "--d"], ["--dry-run"]),
        (["status", "--ur"], ["--url"]),
        (["targets", "t"], ["try"]),
        (["targets", "try", "--rec"], ["--record"]),
        (["completion", "z"], ["zsh"]),
        (["find", "--ref"], ["--reference"]),
        (["find", "--status", "ca"], ["cancelled"]),
        (["cancel", "--c"], ["--codes"]),
        (["edit", "--target-"], ["--target-header"]),
        (["tail", "--sec"], ["--secret"]),
        (["replay", "--y"], ["--yes"]),
        (["hi"], ["history"]),
        (["replay", "--codes", "5"], []),
        (["nothing", "--"], []),
    ],
)
def test_bash_completes_commands_options_and_choices(
    bash_script: str, words: list[str], offered: list[str]
) -> None:
    typed = f"COMP_WORDS=(datasync {' '.join(words)}); COMP_CWORD={len(words)}"
    code = f'{bash_script}\n{typed}; _datasync; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_every_command_and_option(shell: str, capsys) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for words in ("status", "replay", "deliver failed records again", "dry-run", "record", "who did what"):
        assert words in script
    if shutil.which(shell):  # a script that it can read
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
