"""The bytes of requests, and answers read from any pieces."""

import gzip
import random
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.model.answer import HttpRequest
from shared.model.targets import parse_url
from shared.outbound.faults import NoAnswer
from shared.outbound.http1 import LONGEST_HEAD, MOST_INFORMATIONAL, AnswerReader, decoded, encoded
from tests.contract.odd_answers import ODD
from tests.fuzz.answers import made_up

ODD_BYTES = [b"".join(step for step in odd.steps if isinstance(step, bytes)) for odd in ODD.values()]
SHORT = [answer for answer in ODD_BYTES if len(answer) < 1000]


def request(url: str = "http://erp.example.com/a?b=c", **members: Any) -> bytes:
    made = HttpRequest("POST", url, [("X-A", "1")], b"{}")._replace(**members)
    return encoded(made, parse_url(url))


def read(*pieces: bytes, keep: int = 100_000, ends: bool = False) -> tuple[Any, ...]:
    """Feed the pieces; return all that was found out."""
    reader = AnswerReader(keep)
    try:
        for piece in pieces:
            reader.feed(piece)
    except NoAnswer as fault:
        return (str(fault),)
    if ends:
        reader.end()
    found = reader.head, reader.complete, reader.reusable, reader.overflowed
    return (*found, bytes(reader.kept), reader.body_bytes)


def split(answer: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(cut % (len(answer) + 1) for cut in cuts)
    return [answer[start:end] for start, end in zip([0, *places], [*places, len(answer)], strict=True)]


CUTS = st.lists(st.integers(0, 100_000), max_size=12)


@settings(deadline=None)
@given(st.sampled_from(SHORT), CUTS, st.booleans())
def test_an_odd_answer_is_read_alike_from_any_pieces(answer: bytes, cuts: list[int], ends: bool) -> None:
    assert read(*split(answer, cuts), ends=ends) == read(answer, ends=ends)


@settings(deadline=None)
@given(st.integers(0, 2**32), CUTS, st.booleans())
def test_a_made_up_answer_is_read_alike_from_any_pieces(seed: int, cuts: list[int], ends: bool) -> None:
    steps = made_up(random.Random(seed))
    answer = b"".join(step for step in steps if isinstance(step, bytes))
    assert read(*split(answer, cuts), ends=ends) == read(answer, ends=ends)


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(1, 7), max_size=20))
def test_chunks_hold_what_was_put_into_them(content: bytes, sizes: list[int]) -> None:
    chunks, rest = b"", content
    for size in [*sizes, len(content)]:
        piece, rest = rest[:size], rest[size:]
        chunks += b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    head, complete, reusable, overflowed, kept, _ = read(*(bytes([one]) for one in answer))
    assert (head.code, complete, reusable, overflowed, kept) == (200, True, True, False, content)


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n", False),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", False),
        (b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nX-A: 1\r2\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\r\n", False),
    ],
)
def test_a_connection_serves_again_where_no_two_readers_differ_on_the_answer_s_end(
    head: bytes, reusable: bool
) -> None:
    assert read(head)[2] == reusable


def test_headers_are_found_by_their_names_in_lower_case() -> None:
    head = read(b"HTTP/1.1 200 OK\r\nX-A:  1 \r\nx-a: 2\r\nX-B : 3\r\nX-C: 4\r\n 5\r\nwords\r\n\r\n")[0]
    assert head.headers == {"x-a": "1, 2", "x-b": "3", "x-c": "4 5"}


def test_as_much_of_the_body_is_kept_as_is_wanted() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
    assert [read(answer, keep=keep)[4] for keep in (0, 5, 11, 100)] == [
        b"",
        b"hello",
        b"hello world",
        b"hello world",
    ]


