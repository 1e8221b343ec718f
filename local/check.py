"""`python -m local check`: is an Autonomous Database what the functions need, and if not, what is missing?

Connects as they do, then runs the tests of the SODA contract in collections of their own.
"""

import getpass
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import oracledb

from local.stack import CHECKOUT
from shared.drivers import oracle

_LEAST_VERSION = 23  # native collections, whose behaviour the tests pin
_NEEDED = ("CREATE SESSION", "CREATE TABLE")
_WORDS = {
    "ORA-12170": "no answer: the database has a private address, or a list of addresses without this one.",
    "ORA-12541": "nothing listens there; compare the connect string with `terraform output database`.",
}


def main(dsn: str, user: str) -> int:
    """Say what is missing, and return 0 if nothing is."""
    password = os.environ.get("DATASYNC_TEST_PASSWORD") or getpass.getpass(f"Password of {user}: ")
    try:
        oracledb.init_oracle_client()
        with oracledb.connect(user=user, password=password, dsn=dsn) as connection:
            faults = list(missing(connection))
    except oracledb.Error as error:
        faults = [in_words(error)]
    for fault in faults:
        print(f"missing: {fault}", file=sys.stderr)
    return 1 if faults else _contract(dsn, user, password)


def in_words(error: oracledb.Error) -> str:
    """Say what a failure to connect means; its own text may name users and hosts."""
    if mistake := oracle.mistake(error):
        return f"{mistake}."
    code = oracle.code(error)
    return _WORDS.get(code, f"no connection ({code or type(error).__name__}).")


def missing(connection: Any) -> Iterator[str]:
    """Yield what a connection's database or user lacks."""
    if int(connection.version.partition(".")[0]) < _LEAST_VERSION:
        yield f"Oracle Database {_LEAST_VERSION}ai or later; this is {connection.version}."
    if "SODA_APP" not in _column(connection, "select role from session_roles"):
        yield "the role SODA_APP; shared/operations/schema.sql grants it."
    held = _column(connection, "select privilege from session_privs")
    for privilege in _NEEDED:
        if privilege not in held:
            yield f"the privilege {privilege}; shared/operations/schema.sql grants it."


def _column(connection: Any, query: str) -> set[str]:
    return {row[0] for row in connection.cursor().execute(query)}


def _contract(dsn: str, user: str, password: str) -> int:
    """Run the tests of the SODA contract against the database."""
    names = {"DATASYNC_TEST_DSN": dsn, "DATASYNC_TEST_USER": user, "DATASYNC_TEST_PASSWORD": password}
    folder = CHECKOUT / "tests/contract"
    tests = [
        *sorted(str(path) for path in folder.glob("test_soda_*.py")),
        str(folder / "test_oracle_plans.py"),
    ]
    command = [sys.executable, "-m", "pytest", "--quiet", *tests]
    return subprocess.run(command, cwd=CHECKOUT, env=os.environ | names, check=False).returncode  # noqa: S603 - our own tests
