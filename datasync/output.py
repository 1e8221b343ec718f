"""What is printed: tables and complaints, in which text from elsewhere is text and nothing more."""

import re
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_WIDTH = 200  # columns, if the output is no terminal: long reasons in one line, for grep
_NARROW = 150  # columns, in which some would be a few characters wide
_GROUPS_MOST = 5  # codes, or targets, in a sentence


def printable(text: str) -> str:
    """Text from elsewhere without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def plain(value: object) -> Text:
    """A cell that is shown as it is, without markup."""
    return Text(printable(str(value)))


def to_the_second(time: object) -> str:
    """A time without its fraction.

    >>> to_the_second("2026-11-24T02:51:10.102230Z")
    '2026-11-24T02:51:10Z'
    """
    return re.sub(r"\.[0-9]+", "", str(time))


def is_narrow() -> bool:
    """Whether the output is a terminal that six columns don't fit into."""
    return _console().width < _NARROW


def show(table: Table) -> None:
    """Print a table."""
    _console().print(table)


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


def in_words(by_code: Mapping[str, int], by_target: Mapping[str, int]) -> str:
    """How many records there are of what, the most first.

    >>> in_words({"404": 2, "503": 7}, {"erp:443": 9})
    '7 with 503, 2 with 404; 9 at erp:443'
    """
    return "; ".join(_groups(one, word) for one, word in ((by_code, "with"), (by_target, "at")) if one)


def _groups(numbers: Mapping[str, int], word: str) -> str:
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    said = [f"{number} {word} {printable(name)}" for name, number in ordered[:_GROUPS_MOST]]
    rest = sum(number for _, number in ordered[_GROUPS_MOST:])
    return ", ".join([*said, f"{rest} {word} others"] if rest else said)


def progress(*, quiet: bool) -> Progress:
    """A bar on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )


def complain(text: str) -> None:
    """Say on standard error what went wrong."""
    Console(stderr=True).print(Text(text, style="red"), soft_wrap=True)
