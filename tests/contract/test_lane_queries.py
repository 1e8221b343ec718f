"""What is read for a lane is what its policy is for: the queries and the policies choose the same records."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.delivery.fetcher import Fetcher, of_lane
from shared.drivers.database import Database
from shared.model import record
from shared.model.lanes import Lane, Policies
from shared.model.policy import Area, Policy
from shared.model.record import Document
from shared.settings import Settings
from shared.storage.queries import DUE, HELD, Query, of_host, waiting_of
from shared.storage.records import Records

ERP = "https://erp.example.com"
URLS = ("/", "/a", "/ab", "/b", "/b/c", "/b/c?x=1", "?x=1", "")
HOSTS = (ERP, "https://crm.example.com", "https://erp.example.com:8443")
OPERATIONS = ("POST", "PUT")
SETTINGS = Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    database = Database(f"sqlite:{tmp_path_factory.mktemp('lanes') / 'records.db'}", "", str)
    made = Records(database, "datasync_records")
    made.insert(
        [
            record.new({"targetRestApi": host + path, "targetRestApiOperation": operation})
            for host in HOSTS
            for path in URLS
            for operation in OPERATIONS
            if path.startswith("/")  # as URLs are stored: with a path
        ]
    )
    yield made
    database.close()


def drawn(seed: int) -> Policies:
    draw = random.Random(seed)
    prefixes = [host + path for host in HOSTS for path in URLS] + ["https://e", "https://"]
    areas = {Area(prefix, draw.choice((None, None, *OPERATIONS))) for prefix in draw.sample(prefixes, k=6)}
    return Policies(Policy(f"p{number}", area) for number, area in enumerate(areas))


def read(records: Records, query: Query) -> list[Document]:
    return [stored.document for stored in records.page(query, 1000)]


@pytest.mark.parametrize("seed", range(40))
def test_a_lane_is_read_and_passed_over_as_its_policy_says(records: Records, seed: int) -> None:
    policies, everything = drawn(seed), read(records, Query(DUE))
    assert len(everything) == 36
    lanes: set[Lane] = {policies.lane(one) for one in everything}
    for lane in lanes:
        wanted = [one["id"] for one in everything if policies.lane(one) == lane]
        assert lane in policies.lanes_at(lane.origin)
        assert sorted(one["id"] for one in read(records, of_lane(Query(DUE), lane))) == sorted(wanted)
        assert records.count(waiting_of(lane)) == len(wanted)
        assert records.count(of_host(lane)) == 0
        fetcher = Fetcher(Query(DUE), lambda *_: None, SETTINGS, policies)  # type: ignore[arg-type, return-value]
        others = read(records, fetcher.passing(Query(DUE), [], [lane.name]))
        assert {one["id"] for one in others} == {one["id"] for one in everything} - set(wanted)
        if lane.is_whole:
            continue
        within = replace(Query(DUE), target=lane.origin)
        rest = read(records, fetcher.passing(within, [], [lane.name]))
        assert {one["id"] for one in rest} == {
            one["id"] for one in everything if record.target(one) == lane.origin
        } - set(wanted)


def test_the_hosts_for_which_something_waits_are_found_one_after_the_other(records: Records) -> None:
    found = ["crm.example.com:443", "erp.example.com:443", "erp.example.com:8443"]
    assert records.hosts_waiting(3) == found
    assert records.hosts_waiting(2) == found[:2]
    assert records.count(Query(HELD)) == 0


def test_one_host_that_is_the_beginning_of_another_is_another() -> None:
    lane = Policies([Policy("erp", Area(ERP))]).lane(
        {"targetRestApi": "https://erp.example.com.evil.example/", "targetRestApiOperation": "POST"}
    )
    assert lane.origin == "erp.example.com.evil.example:443"
