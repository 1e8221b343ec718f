"""Make up requests and input for a while: `python -m tests.fuzz [MINUTES]`, a quarter of them requests.

Each round has a seed of its own, which is printed; exit code 1 ends with the first that found something.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import ROOT, Bundle
from tests.fuzz import described

_MINUTES = 4.0
_EXAMPLES = 400  # of each operation, in each phase, in a round of requests
_LEAKS = ("Traceback", "a defect", described.SOURCE, described.OPERATOR)


def main() -> int:
    """Do rounds until the time is over, or one fails."""
    seconds = 60 * float(sys.argv[1] if len(sys.argv) > 1 else _MINUTES)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        bundles.running(Path(folder), **described.SETTINGS) as bundle,
    ):
        well = _rounds("requests", started + seconds / 4, lambda seed: _requests(bundle, Path(folder), seed))
        records = len(bundle.documents())
    print(f"{records} records were stored", flush=True)
    return 0 if well and _rounds("input", started + seconds, _input) else 1


def _rounds(what: str, end: float, fuzz: Callable[[int], str]) -> bool:
    """Fuzz with another seed until the time is over; what `fuzz` returns says what it found."""
    while time.monotonic() < end:
        seed = random.getrandbits(32)
        print(f"{what}, seed {seed}", flush=True)
        found = fuzz(seed)
        if found:
            print(found)
            return False
    return True


def _requests(bundle: Bundle, folder: Path, seed: int) -> str:
    done = described.run(bundle, folder, "-n", str(_EXAMPLES), "--seed", str(seed))
    print(
        "  " + " ".join(line.strip() for line in done.stdout.splitlines() if " generated" in line), flush=True
    )
    written = [leak for leak in _LEAKS if leak in bundle.logs()]
    return (
        "" if not done.returncode and not written else f"{done.stdout}{done.stderr}\nin the logs: {written}"
    )


def _input(seed: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/fuzz", f"--hypothesis-seed={seed}"],
        cwd=ROOT,
        env=os.environ | {"FUZZ": "other"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"  {done.stdout.splitlines()[-1]}", flush=True)
    return done.stdout if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
