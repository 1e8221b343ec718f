"""A walk through failed records visits each once, in the order of ids, whoever owns which partition."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle, eventually

DEAD = 400


@contextmanager
def target_and_bundle(folder: Path) -> Iterator[tuple[str, Bundle]]:
    """A bundle that fans out, and a target of the test's own."""
    with (
        bundles.target() as url,
        bundles.running(folder / "home", ALLOWED_TARGETS=url, FAN_OUT="4") as bundle,
    ):
        yield url, bundle


def dead(bundle: Bundle, url: str, number: int = DEAD) -> list[str]:
    """Records that their target has refused for good."""
    stored = bundle.store([bundle.record(f"{url}/status/404/{one}") for one in range(number)])["records"]
    eventually(lambda: bundle.process()["endOfStream"])
    assert bundle.call("GET", "/process").json()["counts"]["dead"] == number
    return [one["id"] for one in stored]


def walk(bundle: Bundle, **members: Any) -> list[dict[str, Any]]:
    """The answers of a walk to its end; a call that finds the next record leased is repeated."""
    answers: list[dict[str, Any]] = []
    offset = "-1"
    while not answers or not answers[-1]["endOfStream"]:
        answers.append(bundle.retry(readAfterOffset=offset, **members))
        assert answers[-1]["lastReadOffset"] >= offset
        offset = answers[-1]["lastReadOffset"]
    return answers


def test_with_a_fan_out_too_a_walk_visits_all_and_starts_no_other_invocation(tmp_path: Path) -> None:
    with target_and_bundle(tmp_path) as (url, bundle):
        stored = dead(bundle, url)
        assert bundle.retry(retryCodes="404", dryRun=True) == {"matchingMessages": DEAD}
        bundle.clear_oci()
        (answer,) = walk(bundle, retryCodes="404", noOfMessagesToProcess=DEAD + 1)
        assert (answer["failedMessages"], answer["lastReadOffset"]) == (DEAD, max(stored))
        assert not any("invoke" in name for name in bundle.oci_calls())
        seen = received(url)
        assert sorted(seen) == sorted(stored * 2)


def test_a_walk_passes_nothing_over_that_another_worker_owns_for_a_while(tmp_path: Path) -> None:
    with target_and_bundle(tmp_path) as (url, bundle):
        stored = dead(bundle, url)
        others = bundle.store([bundle.record(f"{url}/slow/300") for _ in range(600)])["records"]
        with ThreadPoolExecutor(1) as caller:
            delivering = caller.submit(bundle.invoke, fannedOut=True, noOfMessagesToProcess=600)
            eventually(lambda: set(received(url)) - set(stored))  # what is sent is leased
            answers = walk(bundle, retryCodes="404", noOfMessagesToProcess=DEAD + 1)
            delivering.result()
        assert sum(one["failedMessages"] for one in answers) == DEAD
        eventually(lambda: bundle.process()["endOfStream"])
        seen = received(url)
        assert sorted(one for one in seen if one in set(stored)) == sorted(stored * 2)
        assert sorted(set(seen) - set(stored)) == sorted(one["id"] for one in others)


def received(url: str) -> list[str]:
    """Idempotency keys of what a target of the test's own received."""
    answer = requests.get(f"{url}/_received", timeout=bundles.PATIENCE).json()
    assert not answer["forgotten"]
    return [one["idempotencyKey"] for one in answer["requests"]]
