"""docs/attacks.md names tests that exist, and every test of the attack suites."""

import ast
import re
from collections.abc import Iterator

from tests.documents import ROOT, read

DOCUMENT = "docs/attacks.md"
_ROW = re.compile(r"^\| (?!who |-)(.+) \| (.+) \| (.+) \| \[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\) \|$")


def rows() -> list[re.Match[str]]:
    """The rows of all tables; each line of a table that is none of its head must be one."""
    lines = [line for line in read(DOCUMENT).splitlines() if line.startswith("|")]
    bodies = [line for line in lines if not line.startswith(("| who |", "|---"))]
    found = [_ROW.match(line) for line in bodies]
    assert all(found), [line for line, row in zip(bodies, found, strict=True) if row is None]
    return [row for row in found if row]


def names_in(path: str) -> Iterator[str]:
    """The names of the test functions in a file."""
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


def test_every_row_names_a_test_that_exists() -> None:
    shown = [(row[5], row[4]) for row in rows()]
    missing = [(path, name) for path, name in shown if name not in names_in(path)]
    assert missing == []
    assert len(set(shown)) == len(shown)


def test_every_test_of_the_attack_suites_has_a_row() -> None:
    shown = {(row[5], row[4]) for row in rows()}
    paths = (str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
    attacks = {
        (path, name)
        for path in paths
        for name in names_in(path)
        if path != "tests/unit/test_attacks_table.py"
        and (re.search(r"attack", path) or name.startswith("test_attack_"))
    }
    assert attacks - shown == set()
    assert len(shown) >= 40
