"""The indexes of the collection of records, and what is written alike where they are to be read."""

from typing import Any

from shared.record import MACHINERY

DUE = "due"
FAILED = "failed"
REPLAY = "replay"
LATELY = "lately"

_LENGTHS = {
    DUE: 64,  # a time and an id: 27 + 1 + 36 characters
    FAILED: 36,
    REPLAY: 36,
    "blocks": 16,
    "keyed": 16,
    "lane": 16,
    "target": 270,  # a DNS name of 253 characters, or an address, and a port
    "code": 20,
    "at": 270,
    LATELY: 27,
    "secret": 200,
    "ingest": 72,  # a digest, a hyphen, a place
}


def member(name: str) -> str:
    """Return the path of a member of the machinery."""
    return f"{MACHINERY}.{name}"


def ascending(name: str) -> dict[str, Any]:
    """Return the order of an indexed member of the machinery."""
    return {"path": member(name), "datatype": "varchar2", "order": "asc", "maxLength": _LENGTHS[name]}


def indexes(name: str) -> tuple[dict[str, Any], ...]:
    """Return the index specifications. An index whose fields a record lacks has no entry for it."""
    return (
        _index(f"{name}_id", text("id", 36), unique=True),
        _index(
            f"{name}_due",
            _machine_text(DUE),
            {"path": member("partition"), "datatype": "number"},
            _machine_text("lane"),
            _machine_text("target"),
        ),
        _index(f"{name}_ingest", _machine_text("ingest"), unique=True),
        _index(f"{name}_replay", _machine_text(REPLAY)),
        _index(f"{name}_failed", _machine_text(FAILED)),
        _index(f"{name}_blocks", _machine_text("blocks")),
        _index(f"{name}_keyed", _machine_text("keyed"), text("id", 36), _machine_text("target")),
        _index(f"{name}_stream", text("error_stream", 256), _machine_text(FAILED)),
        _index(f"{name}_code", _machine_text("code"), _machine_text(FAILED)),
        _index(f"{name}_at", _machine_text("at"), _machine_text(FAILED)),
        _index(f"{name}_lately", _machine_text(LATELY)),
        _index(f"{name}_needing", _machine_text("secret")),
        _index(f"{name}_naming", text("vaultSecretName", 200), text("id", 36)),
    )


def _index(name: str, *fields_: dict[str, Any], unique: bool = False) -> dict[str, Any]:
    return {"name": name, "unique": unique, "fields": list(fields_)}


def _machine_text(name: str) -> dict[str, Any]:
    return text(member(name), _LENGTHS[name])


def text(path: str, length: int) -> dict[str, Any]:
    """Return an indexed text at a path, or the order of such texts."""
    return {"path": path, "datatype": "varchar2", "maxLength": length, "order": "asc"}
