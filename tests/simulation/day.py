"""A target is in maintenance for a day: what it is sent meanwhile, and what becomes of the records.

`python -m tests.simulation.day 10000` prints what it found as JSON.
"""

import asyncio
import json
import logging
import random
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.simulation import world

world.install()  # before the library is imported, whose defaults name the clock

from tests.simulation import faults, scenario  # noqa: E402
from tests.simulation.processes import Behaviour, Functions, Targets  # noqa: E402
from tests.simulation.world import Process, World  # noqa: E402

DAY = 24 * 3600.0
HOST = "t0.example.com"
_KEYS = 50
_AT_ONCE = 500


class _Functions(Functions):
    """Functions whose processes are all well."""

    number = 0

    def new_process(self, function: str) -> Process:
        self.number += 1
        return Process(f"{function} {self.number}")

    def settings(self) -> dict[str, str]:
        return {"ALLOWED_TARGETS": "*.example.com"}


async def play(loop: World, path: Path, number: int) -> dict[str, Any]:
    """Store so many records, call `/process` each minute of a day, end the maintenance, deliver all."""
    behaviour = Behaviour(0.05, {503: 1.0}, retry_after=60.0)
    targets = Targets(loop, {HOST: behaviour})
    functions = _Functions(loop, f"sqlite:{path}", targets, seconds=290.0)
    keys: dict[str, list[str]] = defaultdict(list)
    for first in range(0, number, _AT_ONCE):
        records = [_record(place) for place in range(first, min(first + _AT_ONCE, number))]
        answer = await functions.invoke("/store", json.dumps(records).encode(), f"array {first}")
        assert answer is not None
        for record, stored in zip(records, answer["records"], strict=True):
            keys[record["streamKey"]].append(stored["id"])
    while loop.now < DAY:
        await functions.invoke("/process", b"{}")
        await asyncio.sleep(60)
    during = len(targets.receptions)
    behaviour.codes = {200: 1.0}
    calls = 0
    while calls < 24 * 60 and len({one.id for one in targets.receptions if one.status == 200}) < number:
        await functions.invoke("/process", b"{}")
        await asyncio.sleep(60)
        calls += 1
    accepted = [one.id for one in targets.receptions if one.status == 200]
    order: dict[str, list[str]] = defaultdict(list)
    key_of = {identity: key for key, ids in keys.items() for identity in ids}
    for identity in accepted:
        order[key_of[identity]].append(identity)
    return {
        "requests in the day": during,
        "delivered": len(set(accepted)),
        "twice": len(accepted) - len(set(accepted)),
        "in order": order == keys,
        "minutes until all was delivered": calls,
    }


def _record(number: int) -> dict[str, Any]:
    return {
        "targetRestApi": f"https://{HOST}/orders",
        "targetRestApiOperation": "POST",
        "targetRestApiPayload": {"number": number},
        "streamKey": f"k{number % _KEYS}",
    }


def main(number: int) -> None:
    """Play it, and print what was found."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "datasync.db"
        shutil.copy(scenario.template(Path(folder)), path)
        loop = World(0)
        world.seed_everything(random.Random(0))
        logging.disable(logging.CRITICAL)
        faults.install(loop)
        print(json.dumps(loop.run(play(loop, path, number))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
