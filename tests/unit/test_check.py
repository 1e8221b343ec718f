"""What `python -m local check` says of a database, in words."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import oracledb
import pytest

from local.check import in_words, missing
from tests.end_to_end.bundle import ROOT


class Connection:
    """A session with these roles and privileges."""

    def __init__(self, version: str, roles: list[str], privileges: list[str]):
        self.version = version
        self._rows = {"session_roles": roles, "session_privs": privileges}

    def cursor(self) -> Any:
        return SimpleNamespace(execute=lambda query: [(one,) for one in self._rows[query.split()[-1]]])


def test_a_database_that_has_everything_lacks_nothing() -> None:
    privileges = ["CREATE SESSION", "CREATE TABLE"]
    assert list(missing(Connection("23.26.1.0.0", ["SODA_APP", "CONNECT"], privileges))) == []


def test_everything_that_is_missing_is_named() -> None:
    said = list(missing(Connection("19.28.0.0.0", ["CONNECT"], ["CREATE SESSION"])))
    assert [one.partition(";")[0] for one in said] == [
        "Oracle Database 23ai or later",
        "the role SODA_APP",
        "the privilege CREATE TABLE",
    ]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ORA-01017", "the database refuses user or password"),
        ("ORA-12170", "no answer"),
        ("ORA-00600", "no connection (ORA-00600)"),
    ],
)
def test_a_failure_is_said_in_words_without_its_text(code: str, words: str) -> None:
    said = in_words(
        oracledb.DatabaseError(SimpleNamespace(full_code=code, message="user SCOTT at db.internal"))
    )
    assert said.startswith(words)
    assert "SCOTT" not in said


def test_the_command_ends_with_1_where_something_is_missing() -> None:
    command = [sys.executable, "-m", "local", "check", "--dsn", "127.0.0.1:1/nothing"]
    environment = os.environ | {"DATASYNC_TEST_PASSWORD": "hunter2-hunter2"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("missing: ")
    assert "hunter2" not in done.stdout + done.stderr
