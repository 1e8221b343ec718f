"""How a database is connected to, bounded in time whatever its connect string says, and what its errors mean.

A connect string of Oracle's goes to python-oracledb in Thick mode, which SODA needs; one with the scheme
`sqlite:` goes to SODA on SQLite, which offers the same objects.
"""

import importlib
import logging
import re
from typing import Any

import oracledb

from shared.model.errors import DependencyDown, Misconfigured

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
_BOUNDS = {"connect_timeout": "5", "transport_connect_timeout": "3", "retry_count": "0"}
"""What a connect string is to say of time. [Net Services Reference, "Local Naming Parameters"]"""
_SAID = "|".join((*_BOUNDS, "retry_delay"))
_IN_DESCRIPTION = re.compile(rf"\(\s*(?:{_SAID})\s*=[^()]*\)", re.IGNORECASE)
_DESCRIPTION = re.compile(r"\(\s*description\s*=", re.IGNORECASE)
_IN_QUERY = re.compile(rf"(?:{_SAID})=[^&]*&?", re.IGNORECASE)

# The password is another one, and after tries with the old one the user is locked, or it has run out.
OTHER_PASSWORD = ("ORA-01017", "ORA-28000", "ORA-28001")
# What no waiting heals, and what the operator does about it, by the numbers that mean it.
# [Oracle Database Error Messages; ODPI-C, dpiErrorMessages.c]
_MEANINGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("DPI-1047",),
        "Oracle Instant Client is missing from this machine or image, and SODA needs it: install it where the"
        " system's linker finds it (ldconfig), or use the project's container image",
    ),
    (
        ("DPI-1050", "DPI-1072", "DPI-1079"),
        "Oracle Instant Client is too old for SODA: install 19.14, 21.5, 23.3 or later",
    ),
    (
        ("ORA-12154", "ORA-12162", "ORA-12504", "ORA-12533"),
        "DATABASE_DSN can't be read: give the TLS connect string of the database",
    ),
    (
        ("ORA-28759",),
        "the database asks for a wallet: set is_mtls_connection_required to false",
    ),
    (
        ("ORA-28860", "ORA-28868", "ORA-29002", "ORA-29003", "ORA-29024"),
        "no TLS connection is agreed: is DATABASE_DSN that of TLS without a wallet, and the database's"
        " certificate valid?",
    ),
    (
        ("ORA-01017",),
        "the database refuses user or password: look at DATABASE_USER and its password's secret",
    ),
    (("ORA-28000",), "the database user is locked: unlock it"),
    (("ORA-28001",), "the database user's password has expired: set it, and the secret with it"),
    (("ORA-01045",), "the database user may not connect: grant CREATE SESSION"),
    (("ORA-01031",), "the database user lacks a right: it needs the role SODA_APP and CREATE TABLE"),
    (("ORA-00942",), "a table of the collections is missing, or not this user's: prepare the database again"),
    (("ORA-01536", "ORA-01950"), "the database user has no quota left: raise it, or archive more"),
    (
        # unable to extend a table, an index, a partition, documents, what sorts or undoes; the edition's most
        (
            *("ORA-01650", "ORA-01652", "ORA-01653", "ORA-01654", "ORA-01655", "ORA-01683", "ORA-01688"),
            *("ORA-01691", "ORA-01692", "ORA-12953", "ORA-30036"),
        ),
        "the database has no space left: enlarge its storage, or archive more",
    ),
)
_MISTAKES = {code: words for codes, words in _MEANINGS for code in codes}
_logged: set[str] = set()


class Taken(Exception):
    """A unique index already holds this value."""


def is_file(dsn: str) -> bool:
    """Tell whether a connect string names a file, which has no users."""
    return dsn.startswith("sqlite:")


def connect(dsn: str, user: str, password: str) -> Any:
    """Return a new connection; raises `oracledb.Error`."""
    if is_file(dsn):
        return importlib.import_module("local.emulators.soda").connect(dsn)
    oracledb.init_oracle_client()
    return oracledb.connect(dsn=bounded(dsn), user=user, password=password)


def bounded(dsn: str) -> str:
    """Return a connect string that gives up connecting after a few seconds, and does not try again.

    >>> bounded("(description=(retry_count=20)(retry_delay=3)(address=(host=db)))")
    '(description=(connect_timeout=5)(transport_connect_timeout=3)(retry_count=0)(address=(host=db)))'
    >>> bounded("tcps://db:1521/orders?retry_count=20")
    'tcps://db:1521/orders?connect_timeout=5&transport_connect_timeout=3&retry_count=0'
    """
    if _DESCRIPTION.search(dsn):
        ours = "".join(f"({name}={value})" for name, value in _BOUNDS.items())
        return _DESCRIPTION.sub(lambda found: found[0] + ours, _IN_DESCRIPTION.sub("", dsn))
    if "/" not in dsn:
        return dsn  # a name that the client looks up elsewhere
    place, _, query = dsn.partition("?")
    kept = _IN_QUERY.sub("", query).rstrip("&")
    return (
        f"{place}?{'&'.join(filter(None, (kept, *(f'{name}={value}' for name, value in _BOUNDS.items()))))}"
    )


def code(error: Exception) -> str:
    """Return a driver's error code, such as ORA-01017; empty if it has none."""
    detail = error.args[0] if error.args else None
    return str(getattr(detail, "full_code", "") or "")


def mistake(error: Exception) -> str | None:
    """Return what the operator does about an error that no waiting heals; None if waiting may."""
    return _MISTAKES.get(code(error))


def translated(error: Exception) -> Exception:
    """Turn a driver's error into ours; one that only a defect of this code can cause stays as it is."""
    its_code = code(error)
    if isinstance(error, oracledb.IntegrityError):  # whose code is not documented among many documents
        return Taken()
    if its_code.startswith("ORA-40"):  # SODA's own complaints: about a filter, a document, a name
        return error
    if words := _MISTAKES.get(its_code):
        if its_code not in _logged:  # every call meets it
            _logged.add(its_code)
            log.error("the database can't be used: %s (%s)", words, its_code)
        return Misconfigured(f"The database can't be used: {words} ({its_code}).")
    log.warning("the database is unavailable: %s", its_code or type(error).__name__)
    return down()


def down() -> DependencyDown:
    """Return the error of a database that is unavailable."""
    return DependencyDown("The database is unavailable; nothing was changed. Repeat the request later.")
