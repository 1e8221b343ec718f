"""The use cases, put together from the settings; made on the first call and kept by the process.

Where that fails the caller gets the error, and the next call tries again. A use case is imported where it is
made: each function loads its own, and no more.
"""

import functools
import os
from typing import TYPE_CHECKING

from shared.drivers import logs
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import OciClients, read_secret
from shared.monitoring.notifications import Notifications
from shared.settings import Settings
from shared.storage.records import Records
from shared.storage.tokens import TokenVault
from shared.storage.vault import Vault

if TYPE_CHECKING:
    from shared.delivery.service import DeliveryService
    from shared.ingest.service import IngestService
    from shared.operations.maintenance import Maintenance, Step
    from shared.operations.provisioning import Provisioning
    from shared.operations.report import Report


class _Parts:
    """What all use cases are made of."""

    def __init__(self, settings: Settings):
        self.clients = OciClients(settings.oci_service_endpoint)
        password = functools.partial(read_secret, self.clients, settings.database_password_secret_ocid)
        self.settings = settings
        logs.set_level(settings.log_level)
        self.database = Database(settings.database_dsn, settings.database_user, password)
        self.notes = SmallDocuments(self.database, settings.collection)
        self.records = Records(self.database, settings.collection)
        self.notices = Notifications(self.clients, self.notes, settings)
        self.secrets = Vault(self.clients, settings)
        self.vault = TokenVault(self.secrets)


@functools.cache
def _parts() -> _Parts:
    """Return the parts, made from the function's configuration, which the platform gives as environment."""
    return _Parts(Settings.from_config(os.environ))


@functools.cache
def ingest() -> "IngestService":
    """Return the use case of store-data."""
    from shared.ingest.service import IngestService

    made = _parts()
    return IngestService(made.settings, made.records, made.vault, made.notices)


@functools.cache
def delivery() -> "DeliveryService":
    """Return the use case of process-data."""
    from shared.delivery.fan_out import FanOut
    from shared.delivery.service import DeliveryService
    from shared.monitoring.metrics import Metrics
    from shared.monitoring.publisher import Publisher
    from shared.outbound.signing import SigningKeys
    from shared.storage.leases import LeaseTable

    made = _parts()
    return DeliveryService(
        made.settings,
        made.records,
        made.vault,
        LeaseTable(made.database, made.settings.collection, made.settings.lease),
        FanOut(made.clients, os.environ.get("FN_FN_ID", "")),
        Publisher(Metrics(made.clients, made.settings), made.notices),
        SigningKeys(made.clients, made.settings),
    )


@functools.cache
def report() -> "Report":
    """Return the operators' view."""
    from shared.operations.report import Report

    made = _parts()
    return Report(made.records, delivery().leases, made.notes, with_payloads=made.settings.show_payloads)


def maintenance() -> "Maintenance":
    """Return what the daily call does; its clock is that of the call."""
    from shared.operations.archiver import Archiver, Bucket
    from shared.operations.expirer import Expirer
    from shared.operations.lease import MaintenanceLease
    from shared.operations.maintenance import Maintenance
    from shared.operations.pruner import Pruner

    made, settings, leases = _parts(), _parts().settings, delivery().leases
    steps: list[Step] = []
    if settings.expire_after:
        steps.append(Expirer(settings, made.records, leases, delivery().publisher))
    if settings.archive_bucket:
        bucket = Bucket(made.clients, settings.archive_bucket)
        steps.append(Archiver(settings, made.records, leases, bucket))
    if settings.secrets_unused_after:
        steps.append(Pruner(settings, made.records, made.secrets))
    return Maintenance(MaintenanceLease(made.notes, settings.lease), steps)


def preparation() -> "Provisioning":
    """Return what the call after a deployment does."""
    from shared.operations.provisioning import Provisioning

    made = _parts()
    leases = delivery().leases
    return Provisioning(made.settings, made.clients, made.database, made.records, leases, made.notes)
