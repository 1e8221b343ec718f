"""Who runs, who tests and what is shipped get the same versions, and nothing that only the others need."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
NEEDED_BY_FDK = {"pytest", "pytest-asyncio"}  # it names its own test tools as requirements


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / f"requirements{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, flags=re.MULTILINE))


def test_versions_are_the_same_from_the_functions_to_the_tests() -> None:
    functions, local, dev = pinned(""), pinned("-local"), pinned("-dev")
    assert functions.items() <= local.items() <= dev.items()


def test_functions_are_shipped_without_the_operators_command() -> None:
    assert pinned("").keys() & {"requests", "rich"} == set()
    assert pinned("").keys() >= set(EXTRAS["functions"])


def test_running_needs_no_test_tools() -> None:
    local = pinned("-local").keys()
    assert local & set(EXTRAS["dev"]) <= NEEDED_BY_FDK
    assert local >= {"requests", "rich", *EXTRAS["functions"], *EXTRAS["local"]}


def test_every_package_is_pinned_with_the_hashes_of_its_files() -> None:
    for name in ("", "-local", "-dev"):
        text = (ROOT / f"requirements{name}.txt").read_text()
        blocks = re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
        assert len(blocks) == len(pinned(name))
        assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
