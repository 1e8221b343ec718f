"""What a hostile body gets for an answer, and what it costs beside a harmless one."""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from shared.drivers import responses
from shared.ingest import validation
from shared.ingest.validation import Conditions
from shared.model import json_codec
from shared.model.errors import MOST_NAMED, DataSyncError

Body = Callable[[int], bytes]
SIZE = 1024 * 1024


def record(headers: str) -> str:
    return (
        f'{{"targetRestApi":"https://a/","targetRestApiOperation":"DELETE","targetRestApiHeaders":{headers}}}'
    )


def times(unit: str, opening: str = "[", closing: str = "]") -> Body:
    """A body of about so many bytes, which holds this again and again."""
    return lambda size: (opening + ",".join([unit] * (size // (len(unit) + 1))) + closing).encode()


def counted(unit: str, opening: str = "{", closing: str = "}") -> Body:
    """As `times`, each with a number of its own in it."""
    return lambda size: (
        opening + ",".join(unit.replace("N", str(n)) for n in range(size // (len(unit) + 7))) + closing
    ).encode()


HOSTILE: dict[str, tuple[Body, int]] = {
    "lists in lists": (lambda size: b"[" * size, 413),
    "objects in objects": (lambda size: b'{"a":' * (size // 5), 413),
    "small objects": (times("{}"), 413),
    "small numbers": (times("1"), 413),
    "members": (counted('"N":0'), 422),
    "one member twice, at the end": (counted('"N":0', closing=',"7":1}'), 400),
    "one member again and again": (times('"a":0', "{", "}"), 413),
    "digits": (lambda size: b"9" * size, 422),
    "digits of a fraction": (lambda size: b"0." + b"1" * size, 422),
    "long numbers": (times("9" * 38), 422),
    "exponents": (times("1e99999999"), 422),
    "escapes": (lambda size: b'"' + rb"\u0041" * (size // 6) + b'"', 422),
    "NULs": (lambda size: b'"' + rb"\u0000" * (size // 6) + b'"', 422),
    "halves of surrogate pairs": (lambda size: b'"' + rb"\ud800" * (size // 6) + b'"', 400),
    "back-slashes": (lambda size: b'"' + rb"\\" * (size // 2) + b'u0000"', 422),
    "commas in a string": (lambda size: b'"' + b"," * size + b'"', 422),
    "quotes in a string without an end": (lambda size: b'"' + rb"\"," * (size // 3), 400),
    "strings without an end": (lambda size: b'[,"' * (size // 3), 413),
    "spaces": (lambda size: b" " * size, 400),
    "no UTF-8": (lambda size: b"a" * size + b"\xff", 400),
    "bad headers in a list": (times('{"key":"","value":""}', record("[")[:-1], "]}"), 413),
    "bad headers in an object": (counted('"N ":""', record("{")[:-1], "}}"), 422),
    "bad records": (times('{"id":"to be written by the system"}'), 422),
    "a long URL": (times("a.", '{"targetRestApiOperation":"DELETE","targetRestApi":"https://', '"}'), 422),
    "a long name": (times("a", record("[]")[:-1] + ',"vaultSecretName":"', '"}'), 422),
    "a long header": (times("a", record('{"a":"')[:-1], '"}}'), 422),
}


def answer(body: bytes) -> responses.Response:
    try:
        validation.read(json_codec.parse(body), Conditions())
    except DataSyncError as error:
        return responses.problem(error)
    return responses.ok(None, 202)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_in_few_words(name: str) -> None:
    body, status = HOSTILE[name]
    reply = answer(body(SIZE))
    assert reply.status == status, reply.body[:300]
    assert len(reply.body) < 150 * MOST_NAMED


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_takes_a_bounded_amount_of_memory(name: str) -> None:
    body = HOSTILE[name][0](SIZE)
    tracemalloc.start()
    answer(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 26 * SIZE


def test_a_hostile_body_takes_not_much_longer_than_a_harmless_one() -> None:
    """What grew as the square of its length would take thousands of times as long."""
    payload = '{"targetRestApi":"https://a/","targetRestApiOperation":"POST","targetRestApiPayload":"%s"}'
    harmless = seconds(times(payload % ("x" * 1000))(SIZE))
    slow = {name: seconds(body(SIZE)) / harmless for name, (body, _) in HOSTILE.items()}
    assert max(slow.values()) < 50, slow


def seconds(body: bytes) -> float:
    taken = []
    for _ in range(3):
        started = time.process_time()
        answer(body)
        taken.append(time.process_time() - started)
    return min(taken)


def test_of_many_faults_the_first_thousand_are_named() -> None:
    bad = '{"id":1,"targetRestApi":"https://a/","targetRestApiOperation":"DELETE","dead":1}'
    with pytest.raises(DataSyncError) as caught:
        validation.read(json_codec.parse(times(bad)(len(bad) * 900)), Conditions())
    assert len(caught.value.faults) == MOST_NAMED
    assert caught.value.detail.startswith(
        "The request has more than 1000 errors, of which the first are listed;"
    )


def test_values_are_counted_and_commas_in_strings_are_not() -> None:
    assert len(json_codec.parse(times("1")(2 * 99_998))) == 99_998
    assert json_codec.parse(b'["' + b",[{" * 100_000 + rb'\",\\"]') == [",[{" * 100_000 + '",\\']
    assert answer(times("1")(2 * 100_000)).status == 413
