"""The database is provisioned: its user made as ADMIN with the vault's passwords, its collections made."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import Refused
from shared.model.errors import DependencyDown
from shared.operations import provisioning
from shared.operations.provisioning import Provisioning, block
from shared.settings import Settings
from shared.storage.audit import Audit
from shared.storage.leases import LeaseTable
from shared.storage.policies import PolicyStore
from shared.storage.records import Records

NAME = "datasync_records"
SETTINGS = Settings(
    "sqlite:",
    "ocid1.vault",
    "ocid1.key",
    "ocid1.compartment",
    database_user="DATASYNC",
    database_password_secret_ocid="ocid1.own",
)


class Clients:
    """Vault, which knows two passwords, and refuses them as often as it is told."""

    def __init__(self, refusals: int = 0):
        self.refusals = refusals

    def call(self, _service: str, _client: str, _operation: str, ocid: str) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise Refused(404)
        content = base64.b64encode({"ocid1.admin": b"admin's", "ocid1.own": b"its own"}[ocid]).decode()
        return SimpleNamespace(secret_bundle_content=SimpleNamespace(content=content))


class Users(Database):
    """A file, and a note of what is run as another user."""

    def __init__(self, path: Path):
        super().__init__(f"sqlite:{path}", "", str)
        self.run: list[tuple[Any, ...]] = []

    @contextmanager
    def connected(self) -> Iterator[Any]:
        with self._connections.use() as opened:
            yield opened.connection

    def run_as(self, user: str, password: Any, block: str, binds: Any) -> None:
        self.run.append((user, password(), block, binds()))


def provisioning_of(tmp_path: Path, refusals: int = 0) -> tuple[Users, Provisioning]:
    database = Users(tmp_path / "records.db")
    parts = (
        Records(database, NAME),
        LeaseTable(database, database, NAME, 60),
        SmallDocuments(database, NAME),
        PolicyStore(database, NAME),
        Audit(database, NAME),
    )
    return database, Provisioning(SETTINGS, Clients(refusals), database, *parts)  # type: ignore[arg-type]


def test_the_user_gets_its_password_from_the_vault_and_the_collections_are_there(tmp_path: Path) -> None:
    database, it = provisioning_of(tmp_path)
    with database.connected() as before:
        pass
    assert it.run(float("inf"), "ocid1.admin") == {"prepared": True}
    with database.connected() as connection:
        assert connection is not before  # which had another password
    assert database.run == [
        ("ADMIN", "admin's", block(), {"username": "DATASYNC", "password": "its own"}),
    ]
    with database.connected() as connection:
        names = connection.getSodaDatabase().getCollectionNames()
    assert sorted(names) == [NAME, f"{NAME}_audit", f"{NAME}_leases", f"{NAME}_notes", f"{NAME}_policies"]
    assert it.run(float("inf"), "ocid1.admin") == {"prepared": True}  # again, and nothing is in the way


def test_a_policy_that_does_not_hold_yet_is_waited_for(tmp_path: Path) -> None:
    pauses: list[float] = []
    database, it = provisioning_of(tmp_path, refusals=3)
    it.run(float("inf"), "ocid1.admin", pauses.append)
    assert len(pauses) == 3
    assert len(database.run) == 1


def test_what_does_not_come_in_time_is_said(tmp_path: Path) -> None:
    _, it = provisioning_of(tmp_path, refusals=3)
    with pytest.raises(DependencyDown, match="refused \\(404\\) a system secret"):
        it.run(0.0, "ocid1.admin")


def test_the_block_takes_names_and_passwords_as_such(tmp_path: Path) -> None:
    text = block()
    assert text.startswith("declare")
    assert text.endswith("end;")
    assert text.count(":username") == text.count(":password") == 1  # read once, and checked
    assert "dbms_assert.simple_sql_name(:username)" in text
    assert "dbms_assert.enquote_name(:password, capitalize => false)" in text
    granted = [line for line in text.splitlines() if "grant " in line and "--" not in line]
    assert granted == ["  execute immediate 'grant create session, create table, soda_app to ' || username;"]
    assert provisioning._SCRIPT.read_text().count("\n/\n") == 1
