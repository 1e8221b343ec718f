"""README and docs/ as tests read them: their sections, tables, code blocks and links."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")])

_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(name: str) -> str:
    """The text of a document, by its path in the repository."""
    return (ROOT / name).read_text()


def section(name: str, title: str) -> str:
    """What stands under a heading of a document, with the sections below it."""
    text = read(name)
    headings = list(_HEADING.finditer(_without_code(text)))
    for place, one in enumerate(headings):
        if one[2] == title:
            following = (after.start() for after in headings[place + 1 :] if len(after[1]) <= len(one[1]))
            return text[one.end() : next(following, len(text))]
    raise AssertionError(f"{name} has no section {title!r}")


def anchors(name: str) -> set[str]:
    """The fragments that lead to a document's headings, as GitHub makes them."""
    titles = (one[2].lower() for one in _HEADING.finditer(_without_code(read(name))))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return [code for named, code in _FENCED.findall(text) if named == language]


def table(text: str, first: str) -> list[list[str]]:
    """The rows below the heading of the first table whose first column has this title, cell by cell."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if rows and not cells:
            break
        if rows or (cells and cells[0] == first):
            rows.append(cells)
    assert rows, f"there is no table with the column {first!r}"
    return rows[2:]


def column(text: str, first: str) -> list[str]:
    """The first cells of a table's rows, without the marks of code."""
    return [row[0].strip("`") for row in table(text, first)]


def links(name: str) -> list[str]:
    """The relative links of a document, to files and fragments, pictures included."""
    found = re.findall(r"\]\(([^)\s]+)\)", _without_code(read(name)))
    return [link for link in found if "://" not in link]


def _without_code(text: str) -> str:
    """The text with its code blocks blanked, so that every character keeps its place."""
    return _FENCED.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)
