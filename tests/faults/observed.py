"""What a target received, held against what was stored: nothing lost, no order broken, few sent twice."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

KEYS = 10


@contextmanager
def running(home: Path, url: str, faults: dict[str, str], **settings: str) -> Iterator[Bundle]:
    """Run a bundle with faults in its process-data functions, delivering to `url`."""
    program = ("-m", "tests.faults.serve")
    environment = {"FAULTS": json.dumps(faults), "ALLOWED_TARGETS": url, "RETRY_LIMIT": "20"}
    environment |= bundles.SHORT_LEASE | settings
    with bundles.running(home, program=program, **environment) as bundle:
        yield bundle


def stored(bundle: Bundle, url: str, number: int, path: str = "/slow/20") -> list[str]:
    """Store records, every other one with one of ten keys; their ids."""
    records = [
        bundle.record(f"{url}{path}/{one}", streamKey=f"key-{one % (2 * KEYS)}" if one % 2 else "")
        for one in range(number)
    ]
    return [one["id"] for one in bundle.store(records)["records"]]


def received(url: str) -> list[dict[str, Any]]:
    """What the target received, in the order in which it began."""
    requests_: list[dict[str, Any]] = requests.get(f"{url}/_received", timeout=bundles.PATIENCE).json()[
        "requests"
    ]
    return sorted(requests_, key=lambda one: one["started"])


def assert_all_delivered(bundle: Bundle, url: str, ids: list[str]) -> int:
    """Every record is a success that the target saw, in its key's order; how many were accepted twice."""
    by_id = {one["id"]: one for one in bundle.documents()}
    assert by_id.keys() == set(ids)
    assert Counter(one["status"] for one in by_id.values()) == {"success": len(ids)}
    got = received(url)
    accepted = Counter(one["idempotencyKey"] for one in got if one["status"] == 200)
    assert accepted.keys() == set(ids)
    for start in range(1, 2 * KEYS, 2):
        keyed = ids[start :: 2 * KEYS]
        place = {identity: number for number, identity in enumerate(keyed)}
        order = [place[one["idempotencyKey"]] for one in got if one["idempotencyKey"] in place]
        # A record may be sent again after a crash; never one behind a record that was not delivered.
        assert all(later <= reached + 1 for reached, later in _steps(order)), order
    return accepted.total() - len(ids)


def _steps(order: list[int]) -> Iterator[tuple[int, int]]:
    """Each place, with the furthest that had been reached before it."""
    reached = -1
    for place in order:
        yield reached, place
        reached = max(reached, place)


def deliver_all(bundle: Bundle) -> None:
    """Call /process until nothing is left; calls whose process dies are repeated."""

    def nothing_is_left() -> bool:
        response = bundle.call("POST", "/process")
        assert response.status_code in (200, 502), response.text
        return response.status_code == 200 and bool(response.json()["endOfStream"])

    bundles.eventually(nothing_is_left, pause=0.5)
