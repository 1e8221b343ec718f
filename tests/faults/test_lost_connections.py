"""Connections that targets close at random, or say too much on: no record is lost, dead or sent without need.

`SOAK=200000` has the client alone make so many requests.
"""

import asyncio
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from shared.model.answer import HttpRequest
from shared.outbound.client import Client
from tests.contract.clients import SETTINGS
from tests.end_to_end import bundle as bundles
from tests.faults.fickle import Fickle, Ledger, Surplus, Twice, serving

REQUESTS = int(os.environ.get("SOAK", "5000"))
IN_FLIGHT = 128
RECORDS = 2000


def deliver_all(bundle: bundles.Bundle) -> None:
    """Call until nothing is left to send."""
    while not bundle.process()["endOfStream"]:
        pass


async def test_nothing_is_lost_and_nothing_that_was_read_is_sent_twice() -> None:
    ledger, ended = Ledger(), Counter[tuple[str, str]]()
    numbers = iter(range(REQUESTS))

    async def work(client: Client, url: str) -> None:
        for number in numbers:
            for attempt in range(100):
                path = f"/{number}/{attempt}"
                answer = await client.deliver(HttpRequest("POST", url + path, [], b"{}"), 60.0)
                ended[answer.sent, answer.reason] += 1
                times = ledger.read[path]
                assert times == {"yes": 1, "no": 0}.get(answer.sent, times), (path, answer, times)
                if answer.accepted:
                    break
            else:
                raise AssertionError(f"{number} was never answered")

    with serving(Fickle, ledger) as url:
        async with Client(replace(SETTINGS, concurrency=IN_FLIGHT)) as client:
            await asyncio.gather(*(work(client, url) for _ in range(IN_FLIGHT)))
            assert len(client._connections._open) <= IN_FLIGHT
    assert ended["yes", ""] == REQUESTS
    assert max(ledger.read.values()) == 1
    assert set(ended) <= {
        ("yes", ""),
        ("unknown", "the connection to the target was lost before an answer came"),
        ("no", "the target closed the connection before the request was sent"),
        ("no", "the target could not be reached"),
    }
    assert min(ledger.closed.values()) > REQUESTS / 10_000
    print(dict(ended), dict(ledger.closed))


@pytest.mark.parametrize("target", [Fickle, Surplus, Twice])
def test_records_are_accepted_as_often_as_they_failed_at_most_and_once_more(
    tmp_path: Path, target: type[Fickle] | type[Surplus] | type[Twice]
) -> None:
    ledger = Ledger()
    with (
        serving(target, ledger) as url,
        bundles.running(
            tmp_path, ALLOWED_TARGETS=url, RETRY_LIMIT="20", TARGET_READ_TIMEOUT="20s", LEASE="40s"
        ) as bundle,
    ):
        records = [bundle.record(f"{url}/x") for _ in range(RECORDS)]
        ids = [
            one["id"]
            for start in range(0, RECORDS, 500)
            for one in bundle.store(records[start : start + 500])["records"]
        ]
        deliver_all(bundle)
        while bundle.retry(dryRun=True)["matchingMessages"]:
            deliver_all(bundle)
        documents = {one["id"]: one for one in bundle.documents()}
    assert Counter(one["status"] for one in documents.values()) == {"success": RECORDS}
    assert documents.keys() == set(ids) == ledger.accepted.keys()
    attempts = {identity: 1 + documents[identity].get("retry_attempts", 0) for identity in ids}
    assert all(ledger.accepted[identity] <= attempts[identity] for identity in ids)
    if target is not Fickle:
        assert set(ledger.accepted.values()) == {1}
    print(Counter(attempts.values()), Counter(ledger.accepted.values()))
