"""The use cases, put together from the settings; made on the first call and kept by the process.

Where that fails the caller gets the error, and the next call tries again. A use case is imported where it is
made: each function loads its own, and no more.
"""

import functools
import os
from typing import TYPE_CHECKING

from shared import telemetry
from shared.collection import Records
from shared.database import Database
from shared.notes import Notes
from shared.notices import Notices
from shared.oci_clients import OciClients
from shared.settings import Settings
from shared.vault import TokenVault, read_secret

if TYPE_CHECKING:
    from shared.delivery import Delivery
    from shared.ingest import Ingest
    from shared.maintenance import Maintenance
    from shared.preparation import Preparation
    from shared.report import Report


class _Parts:
    """What all use cases are made of."""

    def __init__(self, settings: Settings):
        self.clients = OciClients(settings.oci_service_endpoint)
        password = functools.partial(read_secret, self.clients, settings.database_password_secret_ocid)
        self.settings = settings
        telemetry.set_level(settings.log_level)
        self.database = Database(settings.database_dsn, settings.database_user, password)
        self.notes = Notes(self.database, settings.collection)
        self.records = Records(self.database, settings.collection)
        self.notices = Notices(self.clients, self.notes, settings)
        self.vault = TokenVault(self.clients, settings, self.notes)


@functools.cache
def _parts() -> _Parts:
    """Return the parts, made from the function's configuration, which the platform gives as environment."""
    return _Parts(Settings.from_config(os.environ))


@functools.cache
def ingest() -> "Ingest":
    """Return the use case of store-data."""
    from shared.ingest import Ingest

    made = _parts()
    return Ingest(made.settings, made.records, made.vault, made.notices)


@functools.cache
def delivery() -> "Delivery":
    """Return the use case of process-data."""
    from shared.delivery import Delivery
    from shared.fan_out import FanOut
    from shared.leases import LeaseTable
    from shared.metrics import Metrics
    from shared.signing import SigningKeys
    from shared.telling import Telling

    made = _parts()
    return Delivery(
        made.settings,
        made.records,
        made.vault,
        LeaseTable(made.database, made.settings.collection, made.settings.lease),
        FanOut(made.clients, os.environ.get("FN_FN_ID", "")),
        Telling(made.records, Metrics(made.clients, made.settings), made.notices),
        SigningKeys(made.clients, made.settings),
    )


@functools.cache
def report() -> "Report":
    """Return the operators' view."""
    from shared.report import Report

    made = _parts()
    return Report(made.records, delivery().leases, made.notes, with_payloads=made.settings.show_payloads)


def maintenance() -> "Maintenance":
    """Return what the daily call does; its clock is that of the call."""
    from shared.archive import Archive
    from shared.maintenance import Maintenance

    made = _parts()
    archive = Archive(made.clients, made.settings.archive_bucket)
    parts = made.records, delivery().leases, made.notes, made.vault, archive, delivery().telling
    return Maintenance(made.settings, *parts)


def preparation() -> "Preparation":
    """Return what the call after a deployment does."""
    from shared.preparation import Preparation

    made = _parts()
    leases = delivery().leases
    return Preparation(made.settings, made.clients, made.database, made.records, leases, made.notes)
