"""Targets that are slow, full or down: each holds up its own records, and nobody else's."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle


def sent_to(url: str) -> list[dict[str, Any]]:
    """What a target received."""
    requests_: list[dict[str, Any]] = requests.get(f"{url}/_received", timeout=bundles.PATIENCE).json()[
        "requests"
    ]
    return requests_


@pytest.mark.parametrize(("keyed", "most"), [(False, 200), (True, 200), (False, 40)])
def test_a_slow_target_s_backlog_does_not_hold_up_another_target(home: Path, keyed: bool, most: int) -> None:
    """Of 3,000 records in front only a part is sent before the last of the other's ten."""
    with (
        bundles.target() as slow,
        bundles.target() as quick,
        bundles.running(
            home, ALLOWED_TARGETS=f"{slow},{quick}", CONCURRENCY="64", CONCURRENCY_PER_TARGET="8"
        ) as bundle,
    ):
        for start in range(0, 3000, 1000):
            bundle.store(
                [
                    bundle.record(f"{slow}/slow/200/{number}", streamKey=f"slow-{number}" if keyed else "")
                    for number in range(start, start + 1000)
                ]
            )
        bundle.store([bundle.record(f"{quick}/ok", streamKey="quick" if keyed else "") for _ in range(10)])
        bundle.process(noOfMessagesToProcess=most)
        assert bundles.count(quick) == 10
        last = max(one["started"] for one in sent_to(quick))
        assert sum(one["started"] < last for one in sent_to(slow)) < 0.7 * most


def test_records_with_keys_for_one_target_go_in_one_call(bundle: Bundle) -> None:
    records = [bundle.record(f"/ok/{number}", streamKey=f"k-{number % 7}") for number in range(500)]
    ids = [one["id"] for one in bundle.store(records)["records"]]
    answer = bundle.process()
    assert (answer["processedmessages"], answer["skippedMessages"], answer["endOfStream"]) == (500, 0, True)
    order = [one["header"]["idempotency-key"] for one in bundle.received()]
    for key in range(7):
        assert [one for one in order if one in set(ids[key::7])] == ids[key::7]


def test_order_of_a_key_holds_across_targets_of_different_speed(home: Path) -> None:
    """Every key's records go to the slow target and to the quick one in turn, and its order holds."""
    with (
        bundles.target() as slow,
        bundles.target() as quick,
        bundles.running(
            home, ALLOWED_TARGETS=f"{slow},{quick}", CONCURRENCY="32", CONCURRENCY_PER_TARGET="4"
        ) as bundle,
    ):
        bundle.store([bundle.record(f"{slow}/slow/20/x") for _ in range(300)])
        ids: dict[int, list[str]] = {}
        for number in range(200):
            where = f"{slow}/slow/20/k" if number // 20 % 2 == 0 else f"{quick}/ok/k"
            ids.setdefault(number % 20, []).append(bundle.stored(where, streamKey=f"k-{number % 20}"))
        for _ in range(30):
            if bundle.process()["endOfStream"]:
                break
        received = [one for url in (slow, quick) for one in sent_to(url)]
        order = [one["idempotencyKey"] for one in sorted(received, key=lambda one: one["started"])]
        assert Counter(order).most_common(1)[0][1] == 1
        for keyed in ids.values():
            assert [one for one in order if one in set(keyed)] == keyed


def test_a_target_that_is_down_gets_one_probe_per_call_until_it_is_back(home: Path) -> None:
    port = bundles.own_port()
    where = f"http://127.0.0.1:{port}"
    with bundles.running(home, ALLOWED_TARGETS=where, RETRY_LIMIT="8", RETRY_BACKOFF="0s..0s") as bundle:
        ids = [
            one["id"] for one in bundle.store([bundle.record(f"{where}/ok") for _ in range(300)])["records"]
        ]
        first = bundle.process()
        assert 5 <= first["failedMessages"] <= 64
        assert first["skippedMessages"] > 0
        assert first["endOfStream"] is True  # calling again at once would find nothing to send
        for _ in range(3):
            answer = bundle.process()
            assert (answer["failedMessages"], answer["processedmessages"]) == (1, 0)
        # Put off is not failed: most records have had no attempt.
        assert sum("status_code" not in bundle.state(one) for one in ids) > 200
        with bundles.target("--port", str(port)) as url:
            assert url == where
            assert bundle.process()["processedmessages"] == 300
        assert all(bundle.state(one)["status"] == "success" for one in ids)


def test_targets_that_accept_and_hang_do_not_hold_up_one_that_answers(home: Path) -> None:
    """All of its records arrive before the first request of the others is given up."""
    with ExitStack() as opened:
        hanging = [opened.enter_context(bundles.target()) for _ in range(4)]
        quick = opened.enter_context(bundles.target())
        allowed = ",".join((*hanging, quick))
        with bundles.running(home, ALLOWED_TARGETS=allowed, CONCURRENCY_PER_TARGET="32") as bundle:
            for url in hanging:
                bundle.store([bundle.record(f"{url}/hang") for _ in range(100)])
            bundle.store([bundle.record(f"{quick}/ok") for _ in range(200)])
            bundle.process(noOfMessagesToProcess=1000)
        given_up = min(one["finished"] for url in hanging for one in sent_to(url))
        arrived = [one["started"] for one in sent_to(quick)]
        assert len(arrived) == 200
        assert max(arrived) < given_up


def test_a_long_backlog_of_one_key_does_not_hold_up_other_records_for_its_target(bundle: Bundle) -> None:
    """They are sent meanwhile, and not behind it."""
    for _ in range(2):
        bundle.store([bundle.record("/slow/20/keyed", streamKey="one") for _ in range(150)])
    bundle.store([bundle.record("/slow/20/other") for _ in range(100)])
    answer = bundle.process(noOfMessagesToProcess=1000)
    assert (answer["processedmessages"], answer["endOfStream"]) == (400, True)
    paths = [one["path"] for one in sorted(bundle.received(), key=lambda one: one["started"])]
    last = max(place for place, path in enumerate(paths) if path.endswith("other"))
    assert paths[:last].count("/slow/20/keyed") < 50
