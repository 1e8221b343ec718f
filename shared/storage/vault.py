"""Secrets in OCI Vault, under the configured prefix and never outside it: read, made, listed, deleted."""

import base64
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.drivers.oci import OciClients, Refused, secret_text
from shared.model.errors import DependencyDown
from shared.model.record import Proof
from shared.settings import Settings

_LEAVING = ("SCHEDULING_DELETION", "PENDING_DELETION", "DELETING")  # they still hold their names


class Unreadable(DependencyDown):
    """One secret can't be read; Vault itself answers."""


@dataclass(frozen=True)
class Secret:
    """What a secret holds in one version; an empty text if that is not UTF-8."""

    text: str = field(repr=False)
    proof: Proof


@dataclass(frozen=True)
class KeptSecret:
    """A secret that store-data has made, and whether it is on its way out."""

    ocid: str
    name: str
    created: datetime
    is_leaving: bool = False


class Vault:
    """The secrets of one vault."""

    def __init__(self, clients: OciClients, settings: Settings):
        self._clients = clients
        self._settings = settings
        self._tags = {"managed-by": "oci-data-sync", "collection": settings.collection}
        self._system = {settings.database_password_secret_ocid, settings.signing_secret_ocid}

    def current(self, name: str) -> Secret | None:
        """Return what a secret holds now; None if there is none that can be read.

        A system secret is nobody's token, whatever its name: its text is left out. Raises DependencyDown
        if Vault does not answer, and Unreadable if it refuses.
        """
        try:
            bundle = self._clients.call(
                "secrets",
                "SecretsClient",
                "get_secret_bundle_by_name",
                self._settings.secret_prefix + name,
                self._settings.vault_ocid,
            )
        except Refused as error:
            if error.status == 404:
                return None
            raise Unreadable("Vault refused to read a token; the operator checks its policies.") from None
        try:
            text = "" if bundle.secret_id in self._system else secret_text(bundle)
        except ValueError:
            text = ""
        return Secret(text, Proof(bundle.secret_id, int(bundle.version_number)))

    def create(self, name: str, text: str) -> Secret | None:
        """Create a secret, which can be read a little later; None if its name is taken."""
        from oci.vault.models import Base64SecretContentDetails, CreateSecretDetails

        content = base64.b64encode(text.encode()).decode()
        details = CreateSecretDetails(
            compartment_id=self._settings.vault_compartment_ocid,
            vault_id=self._settings.vault_ocid,
            key_id=self._settings.vault_key_ocid,
            secret_name=self._settings.secret_prefix + name,
            secret_content=Base64SecretContentDetails(content=content, stage="CURRENT"),
            freeform_tags=self._tags,
        )
        try:
            made = self._call("create_secret", details, opc_retry_token=uuid.uuid4().hex)
        except Refused as error:
            if error.is_conflict:
                return None
            raise DependencyDown("Vault refused to keep a token; the operator checks its policies.") from None
        return Secret(text, Proof(made.id, 1))  # versions are counted from 1 [Vault API, SecretVersion]

    def state(self, name: str) -> str:
        """Return the lifecycle state of a secret (OCI Vault API, SecretSummary); empty if there is none."""
        settings = self._settings
        try:
            found = self._call(
                *("list_secrets", settings.vault_compartment_ocid),
                name=settings.secret_prefix + name,
                vault_id=settings.vault_ocid,
            )
        except Refused:
            return ""
        return str(found[0].lifecycle_state) if found else ""

    def is_leaving(self, name: str) -> bool:
        """Tell whether a secret is scheduled for deletion, or being deleted."""
        return self.state(name) in _LEAVING

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
        return [
            KeptSecret(
                one.id,
                one.secret_name.removeprefix(prefix),
                one.time_created,
                one.lifecycle_state in _LEAVING,
            )
            for one in found
            if one.secret_name.startswith(prefix)
            and (one.freeform_tags or {}).items() >= self._tags.items()
            and one.lifecycle_state in ("ACTIVE", *_LEAVING)
            and one.secret_name.removeprefix(prefix) not in settings.connector_hub_secrets
        ]

    def schedule_deletion(self, secret: KeptSecret) -> None:
        """Schedule a secret's deletion as far ahead as Vault allows, 30 days; until then it can't be read.

        Raises Refused if somebody else has scheduled it.
        """
        from oci.vault.models import ScheduleSecretDeletionDetails

        # Without a time it is 30 days ahead [OCI documentation, "Deleting a Secret"].
        self._call("schedule_secret_deletion", secret.ocid, ScheduleSecretDeletionDetails())

    def cancel_deletion(self, secret: KeptSecret) -> None:
        """Keep a secret after all."""
        self._call("cancel_secret_deletion", secret.ocid)

    def _call(self, operation: str, *arguments: Any, **options: Any) -> Any:
        return self._clients.call("vault", "VaultsClient", operation, *arguments, **options)
