"""What a dead worker may have been sending counts an interrupted attempt, once."""

from pathlib import Path

from shared.delivery.policy_watch import PolicyWatch
from shared.delivery.rescue import rescue
from shared.drivers.database import Database
from shared.model import record
from shared.monitoring.call_stats import CallStats
from shared.settings import Settings
from shared.storage.records import Records

SETTINGS = Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment")


async def test_an_interrupted_attempt_is_counted_and_published(tmp_path: Path) -> None:
    records = Records(Database(f"sqlite:{tmp_path / 'records.db'}", "", str), "c")
    members = {"targetRestApi": "https://erp.example.com/", "targetRestApiOperation": "DELETE"}
    documents = [record.new(members) for _ in range(2)]
    records.insert(documents)
    first, second = (one["id"] for one in documents)
    dispatches = {first: 0, second: 7}  # of the second another has written since
    written = await rescue(records, SETTINGS, dispatches, PolicyWatch())
    stats = CallStats()
    for before, after in written:
        stats.record(before, after)
    assert (stats.newly_failed, stats.failed.total(), stats.seconds) == (1, 1, [])
    assert dict(stats.new) == {"unexpectedError at erp.example.com:443": 1}


async def test_a_second_worker_that_rescues_counts_nothing(tmp_path: Path) -> None:
    records = Records(Database(f"sqlite:{tmp_path / 'records.db'}", "", str), "c")
    document = record.new({"targetRestApi": "https://x.example", "targetRestApiOperation": "DELETE"})
    records.insert([document])
    assert len(await rescue(records, SETTINGS, {document["id"]: 0}, PolicyWatch())) == 1
    assert await rescue(records, SETTINGS, {document["id"]: 0}, PolicyWatch()) == []