@pytest.mark.parametrize("piece", [1, 1000, LONGEST_HEAD * 2])
@pytest.mark.parametrize("line", [b"X-A: 1\r\n", b"X-A: " + b"a" * 300_000, b"\0"])
def test_a_head_that_does_not_end_is_given_up(line: bytes, piece: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + line * (2 * LONGEST_HEAD // len(line))
    pieces = (answer[start : start + piece] for start in range(0, len(answer), piece))
    assert read(*pieces) == ("the head of the target's answer is longer than 256 KiB",)


def test_the_longest_head_may_come_in_one_piece_with_a_long_body() -> None:
    start, end = b"HTTP/1.1 200 OK\r\nX-A: ", b"\r\nContent-Length: 500000\r\n\r\n"
    head = start + b"a" * (LONGEST_HEAD - len(start + end)) + end
    assert read(head + b"b" * 500_000, keep=0)[0].code == 200
    assert read(head.replace(b"X-A", b"X-AA") + b"b" * 500_000)[0].startswith("the head of")


def test_informational_answers_are_bounded_in_number_and_together_in_bytes() -> None:
    informational, final = b"HTTP/1.1 103 Early Hints\r\n%s\r\n", b"HTTP/1.1 200 OK\r\n\r\n"
    assert read(MOST_INFORMATIONAL * (informational % b"") + final)[0].code == 200
    assert read((MOST_INFORMATIONAL + 1) * (informational % b"")) == (
        "the target sent more than 16 informational answers",
    )
    long = informational % (b"Link: %s\r\n" % (b"a" * 100_000))
    assert read(long, long, long)[0].startswith("the head of")


def test_a_request_goes_out_in_one_piece() -> None:
    assert request() == (
        b"POST /a?b=c HTTP/1.1\r\nHost: erp.example.com\r\nX-A: 1\r\nAccept: */*\r\n"
        b"Accept-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    ("url", "path", "host"),
    [
        ("https://erp.example.com", "/", "erp.example.com"),
        ("https://erp.example.com:443/", "/", "erp.example.com"),
        ("https://ERP.example.com:8443?x=1", "/?x=1", "erp.example.com:8443"),
        ("https://[2001:DB8::1]:8443/a%20b/../c", "/a%20b/../c", "[2001:db8::1]:8443"),
        ("http://erp.example.com:80/x", "/x", "erp.example.com"),
    ],
)
def test_path_and_host_go_out_as_the_url_has_them(url: str, path: str, host: str) -> None:
    assert request(url).startswith(f"POST {path} HTTP/1.1\r\nHost: {host}\r\n".encode())


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("POST", None, True), ("PUT", b"", True), ("DELETE", None, False), ("DELETE", b"1", True)],
)
def test_a_length_is_said_of_every_body_that_there_may_be(
    method: str, body: bytes | None, length: bool
) -> None:
    assert (b"Content-Length" in request(method=method, body=body)) == length


def test_a_record_s_own_accept_headers_take_the_place_of_the_usual() -> None:
    sent = request(headers=[("accept", "text/xml"), ("ACCEPT-ENCODING", "gzip")])
    assert sent.lower().count(b"accept") == 2


@pytest.mark.parametrize("value", ["Bearer x\n", "a\r\nX-B: 2", "\0"])
def test_a_value_that_would_end_its_line_is_not_sent_and_not_told(value: str) -> None:
    with pytest.raises(ValueError, match="the header Authorization has a line break or NUL") as error:
        request(headers=[("X-A", "1"), ("Authorization", value)])
    assert "Bearer" not in str(error.value)


def test_a_value_that_utf_8_cannot_hold_is_not_sent() -> None:
    with pytest.raises(ValueError, match="a character that is none"):
        request(headers=[("X-A", "\ud800")])


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("X-GZIP", gzip.compress(b"hello", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", zlib.compress(b"hello", wbits=-15)),
        ("identity", b"hello"),
        ("br", b"hello"),
        ("gzip", b"hello"),
    ],
)
def test_a_content_is_decompressed_where_it_is_compressed(coding: str, content: bytes) -> None:
    assert decoded({"content-encoding": coding}, content, 1000) == b"hello"


def test_a_decompression_bomb_goes_off_no_further_than_the_limit() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    assert decoded({"content-encoding": "gzip"}, bomb[:60_000], 65_536) == b"0" * 65_536
