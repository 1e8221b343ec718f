"""Round trips to the database, as the real driver would make them: each may take time, and is counted.

What counts as one, and why:

- each operation that reads or writes (`getOne`, `count`, `remove`, `replaceOne`, `insertOne`, `insertMany` of
  any number, …), with the commit that autocommit adds: one OCI call (ODPI-C, dpiSodaColl.c), of which
  node-oracledb says for `insertMany` that it is one round trip;
- a cursor: one with its first array of documents (`fetchArraySize`, else 100), and one for each array after
  that, asked for when the one before is used up, even if nothing is left;
- `commit()`, whether there is something to commit or not, and `rollback()`: ODPI-C calls OCITransCommit and
  OCITransRollback in any case, which are one each (OCI Programmer's Guide, "C OCI Function Server Round
  Trips"); giving a connection back only if a transaction is open (dpiConn.c);
- opening a collection, creating collections and indexes, listing, dropping, truncating: one;
- a new connection: two, to attach and to begin a session (same table: OCILogon2); TCP and TLS come on top.

Not counted: pings of connections that have been idle for long.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from oracledb import errors as driver

from .errors import dpy

_HANG_SECONDS = 0.01  # between looks whether the database answers again


@dataclass
class RoundTrips:
    """How long a round trip takes, and the file to which each appends the name of its operation."""

    seconds: float = 0.0
    log: Path | None = None
    hanging: Path | None = None
    """While there is a file of this name, the database answers nothing."""
    call_timeout: int = 0
    """Milliseconds after which a round trip to a database that hangs fails; 0: never."""

    def make(self, operation: str, number: int = 1) -> None:
        """Take the time of so many round trips, and count them; DPY-4024 if it takes too long."""
        self._hang()
        if self.log is not None:
            with self.log.open("a") as log:  # one write: processes do not mix theirs
                log.write(f"{operation}\n" * number)
        if self.seconds:
            time.sleep(self.seconds * number)

    def _hang(self) -> None:
        started = time.monotonic()
        while self.hanging is not None and self.hanging.exists():
            if self.call_timeout and time.monotonic() - started > self.call_timeout / 1000:
                raise dpy(driver.ERR_CALL_TIMEOUT_EXCEEDED, timeout=self.call_timeout)
            time.sleep(_HANG_SECONDS)


def counted(log: Path) -> Counter[str]:
    """The round trips that all processes have made so far, by operation."""
    return Counter(log.read_text().split() if log.exists() else ())
