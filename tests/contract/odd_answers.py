"""Answers that public bug reports of HTTP clients are about, and their siblings; and the status in each."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.contract.raw_target import Do, Step

LATE = 0.05  # seconds between the packets of an answer


@dataclass(frozen=True)
class OddAnswer:
    """What a target says, and the status in it; None where there is none."""

    steps: Sequence[Step]
    status: int | None
    curl: bool = True
    """Whether the curl command reads the same."""


def _head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK", end: bytes = b"\r\n") -> bytes:
    return end.join((status, *lines, b"", b""))


_EMPTY = b"Content-Length: 0"
_CHUNKED = b"Transfer-Encoding: chunked"
_NO_CONTENT = b"HTTP/1.1 204 No Content"
_CREATED = b"HTTP/1.1 201 Created"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_OK = _head(_EMPTY)
_CUT = _head(b"Content-Length: 5", b"X-A: 1") + b"hello"


def _odd(status: int | None, *steps: Step, curl: bool = True) -> OddAnswer:
    return OddAnswer(steps, status, curl)


ODD = {
    # framing of the body
    "204-with-last-chunk": _odd(204, _head(_CHUNKED, status=_NO_CONTENT) + b"0\r\n\r\n"),
    "204-with-late-last-chunk": _odd(204, _head(_CHUNKED, status=_NO_CONTENT), LATE, b"0\r\n\r\n"),
    "204-with-length-and-body": _odd(204, _head(b"Content-Length: 5", status=_NO_CONTENT) + b"hello"),
    "204-with-length-and-late-body": _odd(
        204, _head(b"Content-Length: 5", status=_NO_CONTENT), LATE, b"hello"
    ),
    "204-with-body": _odd(204, _head(status=_NO_CONTENT) + b"hello"),
    "204-with-late-body": _odd(204, _head(status=_NO_CONTENT), LATE, b"hello"),
    "204-with-an-answer-in-its-body": _odd(204, _head(status=_NO_CONTENT) + _OK),
    "304-with-body": _odd(304, _head(b"Content-Length: 5", status=b"HTTP/1.1 304 Not Modified") + b"hello"),
    "length-short-by-a-byte": _odd(201, _head(b"Content-Length: 4", status=_CREATED) + b"hello"),
    "length-short-by-a-late-byte": _odd(
        201, _head(b"Content-Length: 4", status=_CREATED) + b"hell", LATE, b"o"
    ),
    "length-long-by-a-byte": _odd(201, _head(b"Content-Length: 6", status=_CREATED) + b"hello", Do.CLOSE),
    "length-long-and-kept-open": _odd(
        201, _head(b"Content-Length: 600", status=_CREATED) + b"hello", curl=False
    ),
    "body-reset-in-the-middle": _odd(
        201, _head(b"Content-Length: 600", status=_CREATED), LATE, Do.RESET, curl=False
    ),
    "two-equal-lengths": _odd(200, _head(b"Content-Length: 2", b"Content-Length: 2") + b"hi"),
    "two-lengths": _odd(200, _head(b"Content-Length: 2", b"Content-Length: 3") + b"hi!"),
    "lengths-in-one-line": _odd(200, _head(b"Content-Length: 2, 2") + b"hi"),
    "length-with-a-sign": _odd(200, _head(b"Content-Length: +2") + b"hi"),
    "length-negative": _odd(200, _head(b"Content-Length: -2") + b"hi"),
    "length-in-words": _odd(200, _head(b"Content-Length: two") + b"hi"),
    "length-superscript": _odd(200, _head(b"Content-Length: \xb2") + b"hi"),
    "length-empty": _odd(200, _head(b"Content-Length:") + b"hi"),
    "length-beyond-all-integers": _odd(200, _head(b"Content-Length: " + b"9" * 5000) + b"hi", Do.CLOSE),
    "length-beside-chunks": _odd(200, _head(b"Content-Length: 2", _CHUNKED) + b"2\r\nhi\r\n0\r\n\r\n"),
    "chunks-with-lf": _odd(200, _head(_CHUNKED) + b"2\nhi\n0\n\n"),
    "chunks-in-single-bytes": _odd(
        200, _head(_CHUNKED), *(bytes([one]) for one in b"2;a=b\r\nhi\r\n0\r\nT: 1\r\n\r\n")
    ),
    "chunks-not-in-hex": _odd(200, _head(_CHUNKED) + b"xyz\r\nhi\r\n0\r\n\r\n"),
    "chunks-of-negative-size": _odd(200, _head(_CHUNKED) + b"-2\r\nhi\r\n0\r\n\r\n"),
    "chunks-of-great-size": _odd(200, _head(_CHUNKED) + b"f" * 40 + b"\r\nhi", Do.CLOSE),
    "chunks-longer-than-said": _odd(200, _head(_CHUNKED) + b"1\r\nhi\r\n0\r\n\r\n"),
    "chunks-cut-off": _odd(200, _head(_CHUNKED) + b"5\r\nhi", Do.CLOSE),
    "chunks-without-last-line": _odd(200, _head(_CHUNKED) + b"2\r\nhi\r\n0\r\n", Do.CLOSE),
    "chunks-and-more": _odd(200, _head(_CHUNKED) + b"2\r\nhi\r\n0\r\n\r\nmore"),
    "chunked-twice": _odd(200, _head(b"Transfer-Encoding: chunked, chunked") + b"2\r\nhi\r\n0\r\n\r\n"),
    "coding-unknown": _odd(200, _head(b"Transfer-Encoding: secret", b"Content-Length: 2") + b"hi"),
    "gzip-that-is-none": _odd(200, _head(b"Content-Encoding: gzip", b"Content-Length: 2") + b"hi"),
    "no-length": _odd(200, _head() + b"hi", Do.CLOSE),
    "no-length-and-kept-open": _odd(200, _head() + b"hi", curl=False),
    "http-1.0": _odd(200, _head(status=b"HTTP/1.0 200 OK") + b"hi", Do.CLOSE),
    "http-1.0-kept-alive": _odd(200, _head(b"Connection: keep-alive", _EMPTY, status=b"HTTP/1.0 200 OK")),
    # lines of the head
    "folded": _odd(200, _head(b"X-A: 1", b" 2", _EMPTY)),
    "folded-length": _odd(200, _head(b"Content-Length:", b" 2") + b"hi"),
    "folded-first-line": _odd(200, _head(b" X-A: 1", _EMPTY)),
    "space-before-colon": _odd(200, _head(b"X-A : 1", _EMPTY)),
    "space-before-colon-of-length": _odd(200, _head(b"Content-Length : 2") + b"hi", Do.CLOSE),
    "no-colon": _odd(200, _head(b"X-A", _EMPTY)),
    "no-name": _odd(200, _head(b": 1", _EMPTY)),
    "nul": _odd(200, _head(b"X-A: a\0b", _EMPTY)),
    "bare-cr": _odd(200, _head(b"X-A: a\rb", _EMPTY)),
    "line-that-begins-with-cr": _odd(200, b"HTTP/1.1 200 OK\r\n\rX-A: 1\r\nContent-Length: 2\r\n\r\nhi"),
    "lf-only": _odd(200, _head(b"Content-Length: 2", end=b"\n") + b"hi"),
    "not-utf-8": _odd(200, _head(b"X-A: \xff\xfe", _EMPTY)),
    "other-charset": _odd(
        200, _head(b"Content-Type: text/plain; charset=ISO-8859-1", b"Content-Length: 2") + b"\xc3\xa4"
    ),
    "header-of-9-kb": _odd(200, _head(b"X-A: " + b"a" * 9000, _EMPTY)),
    "header-of-90-kb": _odd(200, _head(b"X-A: " + b"a" * 90_000, _EMPTY)),
    "headers-130": _odd(200, _head(*(b"X-%d: 1" % number for number in range(130)), _EMPTY)),
    "headers-of-240-kb": _odd(
        200, _head(*(b"X-%d: %s" % (number, b"a" * 990) for number in range(240)), _EMPTY)
    ),
    "cookies-150": _odd(200, _head(*(b"Set-Cookie: a%d=1" % number for number in range(150)), _EMPTY)),
    "single-bytes": _odd(200, *(bytes([one]) for one in _head(b"Content-Length: 2") + b"hi")),
    "cut-in-its-status": _odd(200, _CUT[:11], LATE, _CUT[11:]),
    "cut-in-its-last-line-break": _odd(200, _CUT[:-6], LATE, _CUT[-6:]),
    "ended-in-its-head": _odd(200, b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B", Do.CLOSE),
    # the status line
    "no-reason": _odd(200, _head(_EMPTY, status=b"HTTP/1.1 200")),
    "no-reason-but-a-space": _odd(200, _head(_EMPTY, status=b"HTTP/1.1 200 ")),
    "reason-not-utf-8": _odd(200, _head(_EMPTY, status=b"HTTP/1.1 200 \xc4\xd6")),
    "nul-in-reason": _odd(200, _head(_EMPTY, status=b"HTTP/1.1 200 O\0K")),
    "spaces-before-status": _odd(200, _head(_EMPTY, status=b"HTTP/1.1   200 OK")),
    "lower-case": _odd(200, _head(_EMPTY, status=b"http/1.1 200 ok")),
    "http-2": _odd(200, _head(_EMPTY, status=b"HTTP/2 200"), Do.CLOSE),
    "status-600": _odd(600, _head(_EMPTY, status=b"HTTP/1.1 600 Odd")),
    "status-999": _odd(999, _head(_EMPTY, status=b"HTTP/1.1 999 Denied")),
    "status-of-two-digits": _odd(None, _head(_EMPTY, status=b"HTTP/1.1 20 OK")),
    "status-of-four-digits": _odd(None, _head(_EMPTY, status=b"HTTP/1.1 2000 OK")),
    "no-status": _odd(None, _head(_EMPTY, status=b"HTTP/1.1 OK")),
    "no-http": _odd(None, b"220 mail.example.com ESMTP\r\n"),
    "html-only": _odd(None, b"<html>hello</html>"),
    "blank-line-first": _odd(None, b"\r\n" + _OK),
    # informational answers
    "100-continue": _odd(200, _CONTINUE + _OK),
    "100-continue-and-a-while": _odd(200, _CONTINUE, LATE, _OK),
    "100-with-length": _odd(200, _head(b"Content-Length: 9", status=b"HTTP/1.1 100 Continue") + _OK),
    "103-twice": _odd(
        201, 2 * _head(b"Link: </a>", status=b"HTTP/1.1 103 Early") + _head(_EMPTY, status=_CREATED)
    ),
    "informational-16": _odd(200, 16 * _CONTINUE + _OK),
    "informational-17": _odd(None, 17 * _CONTINUE + _OK, curl=False),
    "informational-and-the-end": _odd(None, _CONTINUE, Do.CLOSE),
    "informational-and-words": _odd(None, _CONTINUE + b"hello\r\n\r\n"),
    "101-unasked": _odd(101, _head(b"Upgrade: x", status=b"HTTP/1.1 101 Switching Protocols") + b"\x81\x01x"),
    # more than an answer, or less
    "two-answers": _odd(201, _head(_EMPTY, status=_CREATED) + _OK),
    "two-answers-the-second-late": _odd(201, _head(_EMPTY, status=_CREATED), LATE, _OK),
    "a-line-break-after-it": _odd(200, _OK + b"\r\n"),
    "closes-without-saying": _odd(200, _OK, Do.CLOSE),
    "resets-after-it": _odd(200, _OK, LATE, Do.RESET, curl=False),
    "connection-close": _odd(200, _head(_EMPTY, b"Connection: close")),
    "nothing": _odd(None, Do.CLOSE),
    "nothing-but-a-reset": _odd(None, Do.RESET, curl=False),
    "head-reset-in-the-middle": _odd(None, b"HTTP/1.1 200 OK\r\nX-A", LATE, Do.RESET, curl=False),
    "head-without-end": _odd(
        None, b"HTTP/1.1 200 OK\r\n", *[b"X-A: %s\r\n" % (b"a" * 9990)] * 30, curl=False
    ),
    "line-without-end": _odd(None, b"HTTP/1.1 200 OK\r\nX-A: ", *[b"a" * 10_000] * 30, curl=False),
    "head-and-silence": _odd(None, b"HTTP/1.1 200 OK\r\nX-A: 1\r\n", curl=False),
}
