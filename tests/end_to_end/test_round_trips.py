"""How often the functions go to the database and back, which may be a network away: counted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.emulators import soda
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import TOKEN, Bundle

RECORDS = 5000


@dataclass
class Counted:
    """A bundle whose functions have begun, and the round trips that they make."""

    bundle: Bundle
    log: Path

    def trips(self) -> Counter[str]:
        """Return those since this was last asked."""
        found = soda.round_trips(self.log)
        self.log.write_text("")
        return found


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    folder = tmp_path_factory.mktemp("trips")
    home, log = folder / "home", folder / "trips"
    with bundles.running(home, DATABASE_DSN=f"sqlite:{home / 'datasync.db'}?round_trips={log}") as bundle:
        for key in ({}, {"streamKey": "k"}):
            bundle.stored("/ok", TOKEN, vaultSecretName="erp", **key)
        bundle.process()
        found = Counted(bundle, log)
        found.trips()
        yield found


@pytest.mark.parametrize(("members", "most"), [({}, 1), ({"streamKey": "k"}, 2)], ids=["no key", "a key"])
def test_a_record_is_stored_in_one_round_trip_and_one_with_a_key_in_two(
    counted: Counted, members: dict[str, str], most: int
) -> None:
    counted.bundle.stored("/ok", TOKEN, vaultSecretName="erp", **members)
    assert counted.trips().total() <= most


@pytest.mark.parametrize(("keys", "most"), [(0, 1), (1, 2), (500, 2)])
def test_so_is_an_array_of_a_thousand(counted: Counted, keys: int, most: int) -> None:
    named = [{"streamKey": f"key {number % keys}"} if keys else {} for number in range(1000)]
    counted.bundle.store([counted.bundle.record("/ok", **members) for members in named])
    assert counted.trips().total() <= most


def test_a_delivered_record_costs_a_tenth_of_a_round_trip_and_an_idle_call_three(counted: Counted) -> None:
    bundle = counted.bundle
    bundle.process(noOfMessagesToProcess=10_000)
    for _ in range(5):
        bundle.store([bundle.record("/ok", vaultSecretName="erp") for _ in range(RECORDS // 5)], TOKEN)
    counted.trips()
    assert bundle.process(noOfMessagesToProcess=10_000)["processedmessages"] == RECORDS
    assert counted.trips().total() <= RECORDS * 0.1
    bundle.process()
    assert counted.trips().total() <= 3
