"""A log of the operations that are asked of collections, each with the plan that finds its documents.

Where the environment variable `DATASYNC_SODA_TRACE` names a file, every process appends one line of JSON for
each operation that it has not asked before, such as

    {"collection": "datasync_records", "operation": "getCursor", "keys": false, "version": false,
     "limited": true, "filter": {"id": {"$gt": "string"}},
     "order": [{"path": "id", "datatype": "varchar2", "maxLength": 36}],
     "plan": ["SEARCH soda:datasync_records USING INDEX datasync_records_id (f_1f0c…>?)"]}

`operation` is getOne, getCursor, count or remove (a replacement goes by its key). In `filter` the types of
values stand in their place, and what differs by values only stands there once. A plan with `SCAN` reads all,
one with `TEMP B-TREE` sorts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

VARIABLE = "DATASYNC_SODA_TRACE"
_written: set[tuple[str, str]] = set()


def trace(operation: str, collection: str, op: Any, plan: Callable[[], Sequence[str]]) -> None:
    """Write what a `SodaOperation` asks, if a file is named and it has not been written to it before."""
    file = os.environ.get(VARIABLE)
    if not file:
        return
    asked = {} if op._filter is None else json.loads(op._filter)  # noqa: SLF001 - the driver offers no other way
    said = {
        "collection": collection,
        "operation": operation,
        "keys": bool(op._key is not None or op._keys),  # noqa: SLF001 - as above
        "version": op._version is not None,  # noqa: SLF001 - as above
        "limited": op._limit is not None,  # noqa: SLF001 - as above
        "filter": _shape(asked.get("$query", {} if "$orderby" in asked else asked)),
        "order": asked.get("$orderby", []),
    }
    known = file, json.dumps(said)
    if known in _written:
        return
    line = json.dumps(said | {"plan": list(plan())})
    with suppress(OSError), Path(file).open("a") as log:  # a process without a file to spare writes it later
        log.write(f"{line}\n")  # one write of a line: processes do not mix theirs
        _written.add(known)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    if isinstance(value, list):
        shapes = [_shape(item) for item in value]
        return [shape for number, shape in enumerate(shapes) if shape not in shapes[:number]]
    names = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names[type(value)]
