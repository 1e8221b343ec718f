"""What the vault leaves on the disk: nothing in the clear, nothing for others, nothing lost."""

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import oci.retry
import pytest
from cryptography.exceptions import InvalidTag
from oci.object_storage import ObjectStorageClient
from oci.object_storage.models import CreateBucketDetails
from oci.secrets import SecretsClient
from oci.vault import VaultsClient
from oci.vault.models import Base64SecretContentDetails, CreateSecretDetails, UpdateSecretDetails

from local.emulators.identity import COMPARTMENT_OCID, KEY_OCID, OBJECT_STORAGE_NAMESPACE, VAULT_OCID
from local.emulators.oci.app import MESSAGES
from local.emulators.oci.secret_record import Draft
from local.emulators.oci.secret_store import SecretStore, put_secret
from tests.contract.oci_server import serving, signer

CLEAR = "Bearer do-not-write-me-4711"


@contextmanager
def served_by_a_process(home: Path) -> Iterator[str]:
    """The endpoints in a process of their own, killed with -9 in the end; yields their URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.emulators.oci", str(home)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        yield url.rstrip("/")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def create(home: Path, url: str, name: str, content: str) -> None:
    vault = VaultsClient({}, signer=signer(home), service_endpoint=url)
    encoded = base64.b64encode(content.encode()).decode()
    vault.create_secret(
        CreateSecretDetails(
            compartment_id=COMPARTMENT_OCID,
            vault_id=VAULT_OCID,
            key_id=KEY_OCID,
            secret_name=name,
            secret_content=Base64SecretContentDetails(content=encoded),
        )
    )


def read(home: Path, url: str, name: str) -> str:
    client = SecretsClient(
        {}, signer=signer(home), service_endpoint=url, retry_strategy=oci.retry.NoneRetryStrategy()
    )
    data = client.get_secret_bundle_by_name(name, VAULT_OCID).data
    return base64.b64decode(data.secret_bundle_content.content).decode()


def test_secrets_and_identity_survive_kill_9(tmp_path: Path) -> None:
    with served_by_a_process(tmp_path) as url:
        create(tmp_path, url, "kept", CLEAR)
    with served_by_a_process(tmp_path) as url:
        assert read(tmp_path, url, "kept") == CLEAR


def test_no_file_holds_a_secret_in_the_clear(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        create(tmp_path, server.url, "api", CLEAR)
        vault = server.client(VaultsClient)
        ocid = vault.list_secrets(COMPARTMENT_OCID, name="api").data[0].id
        second = base64.b64encode(f"{CLEAR} again".encode()).decode()
        vault.update_secret(
            ocid, UpdateSecretDetails(secret_content=Base64SecretContentDetails(content=second))
        )
        put_secret(tmp_path, "operator", CLEAR)
        assert read(tmp_path, server.url, "operator") == CLEAR
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 6
    forms = [CLEAR.encode(), base64.b64encode(CLEAR.encode()).rstrip(b"="), CLEAR.encode().hex().encode()]
    for path in files:
        content = path.read_bytes()
        assert not [form for form in forms if form in content], path


def test_everything_under_the_home_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home) as server:
        create(home, server.url, "api", CLEAR)
        server.app[MESSAGES].append([{"body": "private"}])
        storage = server.client(ObjectStorageClient)
        bucket = CreateBucketDetails(name="archive", compartment_id=COMPARTMENT_OCID)
        storage.create_bucket(OBJECT_STORAGE_NAMESPACE, bucket)
        storage.put_object(OBJECT_STORAGE_NAMESPACE, "archive", "private", b"private")
    for path in home.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_the_operator_puts_and_renews_a_secret_while_the_vault_is_served(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        ocid = put_secret(tmp_path, "database-password", "one")
        assert read(tmp_path, server.url, "database-password") == "one"
        assert put_secret(tmp_path, "database-password", "two") == ocid
        assert read(tmp_path, server.url, "database-password") == "two"
        assert put_secret(tmp_path, "database-password", "two") == ocid
        current = server.client(VaultsClient).get_secret(ocid).data.current_version_number
        assert current == 2


def test_a_home_that_others_may_read_stays_as_its_owner_made_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with serving(tmp_path):
        assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_one_secrets_ciphertext_cannot_stand_for_anothers(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    mine = store.create(Draft("mine"), b"mine")
    theirs = store.create(Draft("theirs"), b"theirs")
    with pytest.raises(InvalidTag):
        store.content(mine, theirs.versions[0])


def test_a_write_that_was_interrupted_leaves_the_old_secret(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    secret = store.create(Draft("whole"), b"whole")
    (tmp_path / "vault" / "secrets" / ".writing-0123").write_bytes(b'{"half a sec')
    again = SecretStore(tmp_path)
    assert [each.name for each in again.all()] == ["whole"]
    assert again.content(secret, secret.versions[0]) == b"whole"
