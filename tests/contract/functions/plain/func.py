"""A handler that is no coroutine, and so keeps its process from seeing anything else."""

import json
import time
from pathlib import Path


def handler(ctx, data=None):
    """Block for as many seconds as the body says, or from making one file until another is there."""
    wish = json.loads(data.getvalue() or "0")
    if isinstance(wish, dict):
        Path(wish["begin"]).touch()
        while not Path(wish["await"]).exists():
            time.sleep(0.01)
    else:
        time.sleep(wish)
    return "done"
