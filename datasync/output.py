"""What is printed: tables and complaints, in which text from elsewhere is text and nothing more."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH = 200  # columns, if the output is no terminal: long reasons in one line, for grep


def printable(text: str) -> str:
    """Text from elsewhere without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def plain(value: object) -> Text:
    """A cell that is shown as it is, without markup."""
    return Text(printable(str(value)))


def show(table: Table) -> None:
    """Print a table."""
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    console.print(table)


def complain(text: str) -> None:
    """Say on standard error what went wrong."""
    Console(stderr=True).print(Text(text, style="red"), soft_wrap=True)
