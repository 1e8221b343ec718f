"""The SQL on a collection's table; identifiers in it are quoted, and all values are bound."""
# ruff: noqa: S608 - only the quoted table name and clauses of `planning` are put into the text

from __future__ import annotations

from collections.abc import Sequence

COLUMNS = "key, version, ident, media, created, modified, body"


class Statements:
    """The statements for one table, of which SQLite keeps the prepared form as long as the text is the
    same."""

    def __init__(self, table: str, indexed: Sequence[str] = (), replaceable: Sequence[str] = ()) -> None:
        """`indexed` are the columns of indexed fields that an insert fills after the others; `replaceable`
        are those that a replacement fills."""
        columns = ", ".join((COLUMNS, *indexed))
        self.insert = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * (7 + len(indexed)))})"
        changed = ", ".join(f"{name} = ?" for name in ("version", "media", "modified", "body", *replaceable))
        self.replace = f"UPDATE {table} SET {changed} WHERE key = ?"
        self.truncate = f"DELETE FROM {table}"
        self.ident = f"SELECT ident FROM {table} WHERE key = ?"
        self._select = f"SELECT {COLUMNS} FROM {table}"
        self._count = f"SELECT count(*) FROM {table}"

    def delete(self, where: str) -> str:
        """Removes what `where` selects."""
        return f"{self.truncate}{where}"

    def count(self, where: str) -> str:
        """Counts what `where` selects."""
        return f"{self._count}{where}"

    def select(self, where: str, orderby: str = "") -> str:
        """Reads what `where` selects, in that order."""
        return f"{self._select}{where}{orderby}"
