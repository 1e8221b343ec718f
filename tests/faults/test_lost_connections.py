"""Connections that targets close at random, or say too much on: no record is lost, dead or sent without need.

`SOAK=200000` has the client alone make so many requests.
"""

import asyncio
import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from shared.model.answer import HttpRequest
from shared.outbound.client import Client
from tests.contract.clients import SETTINGS, terms
from tests.faults.fickle import Fickle, Ledger, Surplus, Twice, serving
from tests.faults.trial import running

REQUESTS = int(os.environ.get("SOAK", "5000"))
IN_FLIGHT = 128
RECORDS = 2000


async def test_nothing_is_lost_and_nothing_that_was_read_is_sent_twice() -> None:
    ledger, ended = Ledger(), Counter[tuple[str, str]]()
    numbers = iter(range(REQUESTS))

    async def work(client: Client, url: str) -> None:
        for number in numbers:
            for attempt in range(100):
                path = f"/{number}/{attempt}"
                answer = await client.deliver(HttpRequest("POST", url + path, [], b"{}"), terms())
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


def test_records_are_accepted_once_and_sent_again_only_where_no_answer_was(tmp_path: Path) -> None:
    """Every tenth has one of ten keys, whose records go to one target after the other."""
    ledgers = {protocol: Ledger() for protocol in (Fickle, Surplus, Twice)}
    with ExitStack() as serving_all:
        for protocol, ledger in ledgers.items():
            serving_all.enter_context(serving(protocol, ledger))
        trial = serving_all.enter_context(
            running(tmp_path, *ledgers.values(), RETRY_LIMIT="40", TARGET_READ_TIMEOUT="20s", LEASE="40s")
        )
        for ledger in ledgers.values():
            trial.store(
                [
                    trial.bundle.record(
                        f"{ledger.url}/x", streamKey="" if number % 10 else f"k{number % 100}"
                    )
                    for number in range(RECORDS)
                ]
            )
        trial.deliver_all(200, noOfMessagesToProcess=10_000)
        assert trial.assert_all_delivered(retry_limit=40) == 0
    for ledger in ledgers.values():
        assert len(ledger.accepted) == ledger.accepted.total() == RECORDS
    assert min(ledgers[Fickle].closed.values()) > 0
