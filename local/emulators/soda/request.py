"""What a `SodaOperation` asks for, read once from the driver's object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import qbe


@dataclass(frozen=True)
class Request:
    """The criteria of an operation; `keys` is empty where it is not restricted to keys."""

    keys: tuple[str, ...]
    single_key: str | None
    version: str | None
    query: qbe.Query
    filtered: bool
    skip: int | None
    limit: int | None
    lock: bool

    @classmethod
    def of(cls, op: Any) -> Request:
        """The criteria of a `SodaOperation`; the driver's own implementation objects read the same
        attributes."""
        key, text = op._key, op._filter  # noqa: SLF001 - the driver offers no other way
        keys = (key,) if key is not None else tuple(op._keys or ())  # noqa: SLF001 - the driver offers no other way
        query = qbe.Query() if text is None else qbe.parse(text)
        version, skip, limit, lock = op._version, op._skip, op._limit, op._lock  # noqa: SLF001 - the driver offers no other way
        return cls(keys, key, version, query, text is not None, skip, limit, lock)
