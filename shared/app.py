"""The use cases, put together from the settings; made on the first call and kept by the process.

Where that fails the caller gets the error, and the next call tries again. A use case is imported where it is
made: each function loads its own, and no more.
"""

import functools
import gc
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.drivers import logs
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import OciClients, read_secret
from shared.model.errors import DataSyncError
from shared.monitoring.notifications import Notifications
from shared.settings import Settings
from shared.storage.audit import Audit
from shared.storage.listing import Listing
from shared.storage.policies import PolicyStore
from shared.storage.readings import Readings
from shared.storage.records import Records
from shared.storage.tokens import TokenVault
from shared.storage.vault import Vault

if TYPE_CHECKING:
    from shared.delivery.service import DeliveryService
    from shared.drivers.responses import Response
    from shared.ingest.acts import Acts
    from shared.ingest.lookup import Lookup
    from shared.ingest.service import IngestService
    from shared.operations.maintenance import Maintenance, Step
    from shared.operations.provisioning import Provisioning
    from shared.operations.report import Report
    from shared.operations.targets import Targets
    from shared.operations.tasks import Task
    from shared.storage.leases import LeaseTable

_ALLOCATIONS_PER_COLLECTION = 20_000  # CPython's own 700 suit programs that allocate less per request


class _Parts:
    """What all use cases are made of."""

    def __init__(self, settings: Settings):
        self.clients = OciClients(settings.oci_service_endpoint)
        self.settings = settings
        logs.set_level(settings.log_level)
        self.database = self.open_database()
        self.documents = SmallDocuments(self.database, settings.collection)
        self.records = Records(self.database, settings.collection, settings.body_limit)
        self.listing = Listing(self.database, settings.collection, settings.body_limit)
        self.policies = PolicyStore(self.database, settings.collection)
        self.audit = Audit(self.database, settings.collection)
        self.notifications = Notifications(self.clients, self.documents, settings)
        self.vault = Vault(self.clients, settings)
        self.tokens = TokenVault(self.vault, Readings(self.vault), settings.connector_hub_secrets)
        # What is loaded stays: looked through at every collection, it took 4 % of a delivery's CPU time.
        gc.freeze()
        gc.set_threshold(_ALLOCATIONS_PER_COLLECTION)

    def open_database(self, connections: int = 4) -> Database:
        """Return the database, with at most so many connections, which are made on first use."""
        settings = self.settings
        password = functools.partial(read_secret, self.clients, settings.database_password_secret_ocid)
        return Database(settings.database_dsn, settings.database_user, password, connections)


@functools.cache
def _parts() -> _Parts:
    """Return the parts, made from the function's configuration, which the platform gives as environment."""
    return _Parts(Settings.from_config(os.environ))


@functools.cache
def ingest() -> "IngestService":
    """Return the use case of store-data."""
    from shared.ingest.service import IngestService

    parts = _parts()
    return IngestService(parts.settings, parts.records, parts.tokens, parts.notifications)


@functools.cache
def delivery() -> "DeliveryService":
    """Return the use case of process-data."""
    from shared.delivery.fan_out import FanOut
    from shared.delivery.leasing import Leasing
    from shared.delivery.service import DeliveryService
    from shared.monitoring.metrics import Metrics
    from shared.monitoring.publisher import Publisher
    from shared.outbound.session import Outbound
    from shared.outbound.signing import SigningKeys
    from shared.storage.rates import RateBook

    parts = _parts()
    fan_out = FanOut(parts.clients, os.environ.get("FN_FN_ID", ""))
    return DeliveryService(
        parts.settings,
        parts.records,
        parts.tokens,
        Leasing(parts.settings, parts.records, _leases(), fan_out),
        Outbound(parts.settings, SigningKeys(parts.clients, parts.settings)),
        Publisher(Metrics(parts.clients, parts.settings), parts.notifications),
        parts.policies,
        RateBook(parts.documents, parts.records.now),
    )


@functools.cache
def lookup() -> "Lookup":
    """Return what shows callers their records."""
    from shared.ingest.lookup import Lookup

    return Lookup(_parts().records, _parts().listing)


@functools.cache
def acts() -> "Acts":
    """Return what callers do to stored records."""
    from shared.ingest.acts import Acts

    parts = _parts()
    return Acts(parts.settings, lookup(), parts.records, parts.audit)


def audit() -> Audit:
    """Return who did what."""
    return _parts().audit


def note(act: str, by: str, said: Mapping[str, Any], counts: Mapping[str, int] | None = None) -> None:
    """Note in the history what an operator did."""
    parts = _parts()
    parts.audit.add(act, by, parts.records.now(), said, counts or {})


@functools.cache
def _leases() -> "LeaseTable":
    """Return the leases of process-data, whose renewals have a connection of their own."""
    from shared.storage.leases import LeaseTable

    parts = _parts()
    settings = parts.settings
    return LeaseTable(parts.database, parts.open_database(1), settings.collection, settings.lease)


@functools.cache
def report() -> "Report":
    """Return the operators' view."""
    from shared.operations.report import Report

    parts = _parts()
    return Report(
        *(parts.records, parts.listing, _leases(), parts.documents, parts.policies),
        with_payloads=parts.settings.show_payloads,
    )


@functools.cache
def targets() -> "Targets":
    """Return what operators say of targets, and see of them."""
    from shared.operations.targets import Targets

    parts = _parts()
    return Targets(parts.records, _leases(), parts.documents, parts.policies)


def maintenance() -> "Maintenance":
    """Return what the daily call does; its clock is that of the call."""
    from shared.operations.archiver import Archiver, Bucket
    from shared.operations.expirer import Expirer
    from shared.operations.lease import MaintenanceLease
    from shared.operations.maintenance import Maintenance
    from shared.operations.pruner import Pruner

    parts, settings = _parts(), _parts().settings
    steps: list[Step] = []
    if settings.expire_after:
        steps.append(Expirer(settings, parts.records, _leases(), delivery().publisher))
    if settings.archive_bucket:
        bucket = Bucket(parts.clients, settings.archive_bucket)
        steps.append(Archiver(settings, parts.records, _leases(), bucket))
    if settings.secrets_unused_after:
        steps.append(Pruner(settings, parts.records, parts.vault))
    return Maintenance(MaintenanceLease(parts.documents, settings.lease), steps, parts.database.now)


def provisioning() -> "Provisioning":
    """Return what the call after a deployment does."""
    from shared.operations.provisioning import Provisioning

    parts = _parts()
    leases = _leases()
    return Provisioning(
        *(parts.settings, parts.clients, parts.database, parts.records, leases, parts.documents),
        *(parts.policies, parts.audit),
    )


def run_task(task: "Task", deadline: float) -> "Response":
    """Do what a direct invocation asks for beside deliveries, until `deadline` (monotonic seconds).

    What keeps the database from being prepared is answered, not raised: a 502 would lose the words, which
    Terraform shows.
    """
    from shared.drivers import responses
    from shared.operations.tasks import PREPARE

    if task.name != PREPARE:
        return responses.ok(maintenance().run(deadline, dry_run=task.dry_run))
    try:
        return responses.ok(provisioning().run(deadline, task.admin_password_secret))
    except DataSyncError as error:
        return responses.problem(error)
