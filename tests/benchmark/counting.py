"""Round trips to the database and calls to Vault per record, counted where driver and SDK are called."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oracledb

from local import stack
from local.emulators import identity
from shared.delivery.fan_out import FanOut
from shared.delivery.leasing import Leasing
from shared.delivery.requests import process_request
from shared.delivery.service import DeliveryService
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.drivers.oci import OciClients
from shared.monitoring.metrics import Metrics
from shared.monitoring.notifications import Notifications
from shared.monitoring.publisher import Publisher
from shared.outbound.session import Outbound
from shared.outbound.signing import SigningKeys
from shared.settings import Settings
from shared.storage.leases import LeaseTable
from shared.storage.readings import Readings
from shared.storage.records import Records
from shared.storage.tokens import TokenVault
from shared.storage.vault import Vault
from tests.benchmark.machine import SETTINGS, path, targets
from tests.end_to_end import bundle as bundles

RECORDS = 5000
TOKEN = "Bearer benchmark"

# Methods of the driver that cost a round trip; a commit is one where something was changed.
_TRIPS = {
    oracledb.SodaOperation: ("getOne", "getDocuments", "count", "remove", "replaceOneAndGet"),
    oracledb.SodaCollection: ("insertOne", "insertOneAndGet", "insertMany"),
    oracledb.SodaDatabase: ("openCollection",),
}


def measure() -> dict[str, Any]:
    """Trips of one call that delivers 5,000 records, and of one that finds nothing."""
    with tempfile.TemporaryDirectory() as folder, targets() as urls:
        home = Path(folder)
        with bundles.running(home, ALLOWED_TARGETS=",".join(urls), **SETTINGS) as bundle:
            records = [
                bundle.record(urls[one % len(urls)] + path(0), vaultSecretName="bench")
                for one in range(RECORDS)
            ]
            for start in range(0, RECORDS, 1000):
                bundle.store(records[start : start + 1000], TOKEN)
            bundle.clear_oci()
            configuration = stack.configuration(home, bundle.oci_url, urls) | SETTINGS
            delivered, full = _counted(configuration, home, RECORDS)
            vault_calls = dict(bundle.oci_calls())
            idle_delivered, idle = _counted(configuration, home, RECORDS)
            telling = stack.configuration(home, bundle.oci_url, urls)
            _, idle_telling = _counted(SETTINGS | telling, home, RECORDS)
    assert (delivered, idle_delivered) == (RECORDS, 0), "not every record was delivered in the first call"
    return {
        "records": RECORDS,
        "round_trips": full.total(),
        "round_trips_per_record": full.total() / RECORDS,
        "round_trips_of_an_idle_call": idle.total(),
        "round_trips_of_an_idle_call_that_tells": idle_telling.total(),
        "by_method": dict(full),
        "vault_calls": vault_calls,
    }


def _counted(configuration: dict[str, str], home: Path, limit: int) -> tuple[int, Counter[str]]:
    settings = Settings.from_config(configuration)
    database = Database(settings.database_dsn, "", str)
    with _environment(identity.environment(home)):
        clients = OciClients(settings.oci_service_endpoint)
        vault = Vault(clients, settings)
        notes = SmallDocuments(database, settings.collection)
        records = Records(database, settings.collection)
        delivery = DeliveryService(
            settings,
            records,
            TokenVault(vault, Readings(vault)),
            Leasing(
                settings,
                records,
                LeaseTable(database, database, settings.collection, settings.lease),
                FanOut(clients, ""),
            ),
            Outbound(settings, SigningKeys(clients, settings)),
            Publisher(Metrics(clients, settings), Notifications(clients, notes, settings)),
        )
        body = b'{"noOfMessagesToProcess": %d}' % limit
        trips: Counter[str] = Counter()
        with _counting(trips):
            order = process_request(body, settings, time.monotonic() + 300)
            summary = asyncio.run(delivery.run(order))
    return summary.succeeded, trips


class _counting:  # noqa: N801 - used as a verb
    """Counts calls of the driver's methods."""

    def __init__(self, trips: Counter[str]):
        self._trips = trips
        self._originals: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> None:
        for owner, names in _TRIPS.items():
            for name in names:
                original = getattr(owner, name)
                self._originals.append((owner, name, original))
                setattr(owner, name, self._counted(name, original))
        original = oracledb.SodaOperation.getCursor
        self._originals.append((oracledb.SodaOperation, "getCursor", original))
        oracledb.SodaOperation.getCursor = self._cursor(original)  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        for owner, name, original in self._originals:
            setattr(owner, name, original)

    def _counted(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._trips[name] += 1
            return original(*arguments, **options)

        return call

    def _cursor(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A cursor costs a trip to open, and one for every `fetchArraySize` documents."""

        def call(operation: Any) -> Any:
            self._trips["getCursor"] += 1
            size = operation._fetch_array_size or 100

            def counted(cursor: Any) -> Any:
                for number, document in enumerate(cursor, 1):
                    if number % size == 0:
                        self._trips["fetch"] += 1
                    yield document

            class Cursor:
                def __init__(self, cursor: Any):
                    self.close = cursor.close
                    self._documents = counted(cursor)

                def __iter__(self) -> Any:
                    return self._documents

            return Cursor(original(operation))

        return call


class _environment:  # noqa: N801 - used as a verb
    """Sets environment variables for a while."""

    def __init__(self, variables: dict[str, str]):
        self._variables = variables

    def __enter__(self) -> None:
        import os

        os.environ.update(self._variables)

    def __exit__(self, *_: object) -> None:
        import os

        for name in self._variables:
            del os.environ[name]
