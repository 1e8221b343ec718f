"""Plays seeds, each in a process of its own, and tells which broke a promise: see the package."""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.simulation import world

world.install()  # before the library is imported, whose defaults name the clock

from tests.simulation import scenario  # noqa: E402


def main() -> int:
    """Play, print, and fail if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=2000, help="how many seeds to play (2000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="play this one alone, and print its trace")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets are iterated in the same order each time
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606 - itself
    with tempfile.TemporaryDirectory() as folder:
        empty = scenario.template(Path(folder))
        if given.seed is not None:
            verdict = scenario.run(given.seed, empty, is_traced=True)
            print(*verdict.trace, *verdict.broken, sep="\n", flush=True)
            os._exit(bool(verdict.broken))  # what was killed is not cleaned up
        started, failed, played = time.monotonic(), 0, 0
        for verdict in _all(range(given.first, given.first + given.seeds), empty, given.jobs):
            played += 1
            if verdict["broken"]:
                failed += 1
                print(f"seed {verdict['seed']}: {'; '.join(verdict['broken'][:3])}", flush=True)
        seconds = time.monotonic() - started
    print(f"{played} seeds in {seconds:.0f} s: {failed} broke a promise")
    if failed:
        print("Play one again with: python -m tests.simulation --seed N")
    return bool(failed)


def _all(seeds: Iterable[int], empty: Path, jobs: int) -> Iterator[dict[str, object]]:
    """Play seeds in forked processes, some at once."""
    pending: dict[int, tuple[int, int]] = {}
    for seed in seeds:
        if len(pending) >= jobs:
            yield _ended(pending)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            verdict = scenario.run(seed, empty)
            found = {"seed": seed, "broken": [one[:2000] for one in verdict.broken[:5]]}
            os.write(writing, json.dumps(found).encode())
            os._exit(0)
        os.close(writing)
        pending[child] = seed, reading
    while pending:
        yield _ended(pending)


def _ended(pending: dict[int, tuple[int, int]]) -> dict[str, object]:
    child, status = os.wait()
    seed, reading = pending.pop(child)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    if not text:
        return {"seed": seed, "broken": [f"its process ended with {status}"]}
    found: dict[str, object] = json.loads(text)
    return found


if __name__ == "__main__":
    sys.exit(main())
