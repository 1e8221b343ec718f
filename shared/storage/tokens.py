"""Callers' tokens in OCI Vault: kept under a name by whoever holds them, read back for delivery, cached."""

import base64
import hmac
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import OciClients, Refused, secret_text
from shared.model import credentials
from shared.model.errors import Conflict, DependencyDown
from shared.settings import Settings

_CACHED_SECONDS = 300.0
_MISSING_SECONDS = 15.0  # how long a name that isn't there is not asked for again
_BEING_DELETED = ("SCHEDULING_DELETION", "PENDING_DELETION", "DELETING")  # they still hold their names
_LEAVING = "leaving"  # the note with the secrets whose deletion is ours
_DELETION_DAYS = 7
_WAIT_FOR_ACTIVE = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between looks at a secret that is being created


@dataclass(frozen=True)
class KeptSecret:
    """A secret that store-data has made; whether it is on its way out, and whether we noted that as ours.

    An operator's deletion stands: the token may have become known to others.
    """

    ocid: str
    name: str
    created: datetime
    is_leaving: bool = False
    is_ours: bool = False


class Unreadable(DependencyDown):
    """One secret can't be read; Vault itself answers."""


class TokenVault:
    """The tokens of one vault, under the configured prefix and never outside it."""

    def __init__(
        self,
        clients: OciClients,
        settings: Settings,
        notes: SmallDocuments,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._clients = clients
        self._settings = settings
        self._notes = notes
        self._clock = clock
        self._tags = {"managed-by": "oci-data-sync", "collection": settings.collection}
        self._cache: dict[str, tuple[str | None, float]] = {}

    def token(self, name: str) -> str | None:
        """Return the token kept under `name`, from the cache where it is fresh; None where there is none."""
        cached = self._fresh(name)
        if cached:
            return cached[0]
        value = self._read(name)
        return self._brought_back(name) if value is None else value

    def claim(self, name: str, token: str) -> None:
        """Keep `token` under a new name, or prove by it the right to use a name that is taken.

        Raises Conflict where the name holds another token, DependencyDown where Vault can't say.
        """
        cached = self._fresh(name)
        if cached and _same(cached[0], token):
            return
        kept = self._read(name)
        if kept is None:
            kept = self._create(name, token)
        if not _same(kept, token):
            raise Conflict(
                f"vaultSecretName {name!r} is in use with another token. Use a new name for a new token; an"
                " operator can also store a new version of the secret."
            )

    def kept(self) -> list[KeptSecret]:
        """Return the secrets that store-data has made here, and none that the operator has."""
        prefix, settings = self._settings.secret_prefix, self._settings
        try:
            found = self._clients.all(
                *("vault", "VaultsClient", "list_secrets", settings.vault_compartment_ocid),
                vault_id=settings.vault_ocid,
            )
        except Refused as error:
            raise DependencyDown(
                f"Vault refused ({error.status}) to list secrets; the operator checks the policies."
            ) from None
        ours = self._noted(set)
        return [
            KeptSecret(
                one.id,
                one.secret_name.removeprefix(prefix),
                one.time_created,
                one.lifecycle_state in _BEING_DELETED,
                one.id in ours,
            )
            for one in found
            if one.secret_name.startswith(prefix)
            and (one.freeform_tags or {}).items() >= self._tags.items()
            and one.lifecycle_state in ("ACTIVE", *_BEING_DELETED)
            and one.secret_name.removeprefix(prefix) not in settings.connector_hub_secrets
        ]

    def delete(self, secret: KeptSecret) -> None:
        """Schedule a secret's deletion, a week ahead; until then it can be taken back."""
        from oci.vault.models import ScheduleSecretDeletionDetails

        self._noted(lambda ids: ids | {secret.ocid})
        moment = datetime.now(UTC) + timedelta(days=_DELETION_DAYS)
        details = ScheduleSecretDeletionDetails(time_of_deletion=moment)
        try:
            self._clients.call("vault", "VaultsClient", "schedule_secret_deletion", secret.ocid, details)
        except Refused:  # somebody else has scheduled it, and theirs stands
            self.disown(secret)
            raise
        self._cache.pop(secret.name, None)

    def take_deletion_back(self, secret: KeptSecret) -> None:
        """Keep a secret after all."""
        self._clients.call("vault", "VaultsClient", "cancel_secret_deletion", secret.ocid)
        self.disown(secret)
        self._cache.pop(secret.name, None)

    def disown(self, secret: KeptSecret) -> None:
        """Forget that a secret's deletion is ours: it is not leaving, or somebody else says that it is."""
        self._noted(lambda ids: ids - {secret.ocid})

    def _noted(self, change: Callable[[set[str]], set[str]]) -> set[str]:
        """Change which secrets' deletion is ours, and return which it is."""
        known = set(self._notes.read(_LEAVING).get("ids", ()))
        if change(known) == known:
            return known
        note = self._notes.change(_LEAVING, lambda note: {"ids": sorted(change(set(note.get("ids", ()))))})
        return set(note["ids"] if note else ())

    def _fresh(self, name: str) -> tuple[str | None, float] | None:
        cached = self._cache.get(name)
        return cached if cached and self._clock() < cached[1] else None

    def _read(self, name: str) -> str | None:
        value = None
        try:
            bundle = self._clients.call(
                "secrets",
                "SecretsClient",
                "get_secret_bundle_by_name",
                self._settings.secret_prefix + name,
                self._settings.vault_ocid,
            )
            value = secret_text(bundle)
        except Refused as error:
            if error.status != 404:
                raise Unreadable("Vault refused to read a token; the operator checks its policies.") from None
        self._remember(name, value)
        return value

    def _create(self, name: str, token: str) -> str:
        from oci.vault.models import Base64SecretContentDetails, CreateSecretDetails

        details = CreateSecretDetails(
            compartment_id=self._settings.vault_compartment_ocid,
            vault_id=self._settings.vault_ocid,
            key_id=self._settings.vault_key_ocid,
            secret_name=self._settings.secret_prefix + name,
            secret_content=Base64SecretContentDetails(
                content=base64.b64encode(token.encode()).decode(), stage="CURRENT"
            ),
            freeform_tags=self._tags,
        )
        try:
            self._clients.call(
                "vault", "VaultsClient", "create_secret", details, opc_retry_token=uuid.uuid4().hex
            )
        except Refused as error:
            if not error.is_conflict:
                raise DependencyDown(
                    "Vault refused to keep a token; the operator checks its policies."
                ) from None
            return self._created_by_another(name)
        self._remember(name, token)
        return token

    def _created_by_another(self, name: str) -> str:
        """Return the token of a secret that is there already, as soon as it can be read."""
        is_revived = False
        for pause in (*_WAIT_FOR_ACTIVE, None):
            value = self._read(name)
            if value is not None:
                return value
            found = self._found(name)
            if found and found.lifecycle_state in _BEING_DELETED and not is_revived:
                self._revive(KeptSecret(found.id, name, found.time_created))
                is_revived = True
            if pause is not None:
                time.sleep(pause)
        state = found.lifecycle_state if found else "nothing of it"
        raise Unreadable(
            f"The secret of vaultSecretName {name!r} can't be read (Vault says {state}); repeat later, or use"
            " a new name."
        )

    def _brought_back(self, name: str) -> str | None:
        """Return a token that a record needs while its secret is on its way out, if that was our doing."""
        found = self._found(name)
        is_leaving = found is not None and found.lifecycle_state in _BEING_DELETED
        if not (is_leaving and found.id in self._noted(set)):
            return None
        try:
            return self._created_by_another(name)
        except (Conflict, Unreadable):
            return None

    def _revive(self, secret: KeptSecret) -> None:
        """Take back the deletion of a secret that is in use again; Conflict where it was the operator's."""
        if secret.ocid not in self._noted(set):
            raise Conflict(
                f"The secret of vaultSecretName {secret.name!r} is scheduled for deletion. Use a new name;"
                " an operator can also cancel the deletion."
            )
        with suppress(Refused):  # somebody else takes it back in this moment
            self.take_deletion_back(secret)

    def _found(self, name: str) -> Any:
        """Return what Vault lists of a name (OCI Vault API, SecretSummary); None where that is nothing."""
        try:
            found = self._clients.call(
                "vault",
                "VaultsClient",
                "list_secrets",
                self._settings.vault_compartment_ocid,
                name=self._settings.secret_prefix + name,
                vault_id=self._settings.vault_ocid,
            )
        except Refused:
            return None
        return found[0] if found else None

    def _remember(self, name: str, value: str | None) -> None:
        seconds = _MISSING_SECONDS if value is None else _CACHED_SECONDS
        self._cache[name] = (value, self._clock() + seconds)


def _same(kept: str | None, token: str) -> bool:
    """Compare in constant time, so that the answer's delay says nothing about the token that is kept."""
    proof = None if kept is None else credentials.proof(kept)
    return proof is not None and hmac.compare_digest(proof.encode(), token.encode())
