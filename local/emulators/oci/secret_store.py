"""Where secrets are kept: one encrypted file each, named by vault and secret name.

The files are the only state, so that any process sees what another has written; a lock keeps writers apart.
A file holds the secret's description in the clear, and of its content only the
AES-256-GCM ciphertext; the master key lies in a file of its own.
"""

import base64
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from local.emulators.identity import new_ocid, random_unique
from local.emulators.oci.secret_record import Draft, Secret, Version, decode, encode
from local.emulators.oci.wire import utc_now
from local.emulators.private_files import create_private_file, private_folder, replace_private_file

_NONCE_BYTES = 12  # what NIST SP 800-38D recommends for GCM
_OCID = re.compile(r"ocid1\.vaultsecret\.oc1\.local\.([a-z2-7]{32})[a-z2-7]{20}")


class NameTakenError(Exception):
    """The vault has a secret of that name, perhaps one that is waiting to be deleted."""

    def __init__(self, holder: Secret):
        super().__init__(f"The vault has a secret named {holder.name}")
        self.holder = holder


class SecretStore:
    """The secrets under `<home>/vault`. Several processes may use one home at once."""

    def __init__(self, home: Path, creation_delay: float = 0.0, clock: Callable[[], datetime] = utc_now):
        folder = private_folder(home / "vault")
        self._folder = private_folder(folder / "secrets")
        self._lock_path = folder / "lock"
        self._creation_delay = timedelta(seconds=creation_delay)
        self._cipher = AESGCM(_master_key(folder / "master.key"))
        self.clock = clock
        self._purge()

    def create(self, draft: Draft, content: bytes) -> Secret:
        """Keep a new secret; NameTakenError if the vault has one of that name."""
        key = _file_key(draft.vault_id, draft.name)
        now = self.clock()
        ocid = new_ocid("vaultsecret", key + random_unique(20))
        version = Version(1, draft.version_name, now, self._seal(ocid, 1, content))
        secret = Secret(ocid, draft, now, now + self._creation_delay, _new_etag(), 1, (version,))
        with self._locked():
            holder = self._load(key)
            if holder is not None:
                raise NameTakenError(holder)
            replace_private_file(self._path(key), encode(secret))  # there is none, or a deleted one
        return secret

    def get(self, secret_id: str) -> Secret | None:
        """Return the secret with this OCID, None if there is none or its time of deletion has come."""
        match = _OCID.fullmatch(secret_id)
        secret = self._load(match[1]) if match else None
        return secret if secret is not None and secret.id == secret_id else None

    def by_name(self, vault_id: str, name: str) -> Secret | None:
        """Return the vault's secret of this name."""
        return self._load(_file_key(vault_id, name))

    def all(self) -> list[Secret]:
        """Return every secret, in no order."""
        loaded = (self._load(path.stem) for path in self._folder.glob("*.json"))
        return [secret for secret in loaded if secret is not None]

    def content(self, secret: Secret, version: Version) -> bytes:
        """Decrypt one version's content."""
        sealed = base64.b64decode(version.sealed)
        aad = _bound_to(secret.id, version.number)
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], aad)

    def change(self, secret_id: str, change: Callable[[Secret], Secret]) -> Secret | None:
        """Replace a secret by what `change` makes of it, with a new etag; None if there is none."""
        with self._locked():
            before = self.get(secret_id)
            if before is None:
                return None
            after = replace(change(before), etag=_new_etag())
            replace_private_file(self._path(_file_key(after.draft.vault_id, after.name)), encode(after))
        return after

    def with_version(self, secret: Secret, content: bytes, name: str | None, *, pending: bool) -> Secret:
        """Return the secret with one more version, which is its content from now on unless `pending`."""
        number = secret.versions[-1].number + 1
        sealed = self._seal(secret.id, number, content)
        versions = (*secret.versions, Version(number, name, self.clock(), sealed))
        if pending:
            return replace(secret, versions=versions)
        return replace(secret, versions=versions, current=number, previous=secret.current)

    def _seal(self, secret_id: str, number: int, content: bytes) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, content, _bound_to(secret_id, number))
        return base64.b64encode(sealed).decode("ascii")

    def _load(self, key: str) -> Secret | None:
        try:
            secret = decode(self._path(key).read_bytes())
        except FileNotFoundError:
            return None
        if secret.time_of_deletion is not None and secret.time_of_deletion <= self.clock():
            return None
        return secret

    def _purge(self) -> None:
        """Remove the files of secrets whose time of deletion has come."""
        with self._locked():
            for path in self._folder.glob("*.json"):
                if self._load(path.stem) is None:
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._lock_path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # gives the lock back


def put_secret(home: Path, name: str, content: str) -> str:
    """Put a secret in as the operator (a database password, say), or renew it; return its OCID."""
    store = SecretStore(home)
    raw = content.encode("utf-8")
    try:
        return store.create(Draft(name), raw).id
    except NameTakenError as error:
        holder = error.holder
    if store.content(holder, holder.versions[holder.current - 1]) != raw or holder.time_of_deletion:
        store.change(
            holder.id,
            lambda secret: replace(
                store.with_version(secret, raw, None, pending=False), time_of_deletion=None
            ),
        )
    return holder.id


def _file_key(vault_id: str, name: str) -> str:
    digest = hashlib.sha256(f"{vault_id}\0{name}".encode()).digest()
    return base64.b32encode(digest[:20]).decode("ascii").lower()


def _bound_to(secret_id: str, number: int) -> bytes:
    # Authenticated with the ciphertext, so that one secret's content cannot be put in another's place.
    return f"{secret_id}/{number}".encode()


def _new_etag() -> str:
    return secrets.token_hex(16)


def _master_key(path: Path) -> bytes:
    if not path.exists():
        create_private_file(path, AESGCM.generate_key(bit_length=256))
    return path.read_bytes()
