"""The data guide: which fields the documents of a collection have, of which types and lengths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .matching import METHODS

_LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4000)


def data_guide(contents: Iterable[Any]) -> dict[str, Any]:
    """A hierarchical data guide of documents (JSON Developer's Guide, "Data-Guide Formats")."""
    guide: dict[str, Any] = {"type": "object", "o:length": 1, "properties": {}}
    for value in contents:
        _add(guide, value)
    return guide


def _add(guide: dict[str, Any], value: Any) -> None:
    for name, item in value.items():
        entry = guide["properties"].setdefault(
            name, {"o:length": 1, "o:preferred_column_name": f"DATA${name}"}
        )
        kind = METHODS["type"](item)
        entry["type"] = kind if entry.get("type", kind) in (kind, "null") else "string"
        entry["o:length"] = max(entry["o:length"], _length(item))
        for member in item if isinstance(item, list) else ():
            if isinstance(member, dict):
                _add(entry.setdefault("items", {"properties": {}}), member)
        if isinstance(item, dict):
            entry.setdefault("properties", {})
            _add(entry, item)


def _length(item: Any) -> int:
    size = len(item.encode()) if isinstance(item, str) else len(str(item))
    return next((length for length in _LENGTHS if length >= size), _LENGTHS[-1])
