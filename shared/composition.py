"""The use cases, put together from the settings; made on the first call and kept by the process.

Where that fails the caller gets the error, and the next call tries again.
"""

import functools
import os

from shared import telemetry
from shared.collection import Records
from shared.database import Database
from shared.notes import Notes
from shared.oci_clients import OciClients
from shared.settings import Settings
from shared.vault import TokenVault, read_secret


class Parts:
    """What both functions are made of."""

    def __init__(self, settings: Settings):
        self.clients = OciClients(settings.oci_service_endpoint)
        password = functools.partial(read_secret, self.clients, settings.database_password_secret_ocid)
        self.settings = settings
        telemetry.set_level(settings.log_level)
        self.database = Database(settings.database_dsn, settings.database_user, password)
        self.notes = Notes(self.database, settings.collection)
        self.records = Records(self.database, settings.collection)
        self.vault = TokenVault(self.clients, settings)


@functools.cache
def parts() -> Parts:
    """Return the parts, made from the function's configuration, which the platform gives as environment."""
    return Parts(Settings.from_config(os.environ))
