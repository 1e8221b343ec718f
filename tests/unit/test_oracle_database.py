"""A database that the environment names takes the place of the local one; its password is the vault's."""

from pathlib import Path

import pytest

from local import oracle_database
from local.emulators.oci.secret_store import SecretStore
from local.run import Options
from local.stack import StartError
from tests.contract.oci_server import copy_keys

NAMED = {
    "DATABASE_DSN": "127.0.0.1:1521/FREEPDB1",
    "DATABASE_USER": "datasync",
    "DATABASE_PASSWORD": "s3cr3t-of-the-database",
}


def test_nothing_is_named_on_a_machine_without(tmp_path: Path) -> None:
    assert oracle_database.settings({}) == {}
    assert oracle_database.settings({"DATABASE_DSN": "sqlite:x.db", "DATABASE_PASSWORD": "x"}) == {}
    assert oracle_database.with_password_kept(tmp_path, {"LEASE": "30s"}) == {"LEASE": "30s"}


def test_the_password_is_kept_in_the_vault_and_nowhere_else(tmp_path: Path) -> None:
    copy_keys(tmp_path)
    settings = oracle_database.with_password_kept(tmp_path, Options.of(NAMED | {"PORT": "0"}).settings)
    assert "DATABASE_PASSWORD" not in settings
    assert NAMED["DATABASE_PASSWORD"] not in str(settings)
    (secret,) = SecretStore(tmp_path).all()
    assert settings["DATABASE_PASSWORD_SECRET_OCID"] == secret.id
    assert (settings["DATABASE_DSN"], settings["DATABASE_USER"]) == ("127.0.0.1:1521/FREEPDB1", "datasync")


@pytest.mark.parametrize("name", ["DATABASE_USER", "DATABASE_PASSWORD"])
def test_what_is_missing_is_said_at_start(name: str) -> None:
    environment = {other: value for other, value in NAMED.items() if other != name}
    with pytest.raises(StartError, match=f"set {name}, too"):
        Options.of(environment)
