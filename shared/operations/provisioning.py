"""The use case of the call after a deployment: makes the database's schema user, and the collections."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import OciClients, read_secret
from shared.model.errors import DependencyDown
from shared.settings import Settings
from shared.storage.audit import Audit
from shared.storage.leases import LeaseTable
from shared.storage.policies import PolicyStore
from shared.storage.records import Records

log = logging.getLogger(__name__)

_ADMIN = "ADMIN"  # of every Autonomous Database
_SCRIPT = Path(__file__).with_name("schema.sql")
_BLOCK = re.compile(r"^declare\n.*?^end;$", re.DOTALL | re.MULTILINE)
_PAUSE_SECONDS = 5.0  # between tries: a policy that was just made takes a while to hold everywhere
_NEEDED_SECONDS = 15.0  # for a try; with less time left, none is begun


@dataclass(frozen=True)
class Provisioning:
    """Provisions one database; one instance serves a call."""

    settings: Settings
    clients: OciClients
    database: Database
    records: Records
    leases: LeaseTable
    documents: SmallDocuments
    policies: PolicyStore
    audit: Audit

    def run(
        self, deadline: float, admin_password_secret: str, sleep: Callable[[float], None] = time.sleep
    ) -> dict[str, Any]:
        """Make the schema user with the vault's newest password, then the collections with their indexes.

        What is there is left as it is. Tries again until `deadline` (monotonic seconds) if a service can't
        be reached or refuses, then raises DependencyDown.
        """
        while True:
            try:
                self._make_user(admin_password_secret)
                self._make_collections()
            except DependencyDown as error:
                if time.monotonic() + _PAUSE_SECONDS + _NEEDED_SECONDS > deadline:
                    raise
                log.warning("not prepared yet: %s", error)
                sleep(_PAUSE_SECONDS)
            else:
                return {"prepared": True}

    def _make_user(self, admin_password_secret: str) -> None:
        own = self.settings.database_password_secret_ocid
        self.database.run_as(
            _ADMIN,
            lambda: read_secret(self.clients, admin_password_secret),
            block(),
            lambda: {"username": self.settings.database_user, "password": read_secret(self.clients, own)},
        )
        self.database.close()  # its connections may have been made with another password

    def _make_collections(self) -> None:
        self.records.get("")
        self.leases.snapshot_and_fence()
        self.documents.all()
        self.policies.prepare()
        self.audit.prepare()


def block() -> str:
    """Return the script's PL/SQL block, without what is for SQLcl alone."""
    found = _BLOCK.search(_SCRIPT.read_text())
    assert found is not None  # noqa: S101 - a test reads it too
    return found[0]
