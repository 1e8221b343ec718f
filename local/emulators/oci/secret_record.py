"""A secret as the vault keeps it: its description, its versions with sealed content, its file's form."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from local.emulators.identity import COMPARTMENT_OCID, KEY_OCID, VAULT_OCID


@dataclass(frozen=True)
class Version:
    """One content that a secret has or had; `sealed` is base64 of nonce and ciphertext."""

    number: int
    name: str | None
    time_created: datetime
    sealed: str


@dataclass(frozen=True)
class Draft:
    """What the maker of a secret says about it."""

    name: str
    vault_id: str = VAULT_OCID
    compartment_id: str = COMPARTMENT_OCID
    key_id: str = KEY_OCID
    description: str | None = None
    version_name: str | None = None
    retry_token: str | None = None
    labels: dict[str, Any] = field(
        default_factory=dict
    )  # freeformTags, definedTags, metadata, as on the wire


@dataclass(frozen=True)
class Secret:
    """A secret without its content, which `SecretStore.content` opens."""

    id: str
    draft: Draft
    time_created: datetime
    active_from: datetime
    etag: str
    current: int
    versions: tuple[Version, ...]
    previous: int | None = None
    time_of_deletion: datetime | None = None

    @property
    def name(self) -> str:
        """Its name, unique in the vault."""
        return self.draft.name

    def state(self, now: datetime) -> str:
        """Return its lifecycle state, in the service's word."""
        if self.time_of_deletion is not None:
            return "PENDING_DELETION"
        return "CREATING" if now < self.active_from else "ACTIVE"

    def stages(self, version: Version) -> list[str]:
        """Return a version's rotation states, as the service derives them."""
        if version.number == self.current:
            stage = "CURRENT"
        elif version.number == self.previous:
            stage = "PREVIOUS"
        else:
            stage = "PENDING" if version.number > self.current else "DEPRECATED"
        return [stage, "LATEST"] if version.number == self.versions[-1].number else [stage]


def encode(secret: Secret) -> bytes:
    """Write a secret as it stands in its file."""
    return json.dumps(asdict(secret), default=datetime.isoformat, indent=1).encode("utf-8")


def decode(raw: bytes) -> Secret:
    """Read what `encode` wrote."""
    fields = json.loads(raw)
    fields["draft"] = Draft(**fields["draft"])
    for version in fields["versions"]:
        version["time_created"] = datetime.fromisoformat(version["time_created"])
    fields["versions"] = tuple(Version(**version) for version in fields["versions"])
    for name in ("time_created", "active_from", "time_of_deletion"):
        if fields[name] is not None:
            fields[name] = datetime.fromisoformat(fields[name])
    return Secret(**fields)
