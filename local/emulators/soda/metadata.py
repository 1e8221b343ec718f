"""Collection metadata: the native collection, and what may be configured for others.

Source: Oracle, "Default Collection Metadata For Pre-26ai Collections": without custom metadata a collection
of 23ai and later is native, its metadata is made up on the fly and says so; with custom metadata it is not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .errors import ora

_SCHEMA = "LOCAL"
_SECTIONS: dict[str, dict[str, frozenset[Any] | None]] = {
    "keyColumn": {
        "name": None,
        "sqlType": frozenset({"VARCHAR2"}),
        "maxLength": None,
        "assignmentMethod": frozenset({"UUID", "GUID", "CLIENT"}),
    },
    "contentColumn": {
        "name": None,
        "sqlType": frozenset({"JSON", "BLOB"}),
        "jsonFormat": frozenset({"OSON"}),
    },
    "versionColumn": {"name": None, "method": frozenset({"UUID"})},
    "lastModifiedColumn": {"name": None},
    "creationTimeColumn": {"name": None},
    "mediaTypeColumn": {"name": None},
}


@dataclass(frozen=True)
class Metadata:
    """What of a collection's metadata its operations depend on; `document` is the whole as JSON text."""

    document: str
    native: bool
    client_keys: bool = False
    read_only: bool = False
    has_media_type: bool = False


def native(name: str) -> str:
    """The metadata of a collection that is created without any."""
    return json.dumps(
        {
            "schemaName": _SCHEMA,
            "tableName": name,
            "keyColumn": {
                "name": "RESID",
                "sqlType": "RAW",
                "maxLength": 2000,
                "assignmentMethod": "EMBEDDED_OID",
                "path": "_id",
            },
            "contentColumn": {"name": "DATA", "sqlType": "JSON"},
            "versionColumn": {"name": "ETAG", "method": "UUID"},
            "readOnly": False,
            "native": True,
        }
    )


def custom(name: str, text: str) -> str:
    """The whole metadata of a collection that is created with the metadata `text`; ORA-40675 if it is not
    valid."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise ora(40675, "collection metadata is a JSON object")
    for section, value in given.items():
        _check(section, value)
    key = {"name": "ID", "sqlType": "VARCHAR2", "maxLength": 255, "assignmentMethod": "UUID"} | given.get(
        "keyColumn", {}
    )
    key["assignmentMethod"] = key["assignmentMethod"].upper()
    whole = {
        "schemaName": _SCHEMA,
        "tableName": name,
        "contentColumn": {"name": "JSON_DOCUMENT", "sqlType": "JSON"},
        "versionColumn": {"name": "VERSION", "method": "UUID"},
        "lastModifiedColumn": {"name": "LAST_MODIFIED"},
        "creationTimeColumn": {"name": "CREATED_ON"},
        "readOnly": False,
    }
    return json.dumps(whole | given | {"keyColumn": key}, sort_keys=True)


def read(document: str) -> Metadata:
    """What the stored metadata `document` means."""
    whole = json.loads(document)
    return Metadata(
        document,
        native=whole.get("native", False),
        client_keys=whole["keyColumn"]["assignmentMethod"] == "CLIENT",
        read_only=whole["readOnly"],
        has_media_type="mediaTypeColumn" in whole,
    )


def _check(section: str, value: Any) -> None:
    if section in ("schemaName", "tableName"):
        valid = isinstance(value, str)
    elif section == "readOnly":
        valid = isinstance(value, bool)
    else:
        valid = section in _SECTIONS and isinstance(value, dict)
    if not valid:
        raise ora(40675, f"{section}: not valid, or not offered by this database")
    if isinstance(value, dict):
        for name, item in value.items():
            allowed = _SECTIONS[section].get(name, frozenset())
            if allowed is not None and (item.upper() if isinstance(item, str) else item) not in allowed:
                raise ora(40675, f"{section}.{name}: {item!r} is not valid, or not offered by this database")
