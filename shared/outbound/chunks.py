"""The chunked coding of a body [RFC 9112, section 7.1], read as leniently as curl reads it."""

import re

Bytes = bytes | bytearray | memoryview

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LONGEST_LINE = 16 * 1024  # bytes, of a size with its extensions or of a trailer; a limit of our own


class Chunks:
    """Takes chunks apart."""

    def __init__(self) -> None:
        self.complete = False
        """The last chunk was read, or something that is no chunk: what follows isn't known to be content."""
        self.well_formed = True
        """False if two readers may differ on where the body ends."""
        self.overflowed = False
        """Something follows the last chunk."""
        self._pending = bytearray()
        self._left = 0  # bytes of the chunk
        self._ends_chunk = False  # the next line is the line break after a chunk
        self._in_trailers = False

    def feed(self, data: Bytes) -> bytes:
        """Return the content in the next bytes."""
        self._pending += data
        pieces = []
        while not self.complete and (piece := self._next()) is not None:
            pieces.append(piece)
        self.overflowed = self.complete and bool(self._pending)
        return b"".join(pieces)

    def _next(self) -> bytes | None:
        """Return the content in the next piece of a chunk, or in the next line; None if more must come."""
        if self._left:
            piece = bytes(self._pending[: self._left])
            del self._pending[: self._left]
            self._left -= len(piece)
            return piece or None
        end = self._pending.find(b"\n") + 1
        if not end:
            if len(self._pending) > _LONGEST_LINE:
                self._give_up()
            return None
        line = bytes(self._pending[:end])
        del self._pending[:end]
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            self.well_formed = False
        self._read_line(line.rstrip(b"\r\n"))
        return b""

    def _read_line(self, line: bytes) -> None:
        if self._in_trailers:
            self.complete = not line
        elif self._ends_chunk:
            self._ends_chunk = False
            if line:
                self._give_up()
        elif size := _SIZE.match(line):
            self._left = int(size[0], 16)
            self._ends_chunk = self._left > 0
            self._in_trailers = self._left == 0
        else:
            self._give_up()

    def _give_up(self) -> None:
        self.complete = True
        self.well_formed = False
