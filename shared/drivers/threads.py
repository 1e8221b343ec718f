"""Threads for blocking calls: each dependency has its own, so that a slow one does not hold up the others.

>>> import asyncio
>>> asyncio.run(Threads("example", 1).run(max, 1, 2))
2
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """A few threads with a name, started on first use."""

    def __init__(self, name: str, number: int):
        self._threads = ThreadPoolExecutor(number, thread_name_prefix=name)

    async def run(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Await a blocking call on one of the threads, where log lines still show the invocation's id."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: context.run(call, *arguments, **options))


DATABASE = Threads("database", 4)  # as many as the database's pool has connections
RENEWALS = Threads("renewals", 1)  # a worker's own lease document, one write after the other
VAULT = Threads("vault", 8)
RULES = Threads("rules", 1)  # the operator's expressions, which hold the interpreter's lock anyway
PUBLISHING = Threads("publishing", 2)  # Monitoring and Notifications
FAN_OUT = Threads("fan_out", 1)
OPERATIONS = Threads("operations", 1)  # the report, maintenance, provisioning
