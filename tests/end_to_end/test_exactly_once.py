"""However many invocations run at once, the target gets each record once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.end_to_end import bundle as bundles

RECORDS, PROCESSES = 2000, 4


@pytest.mark.parametrize("fan_out", ["1", "4"])
def test_2000_records_and_four_processes_at_once(home: Path, fan_out: str) -> None:
    """Every fifth record fails once; every tenth has one of ten keys, in whose order it is delivered."""
    with bundles.target() as url, bundles.running(home, ALLOWED_TARGETS=url, FAN_OUT=fan_out) as bundle:
        ids: list[str] = []
        for start in range(0, RECORDS, 500):
            records = [
                bundle.record(
                    f"{url}/flaky/1/{number}" if number % 5 == 0 else f"{url}/slow/10/{number}",
                    streamKey=f"key-{number % 100}" if number % 10 == 1 else "",
                )
                for number in range(start, start + 500)
            ]
            ids += [one["id"] for one in bundle.store(records)["records"]]

        def call_until_nothing_is_left() -> int:
            delivered = 0
            for _ in range(200):
                answer = bundle.process(noOfMessagesToProcess=300)
                delivered += answer["processedmessages"]
                if answer["endOfStream"]:
                    return delivered
            raise AssertionError("it did not end")

        with ThreadPoolExecutor(PROCESSES) as pool:
            calls = [pool.submit(call_until_nothing_is_left) for _ in range(PROCESSES)]
            delivered = sum(call.result() for call in calls)
        # With a fan-out, invocations that nobody waits for have delivered some.
        assert delivered == RECORDS if fan_out == "1" else delivered < RECORDS
        assert len(bundle.pids("process-data")) == PROCESSES
        received = requests.get(f"{url}/_received", timeout=bundles.PATIENCE).json()["requests"]
        assert requests.get(f"{url}/_duplicates", timeout=bundles.PATIENCE).json()["keys"] == {}
        accepted = Counter(one["idempotencyKey"] for one in received if one["status"] == 200)
        assert accepted == Counter(ids)
        by_key: dict[int, list[str]] = {}
        for number, identity in enumerate(ids):
            if number % 10 == 1:
                by_key.setdefault(number % 100, []).append(identity)
        order = [one["idempotencyKey"] for one in received]
        for keyed in by_key.values():
            assert [one for one in order if one in set(keyed)] == keyed
        assert {one["status"] for one in bundle.documents()} == {"success"}


def test_one_call_on_a_backlog_is_shared_by_as_many_invocations_as_the_setting_says(home: Path) -> None:
    """The call answers when its own share is done; the others go on until theirs is, and start none."""
    with bundles.running(home, FAN_OUT="4", CONCURRENCY="16") as bundle:
        records = [bundle.record(f"/slow/30/{number}") for number in range(1000)]
        ids = [one["id"] for one in bundle.store(records)["records"]]
        bundle.process(noOfMessagesToProcess=1000)
        bundles.eventually(lambda: {one["status"] for one in bundle.documents()} == {"success"})
        assert len(bundle.pids("process-data")) == 4
        assert bundle.oci_calls()["functions.invoke_function"] == 3
        assert Counter(one["header"]["idempotency-key"] for one in bundle.received()) == Counter(ids)
        bundles.eventually(lambda: not bundle.documents("datasync_records_leases")[0]["owners"])


def test_a_small_backlog_is_not_shared(home: Path) -> None:
    with bundles.running(home, FAN_OUT="4") as bundle:
        bundle.store([bundle.record() for _ in range(100)])
        assert bundle.process() | {"lastReadOffset": ""} == {
            "lastReadOffset": "",
            "processedmessages": 100,
            "failedMessages": 0,
            "skippedMessages": 0,
            "endOfStream": True,
        }
        assert "functions.invoke_function" not in bundle.oci_calls()


def test_a_call_starts_others_once_and_does_their_share_where_they_did_not_come(home: Path) -> None:
    with bundles.running(home, FAN_OUT="4") as bundle:
        bundle.fault("functions.invoke_function", status=404)
        bundle.store([bundle.record() for _ in range(1000)])
        assert bundle.process(noOfMessagesToProcess=1000)["processedmessages"] == 1000
        assert bundle.oci_calls()["functions.invoke_function"] == 1
