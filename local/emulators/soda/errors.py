"""Errors as python-oracledb raises them: its exception classes around its own error object.

The driver's error object derives `full_code`, `isrecoverable` and the exception class from the code, so that
a caller's `except oracledb.IntegrityError` and `error.full_code == "ORA-00001"` work as with a real database.
Texts follow Oracle's Database Error Messages; what follows the first line says what was wrong here.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import oracledb
from oracledb import errors as driver

_FILE_FAULTS = {sqlite3.SQLITE_IOERR: 1115, sqlite3.SQLITE_CORRUPT: 1578, sqlite3.SQLITE_NOTADB: 1578}

# Codes that the driver does not map to OperationalError, although a caller can only wait and try again.
_OPERATIONAL = frozenset({54, 1115, 1578, 1653})

_TEXTS = {
    1: "unique constraint violated",
    54: "resource busy and acquire with NOWAIT specified or timeout expired",
    1034: "the Oracle instance is not available for use",
    1115: "IO error reading block from file",
    1426: "numeric overflow",
    1578: "ORACLE data block corrupted",
    1653: "unable to extend table",
    1722: "invalid number",
    1795: "maximum number of expressions in a list is 1000",
    12154: "could not resolve the connect identifier specified",
    24381: "error(s) in array DML",
    40456: "JSON_VALUE evaluated to non-scalar value",
    40470: "JSON_VALUE evaluated to multiple values",
    40478: "output value too large",
    40626: "collection cannot be dropped or indexed as there are uncommitted operations on it",
    40658: "collection name is null",
    40665: "client-assigned key cannot be used for this operation",
    40676: "invalid Query-By-Example (QBE) filter specification",
    40733: "an index with the specified name already exists in the schema",
    40734: "key and version are the only attributes allowed for the operation, and the key is required",
    40736: "Query-By-Example (QBE) filter is not valid JSON",
    40748: "SKIP and LIMIT attributes cannot be set for count operation",
    40773: "invalid index specification",
    40780: "invalid JSON document",
    42204: "collection does not exist",
}


def ora(code: int, detail: str = "") -> oracledb.Error:
    """The exception for Oracle error `code`; `detail` says what was wrong, where, and what to do."""
    text = f"ORA-{code:05}: {_TEXTS[code]}"
    error = driver._Error(f"{text}\n{detail}" if detail else text, code=code)  # noqa: SLF001 - the driver offers no other way
    kind = oracledb.OperationalError if code in _OPERATIONAL else error.exc_type
    return kind(error)


def in_bulk(detail: str) -> oracledb.IntegrityError:
    """The exception for a duplicate among many documents: of the right class, and with no code to rely on."""
    return oracledb.IntegrityError(ora(24381, detail).args[0])


def dpi(number: int, text: str) -> oracledb.Error:
    """The exception for an error of ODPI-C, the layer between the driver and the Oracle client."""
    error = driver._Error(f"DPI-{number}: {text}")  # noqa: SLF001 - the driver offers no other way
    return error.exc_type(error)


def dpy(number: int, **arguments: Any) -> oracledb.Error:
    """The exception for one of the driver's own errors, named by its constant in `oracledb.errors`."""
    error = driver._create_err(number, **arguments)  # noqa: SLF001 - the driver offers no other way
    return error.exc_type(error)


def missing(what: str) -> NotImplementedError:
    """The exception for what Oracle has and this emulator does not, since nothing here needs it."""
    return NotImplementedError(f"{what}: Oracle has it, local/emulators/soda does not; add it there first")


def bad_filter(detail: str) -> oracledb.Error:
    """A QBE that cannot be understood."""
    return ora(40676, detail)


def from_sqlite(error: sqlite3.Error, path: str) -> oracledb.Error:
    """The exception that stands for what SQLite reports about the database file `path`.

    Result codes: https://www.sqlite.org/rescode.html (the low byte is the primary code).
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ora(54, f"another process holds the write lock of {path}: try again")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return ora(1, str(error))
    if code == sqlite3.SQLITE_FULL:
        return ora(1653, f"no space left for {path}")
    return ora(_FILE_FAULTS.get(code, 1034), f"{path}: {error}")


def from_os(error: OSError, path: str) -> oracledb.Error:
    """The exception for a database file that cannot be reached."""
    return ora(1034, f"{path}: {error.strerror}")
