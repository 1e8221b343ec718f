"""Connector Hub batches: messages of a Stream, each of which is a record or is set aside with the reason.

Source: OCI documentation, "Connector Hub: Functions as a target": the messages of a batch come as a JSON
array; "Streaming: Message": `key` and `value` are base64.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.ingest import validation
from shared.ingest.validation import Conditions
from shared.model import json_codec
from shared.model.errors import DataSyncError
from shared.model.record import IdempotencyKey

MOST_BATCH_VALUES = 1_000_000
"""JSON values in a batch: what the platform's 6 MB can have in messages of the smallest records."""
MOST_SET_ASIDE = 1000
"""The most elements of a batch that are set aside."""
_COORDINATES = ("stream", "partition", "offset")
_MEMBERS = (*_COORDINATES, "key", "value", "timestamp")


@dataclass(frozen=True)
class Message:
    """One element of a batch: what recognises it when it comes again, and its record, or why it has none."""

    key: IdempotencyKey
    members: dict[str, Any] = field(default_factory=dict)
    fault: str = ""
    kept: Any = None
    """What is kept of an element that has no record."""


def is_batch(value: Any) -> bool:
    """Tell whether the body of a direct invocation is a batch rather than an array of records.

    >>> is_batch([{"stream": "orders", "partition": "0", "offset": 7, "key": None, "value": "e30="}])
    True
    """
    return isinstance(value, list) and any(_is_message(item) for item in value)


def read(items: list[Any], conditions: Conditions, most_bytes: int) -> Iterator[Message]:
    """Read the elements of a batch; none is rejected, but those that have no record say so.

    Elements with a value of more than `most_bytes` have none. At most MOST_SET_ASIDE come without a record:
    if there are more, the last of them stands for all the others.
    """
    set_aside, others = 0, []
    for message in (_read(item, conditions, most_bytes) for item in items):
        set_aside += bool(message.fault)
        if not message.fault or set_aside < MOST_SET_ASIDE:
            yield message
        else:
            others.append(message)
    if len(others) == 1:
        yield others[0]
    elif others:
        yield _summary(others)


def _read(item: Any, conditions: Conditions, most_bytes: int) -> Message:
    if not _is_message(item):
        text = json_codec.dump(item).decode()
        return Message(_key(text, text), fault="is not a message of a Stream", kept=item)
    known = {name: item[name] for name in _MEMBERS if name in item}
    key = _key("\n".join(str(item[name]) for name in _COORDINATES), str(item["value"]))
    try:
        message, stream_key = _decoded_value(item["value"], most_bytes), _decoded_key(item.get("key"))
    except (ValueError, DataSyncError) as error:
        return Message(key, fault=f"key or value can't be read: {_reason(error)}", kept=known)
    enveloped = {"streamMessage": message, "streamKey": stream_key}
    members, faults = validation.read_record(enveloped, conditions)
    if faults:
        return Message(key, fault="; ".join(f"{one.pointer} {one.detail}" for one in faults), kept=known)
    return Message(key, members)


def _key(coordinates: str, value: str) -> IdempotencyKey:
    """Return the key of a message: its coordinates and its value, since a new Stream counts from zero.

    No caller's key begins with a NUL, so none can be the key of a message.
    """
    return IdempotencyKey.of("", f"\0{coordinates}\0{value}", value.encode())


def _summary(others: list[Message]) -> Message:
    """Return one message without a record for several."""
    digests = "\n".join(message.key.digest for message in others)
    first, last = (_coordinates(others[place].kept) for place in (0, -1))
    fault = (
        f"{len(others)} more elements of this batch have no record, and only {MOST_SET_ASIDE} of a batch"
        " are set aside; read the others from the Stream"
    )
    return Message(_key("summary", digests), fault=fault, kept={"first": first, "last": last})


def _coordinates(kept: Any) -> Any:
    return {name: kept.get(name) for name in _COORDINATES} if isinstance(kept, dict) else None


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and {*_COORDINATES, "value"} <= item.keys()


def _decoded_value(text: Any, most_bytes: int) -> Any:
    value = _decoded(text)
    if len(value) > most_bytes:
        raise ValueError(f"the value has {len(value)} bytes, and BODY_LIMIT is {most_bytes}")
    return json_codec.parse(value)


def _decoded_key(text: Any) -> str | None:
    if text is None:
        return None
    key = _decoded(text).decode()
    if "\0" in key:
        raise ValueError("the key has a NUL character")
    return key


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError("not a string")  # noqa: TRY004 - a caller's mistake, not a programmer's
    return base64.b64decode(text, validate=True)


def _reason(error: Exception) -> str:
    """Return what is wrong, without quoting the bytes."""
    if isinstance(error, DataSyncError):
        return error.detail
    if isinstance(error, binascii.Error):
        return "not base64"
    return "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)


def groups(messages: Iterable[Message], number: int) -> Iterator[list[Message]]:
    """Return messages in groups of `number`, of which the last may be smaller; each key once."""
    known: set[str] = set()
    group: list[Message] = []
    for message in messages:
        if message.key.digest not in known:
            known.add(message.key.digest)
            group.append(message)
        if len(group) == number:
            yield group
            group = []
    if group:
        yield group
