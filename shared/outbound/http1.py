"""HTTP/1.1 without I/O: the bytes of a request, and an answer read from whatever pieces it comes in.

Answers are read as leniently as curl reads them: a final status counts, whatever is wrong around it. What is
in any way doubtful only keeps the connection from being used again.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from shared.model.answer import HttpRequest
from shared.model.targets import TargetUrl
from shared.outbound.chunks import Bytes, Chunks
from shared.outbound.faults import INFORMATIONAL, LONG_HEAD, NOT_HTTP, NoAnswer

LONGEST_HEAD = 256 * 1024  # bytes, with the informational answers before it
MOST_INFORMATIONAL = 16

_USUAL = {"Accept": "*/*", "Accept-Encoding": "identity"}  # unless a record has its own
_PREFIX = b"HTTP/"
_END_OF_HEAD = re.compile(rb"\n(?:\n|\r[^\n]*\n)")  # a line that begins with CR or LF, as curl sees it
_STATUS = re.compile(  # curl's two sscanf formats, " HTTP/%1d.%1d%c%3d" and " HTTP/%1[23] %d"
    rb"HTTP/(?:\s*\d\.\s*\d \s*|[23]\s*\+?0*)([1-9]\d\d)(?!\d)", re.IGNORECASE
)
_WELL_FORMED = re.compile(  # RFC 9112, sections 4 and 5, without obsolete line folding
    rb"HTTP/1\.1 [0-9]{3}(?: [^\r\n\0]*)?\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)*\r\n"
)
_LENGTH = re.compile(r"[0-9]{1,18}")
_SWITCHING_PROTOCOLS = 101  # nobody asks for it, so it ends the answer, as with curl
_EMPTY = (101, 204, 304)  # without a body, whatever the head says [RFC 9112, section 6.3]


def encoded(request: HttpRequest, url: TargetUrl) -> bytes:
    """Return the bytes of a request. Raises ValueError if a header can't be sent."""
    lines = [f"{request.method} {url.path} HTTP/1.1", f"Host: {url.authority}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    own = {name.lower() for name, _ in request.headers}
    lines += [f"{name}: {value}" for name, value in _USUAL.items() if name.lower() not in own]
    if request.body is not None or request.method != "DELETE":
        lines.append(f"Content-Length: {len(request.body or b'')}")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise ValueError(f"the header {_unsendable(request)} has a line break or NUL in its value")
    try:
        return f"{text}\r\n\r\n".encode() + (request.body or b"")
    except UnicodeEncodeError:
        raise ValueError("a header has a character that is none") from None


def _unsendable(request: HttpRequest) -> str:
    return next((name for name, value in request.headers if re.search("[\r\n\0]", value)), "")


@dataclass(frozen=True)
class Head:
    """What was read before an answer's body: the final status, and the headers by lower-case names."""

    code: int
    headers: Mapping[str, str]
    well_formed: bool


class AnswerReader:
    """Reads one answer; `feed` raises NoAnswer if it is none."""

    def __init__(self, keep: int = 0):
        """`keep` is how many bytes of the body are wanted."""
        self.head: Head | None = None
        self.complete = False
        self.kept = bytearray()
        self.body_bytes = 0
        """How many bytes of a body, with its framing, have come."""
        self.overflowed = False
        """More has come than the answer."""
        self._keep = keep
        self._pending = bytearray()  # of a head that is still incomplete
        self._line = 0  # the last line break, from which the search for its end continues
        self._informational = 0
        self._head_bytes = 0
        self._body: Chunks | int | None = None  # chunks; how many bytes there are to come; as many as come
        self._certain = False  # that two readers agree on where the answer ends

    @property
    def begun(self) -> bool:
        """Tell whether anything was read."""
        return self._head_bytes > 0

    @property
    def reusable(self) -> bool:
        """Tell whether the connection is in a known state, and fit for another request."""
        return self.complete and self._certain and not self.overflowed

    def feed(self, data: Bytes) -> None:
        """Read the next bytes."""
        if self.head is None:
            rest = self._feed_head(data)
            if rest:
                self._feed_body(rest)
        else:
            self._feed_body(data)

    def end(self) -> None:
        """Handle the end of what the target sends: a final status that was read counts, as with curl."""
        if self.head is None:
            head = bytes(self._pending[: self._pending.rfind(b"\n") + 1])
            code = _code(head)
            if code is not None and _is_final(code):
                self.head = Head(code, _headers(head), well_formed=False)
        self.complete = self.complete or (self.head is not None and self._body is None)
        self._certain = False

    def _feed_head(self, data: Bytes) -> bytes:
        """Read the next bytes of a head; return what follows it."""
        pending = self._pending
        known = len(pending)
        pending += data
        self._head_bytes += len(data)
        while pending.find(b"\n", known) >= 0:
            end = _END_OF_HEAD.search(pending, self._line)
            if end is None:
                self._line = pending.rfind(b"\n")
                if _code(pending) is None:
                    raise NoAnswer(NOT_HTTP)
                break
            head = bytes(pending[: end.end()])
            del pending[: end.end()]
            known = self._line = 0
            if self._read_head(head):
                self._head_bytes -= len(pending)
                break
        if self._head_bytes > LONGEST_HEAD:
            raise NoAnswer(LONG_HEAD, f"{LONGEST_HEAD // 1024} KiB")
        if self.head is None:
            if not _PREFIX.startswith(pending[:5].upper()):
                raise NoAnswer(NOT_HTTP)
            return b""
        rest, self._pending = bytes(pending), bytearray()
        return rest

    def _read_head(self, head: bytes) -> bool:
        """Read a whole head; tell whether it is final."""
        code = _code(head)
        if code is None:
            raise NoAnswer(NOT_HTTP)
        if not _is_final(code):
            self._informational += 1
            if self._informational > MOST_INFORMATIONAL:
                raise NoAnswer(INFORMATIONAL, str(MOST_INFORMATIONAL))
            return False
        self.head = Head(code, _headers(head), _WELL_FORMED.fullmatch(head) is not None)
        self._begin_body(self.head)
        return True

    def _begin_body(self, head: Head) -> None:
        """Find out where the body ends, and whether two readers would agree on that [section 6.3]."""
        length, coding = head.headers.get("content-length"), head.headers.get("transfer-encoding")
        closes = "close" in head.headers.get("connection", "").lower()
        self._certain = head.well_formed and not closes
        if head.code in _EMPTY:
            self._body = 0
            self._certain &= coding is None and length in (None, "0") and head.code != _SWITCHING_PROTOCOLS
        elif coding is not None:
            self._body = Chunks() if coding.lower().rstrip().endswith("chunked") else None
            self._certain &= coding.lower() == "chunked" and length is None
        elif length is not None:
            first = length.partition(",")[0].strip()
            self._body = int(first) if _LENGTH.fullmatch(first) else None
            self._certain &= first == length and self._body is not None
        self.complete = self._body == 0

    def _feed_body(self, data: Bytes) -> None:
        self.body_bytes += len(data)
        if self.complete:
            self.overflowed |= len(data) > 0
        elif isinstance(self._body, Chunks):
            self._keep_some(self._body.feed(data))
            self.complete = self._body.complete
            self.overflowed = self._body.overflowed
            self._certain &= self._body.well_formed
        elif self._body is None:
            self._keep_some(data)
        else:
            self.overflowed = len(data) > self._body
            self._keep_some(data[: self._body])
            self._body -= min(len(data), self._body)
            self.complete = self._body == 0

    def _keep_some(self, data: Bytes) -> None:
        if len(self.kept) < self._keep:
            self.kept += data[: self._keep - len(self.kept)]


def _code(head: bytes | bytearray) -> int | None:
    """Return the status code in the first line, which is complete."""
    status = _STATUS.match(head, 0, head.find(b"\n") + 1)
    return int(status[1]) if status else None


def _is_final(code: int) -> bool:
    return code >= 200 or code == _SWITCHING_PROTOCOLS


def _headers(head: bytes) -> dict[str, str]:
    """Return the headers; a line that is none is passed over."""
    headers: dict[str, str] = {}
    name = ""
    for line in head.decode("latin-1").split("\n")[1:]:
        if line[:1] in (" ", "\t") and name:  # folded, obsolete [section 5.2]
            headers[name] += f" {line.strip()}"
            continue
        left, colon, value = line.partition(":")
        if colon:
            name, value = left.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def decoded(headers: Mapping[str, str], content: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes of a content that is compressed with gzip or deflate, or as it is."""
    coding = headers.get("content-encoding", "").lower()
    if coding not in ("gzip", "x-gzip", "deflate"):
        return content
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # gzip or zlib; the bare deflate that some send
        try:
            return zlib.decompressobj(window).decompress(content, limit)
        except zlib.error:
            continue
    return content
