"""SODA on SQLite with python-oracledb's interface: what the functions use on one machine in place of a
database.

`connect` gives connections whose `getSodaDatabase()` is the driver's own `oracledb.SodaDatabase`; only the
objects behind it are ours. It behaves as native collections of Oracle Database 23ai and later do and raises
python-oracledb's exceptions with Oracle's codes; what Oracle has and nothing here uses is a
`NotImplementedError` that names it. Several processes may use one file at once.

It never answers a query by better means than Oracle is known to: see `planning`. `DATASYNC_SODA_TRACE` logs
every operation with its plan (`tracing`); the DSN's options count round trips, and let them take time
(`connection`, `round_trips`).

    >>> import tempfile
    >>> from local.emulators import soda
    >>> with tempfile.TemporaryDirectory() as folder, soda.connect(f"{folder}/demo.db") as connection:
    ...     orders = connection.getSodaDatabase().createCollection("orders")
    ...     orders.insertMany([{"po": 1, "city": "Bari"}, {"po": 2, "city": "Lima"}])
    ...     connection.commit()
    ...     [d.getContent()["city"] for d in orders.find().filter({"po": {"$gt": 1}}).getDocuments()]
    ['Lima']

Modules, each importing only from those above it: errors, round_trips; json_types, paths; indexes; qbe,
matching (queries); session (SQLite); documents, catalog (what there is); planning, tracing; operations,
collection, database (what the driver calls); connection.
"""

from __future__ import annotations

from typing import Any

import oracledb

from .connection import Connection, connect
from .round_trips import counted as round_trips

__all__ = ["Connection", "connect", "explain", "round_trips"]


def explain(operation: oracledb.SodaOperation) -> list[str]:
    """SQLite's query plan for the documents that an operation selects, one line per step.

    `SEARCH … USING INDEX` reads an index, `SCAN` the whole collection, `USE TEMP B-TREE` sorts.
    """
    collection: Any = operation._collection  # noqa: SLF001 - the driver offers no other way
    return list(collection._impl.explain(operation))  # noqa: SLF001 - the driver offers no other way
