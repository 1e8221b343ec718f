"""Connector Hub batches: messages of a Stream, each of which is a record or is set aside with the reason.

Source: OCI documentation, "Connector Hub: Functions as a target": the messages of a batch come as a JSON
array; "Streaming: Message": `key` and `value` are base64.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from shared.ingest import validation
from shared.ingest.validation import Conditions
from shared.model import json_codec
from shared.model.errors import DataSyncError

_REQUIRED = frozenset(("stream", "partition", "value", "offset"))
_MEMBERS = _REQUIRED | {"key", "timestamp"}


@dataclass(frozen=True)
class Message:
    """One message: its name within its Stream, and the record in it or why there is none."""

    name: str
    members: dict[str, Any]
    fault: str = ""


def is_batch(value: Any) -> bool:
    """Tell whether a body is a Connector Hub batch rather than an array of records."""
    return isinstance(value, list) and bool(value) and all(_is_message(item) for item in value)


def read(item: dict[str, Any], conditions: Conditions) -> Message:
    """Read one message of a batch; no message is rejected, a bad one has a `fault`."""
    name = f"{item['stream']}\n{item['partition']}\n{item['offset']}"  # no header's key has line breaks
    try:
        key = None if item.get("key") is None else _decoded(item["key"]).decode()
        message = json_codec.parse(_decoded(item["value"]))
    except (ValueError, DataSyncError) as error:
        return Message(name, {}, f"key or value can't be read: {_reason(error)}")
    enveloped = {"streamMessage": message} if key is None else {"streamMessage": message, "streamKey": key}
    members, faults = validation.read_record(enveloped, conditions)
    return Message(name, members, "; ".join(f"{fault.pointer} {fault.detail}" for fault in faults))


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and _REQUIRED <= item.keys() <= _MEMBERS


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError("not a string")  # noqa: TRY004 - a caller's mistake, not a programmer's
    return base64.b64decode(text, validate=True)


def _reason(error: Exception) -> str:
    """Say what is wrong, without quoting the bytes."""
    if isinstance(error, DataSyncError):
        return error.detail
    return "not base64" if isinstance(error, binascii.Error) else "not UTF-8 text"
