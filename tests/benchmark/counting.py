"""Round trips to the database and calls to Vault per record, as the local ones count them."""

import tempfile
from pathlib import Path
from typing import Any

from local.emulators import soda
from local.emulators.identity import TOPIC_OCID
from tests.benchmark.delivering import store
from tests.benchmark.machine import SETTINGS, path, targets
from tests.end_to_end import bundle as bundles

RECORDS = 5000


def measure() -> dict[str, Any]:
    """Trips to store records and arrays, to deliver 5,000 in one call, and of calls that find nothing."""
    with tempfile.TemporaryDirectory() as folder, targets() as urls:
        home, log = Path(folder), Path(folder) / "trips"
        dsn = f"sqlite:{home / 'datasync.db'}?round_trips={log}"
        given = SETTINGS | {"ALLOWED_TARGETS": ",".join(urls), "DATABASE_DSN": dsn}

        def trips(work: Any) -> int:
            log.write_text("")
            work()
            return soda.round_trips(log).total()

        with bundles.running(home, **given) as bundle:
            record = [bundle.record(urls[0] + path(0), streamKey=key) for key in (None, "k")]
            keyed = [bundle.record(urls[0] + path(0), streamKey=f"k{one % 99}") for one in range(1000)]
            bundle.store(record[1:])
            bundle.process()
            counts: dict[str, Any] = {
                "store": trips(lambda: bundle.store(record[0])),
                "store_with_key": trips(lambda: bundle.store(record[1])),
                "store_array_with_keys": trips(lambda: bundle.store(keyed)),
                "store_array": trips(lambda: store(bundle, urls, path(0), 1000)),
            }
            bundle.process(noOfMessagesToProcess=10_000)
            store(bundle, urls, path(0), RECORDS)
            bundle.clear_oci()
            full = trips(lambda: bundle.process(noOfMessagesToProcess=10_000))
            counts |= {"records": RECORDS, "round_trips": full, "round_trips_per_record": full / RECORDS}
            counts["vault_calls"] = dict(bundle.oci_calls())
            counts["round_trips_of_an_idle_call"] = trips(bundle.process)
        telling = {"NOTIFICATION_TOPIC_OCID": TOPIC_OCID, "METRICS_NAMESPACE": "datasync"}
        with bundles.running(home, **given | telling) as bundle:
            bundle.process()
            counts["round_trips_of_an_idle_call_that_tells"] = trips(bundle.process)
    return counts
