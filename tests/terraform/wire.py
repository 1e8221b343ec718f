"""Protocol buffers, as far as Terraform's plugin protocol needs them (https://protobuf.dev, Encoding)."""

from collections.abc import Iterator

_VARINT, _BYTES = 0, 2


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def number(field: int, value: int) -> bytes:
    """A number, boolean or enum; 0 is what an absent field means."""
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def text(field: int, value: str | bytes) -> bytes:
    """A string, bytes or an encoded message."""
    encoded = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | _BYTES) + _varint(len(encoded)) + encoded


def entry(field: int, key: str, message: bytes) -> bytes:
    """One entry of a map of strings to messages."""
    return text(field, text(1, key) + text(2, message))


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: numbers, and bytes for everything else that Terraform sends."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if tag & 7 == _BYTES:
            yield tag >> 3, message[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def members(message: bytes) -> dict[int, bytes]:
    """A message's fields of bytes, by their numbers; of a repeated one the last."""
    return {field: value for field, value in fields(message) if isinstance(value, bytes)}
