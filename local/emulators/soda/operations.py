"""What a `SodaOperation` asks for, read once from the driver's object, and the cursor that answers it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from . import documents
from .documents import DocumentImpl, Row
from .round_trips import RoundTrips

_ARRAY_SIZE = 100  # documents that a cursor fetches at once, unless fetchArraySize says otherwise


@dataclass(frozen=True)
class Request:
    """The criteria of an operation; `keys` is empty if it is not restricted to keys."""

    keys: tuple[str, ...]
    has_one_key: bool
    version: str | None
    filter: str | None
    skip: int | None
    limit: int | None
    lock: bool
    array_size: int

    @classmethod
    def of(cls, op: Any) -> Request:
        """The criteria of a `SodaOperation`, which the driver's own implementation objects read alike."""
        key, text = op._key, op._filter  # noqa: SLF001 - the driver offers no other way
        given = (key,) if key is not None else tuple(op._keys or ())  # noqa: SLF001 - the driver offers no other way
        keys = tuple(one.lower() for one in given)  # hexadecimal digits may be given in upper case
        version, skip, limit, lock = op._version, op._skip, op._limit, op._lock  # noqa: SLF001 - the driver offers no other way
        array_size = op._fetch_array_size or _ARRAY_SIZE  # noqa: SLF001 - the driver offers no other way
        return cls(keys, key is not None, version, text, skip, limit, lock, array_size)


class CursorImpl:
    """The implementation object of a `SodaDocCursor`: rows that are read in arrays, decoded one by one.

    Every `array_size` documents it makes a round trip, as a real cursor does, and holds no more than these.
    """

    def __init__(self, rows: Generator[Row, None, None], array_size: int, trips: RoundTrips) -> None:
        self._rows = rows
        self._array_size = array_size
        self._trips = trips
        self._given = 0
        self._array = self._next_array()

    def get_next_doc(self) -> DocumentImpl | None:
        """The next document, or None at the end."""
        if self._given and self._given % self._array_size == 0:
            self._trips.make("fetch")
            self._array = self._next_array()
        self._given += 1
        row = next(self._array, None)
        return None if row is None else documents.from_row(row)

    def close(self) -> None:
        """Forgets the rows that are left."""
        self._rows.close()
        self._array = iter(())

    def _next_array(self) -> Iterator[Row]:
        return iter(list(islice(self._rows, self._array_size)))
