"""A handler that is no coroutine, and so keeps its process from seeing anything else."""

import time


def handler(ctx, data=None):
    """Block for as many seconds as the body says."""
    time.sleep(float(data.getvalue() or 0))
    return "done"
