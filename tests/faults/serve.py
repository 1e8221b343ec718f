"""Serves a bundle as `python -m local run` does, with faults in its process-data functions.

FAULTS is a JSON object of environment variables for the functions; `tests/faults/site/sitecustomize.py` reads
them as Python starts. ALSO_ALLOWED are targets beside the bundle's own.
"""

import asyncio
import json
import os
from pathlib import Path

from local import stack
from local.run import settings_of

SITE = Path(__file__).parent / "site"


async def main() -> None:
    faults = json.loads(os.environ.get("FAULTS", "{}"))
    path = os.pathsep.join([str(SITE), str(stack.CHECKOUT)])
    settings = settings_of(os.environ) | faults | {"PYTHONPATH": path}
    also_allowed = [one for one in os.environ.get("ALSO_ALLOWED", "").split(",") if one]
    home = Path(os.environ["DATASYNC_HOME"])
    async with stack.running(home, settings, also_allowed=also_allowed) as running:
        print(running.url, running.target_url, running.oci_url, sep="\n", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
