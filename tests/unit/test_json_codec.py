"""JSON comes in and goes out exactly, and what can't be kept exactly doesn't come in."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from shared.model import json_codec
from shared.model.errors import Invalid, NotJson


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("9" * 38, int("9" * 38)),
        ("-" + "9" * 38, Decimal("-" + "9" * 38)),
        ("1" + "0" * 38, Decimal(10) ** 38),
        ("12.50", Decimal("12.50")),
        ("0.1", Decimal("0.1")),
        ("-0.0", Decimal("-0.0")),
        ("0." + "1" * 38, Decimal("0." + "1" * 38)),
        ("1e5", Decimal(100_000)),
        ("1E+125", Decimal("1e125")),
        ("1e-130", Decimal("1e-130")),
    ],
)
def test_a_number_is_read_and_written_exactly(text: str, value: int | Decimal) -> None:
    read = json_codec.parse(text.encode())
    assert read == value
    assert not isinstance(read, float)
    assert Decimal(json_codec.dump(read).decode()) == value


@pytest.mark.parametrize(
    "text", ["12.50", "0.10", "1.00", "100", "-0.0", "1" * 38, "0.1234567890123456789012345"]
)
def test_a_number_is_written_as_it_came(text: str) -> None:
    assert json_codec.dump(json_codec.parse(text.encode())) == text.encode()


@pytest.mark.parametrize(
    "number",
    [
        "1" * 39,
        "-" + "1" * 39,
        "0." + "1" * 39,
        "1" * 5000,
        "1e126",
        "1e400",
        "-1e400",
        "1e-131",
        "1e-400",
        "1e" + "9" * 30,
    ],
)
def test_a_number_that_the_database_would_round_is_refused_as_a_broken_rule(number: str) -> None:
    with pytest.raises(Invalid) as caught:
        json_codec.parse(f'{{"amount": [{number}]}}'.encode())
    assert len(caught.value.faults) == 1
    assert "string" in caught.value.detail  # says what to do


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[NaN]", '{"a": -Infinity}'])
def test_what_only_javascript_calls_a_number_is_not_json(text: str) -> None:
    with pytest.raises(NotJson):
        json_codec.parse(text.encode())


@pytest.mark.parametrize("text", ["01", "+1", ".5", "1.", "0x10", "1_000", "1e", "--1", "\u0661"])
def test_a_number_in_a_form_that_json_lacks_is_not_json(text: str) -> None:
    with pytest.raises(NotJson):
        json_codec.parse(text.encode())


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n", "{", "[1,]", '{"a": 1,}', "'a'", "{a: 1}", "[1] 2", "nil", '"\t"', '"a', "// a\n1"],
)
def test_what_is_not_json_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(NotJson, match=r"line \d+, column \d+"):
        json_codec.parse(text.encode())


@pytest.mark.parametrize(
    "body", [b"\xff", b'"\xc3"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', '"ü"'.encode("latin-1")]
)
def test_what_is_not_utf_8_is_not_json(body: bytes) -> None:
    with pytest.raises(NotJson, match="UTF-8"):
        json_codec.parse(body)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_of_unicode_are_not_json(encoding: str) -> None:
    with pytest.raises(NotJson):
        json_codec.parse('{"a": 1}'.encode(encoding))


def test_a_byte_order_mark_before_a_text_is_ignored_and_alone_is_not_json() -> None:
    assert json_codec.parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    with pytest.raises(NotJson):
        json_codec.parse(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 2, "a": 3}}]', r'{"a": 1, "\u0061": 2}']
)
def test_a_member_that_stands_twice_is_refused_by_name(text: str) -> None:
    with pytest.raises(NotJson, match="'a'"):
        json_codec.parse(text.encode())


def test_the_same_name_in_two_objects_is_no_duplicate() -> None:
    assert json_codec.parse(b'[{"a": 1}, {"a": {"a": 2}}]') == [{"a": 1}, {"a": {"a": 2}}]


@pytest.mark.parametrize(
    "text",
    [r'"\ud800"', r'"\udc00"', r'"\udc00\ud800"', r'{"\ud800": 1}', r'[["a\ud83d b"]]', r'"\ud83d\\ude00"'],
)
def test_half_of_a_surrogate_pair_is_not_json(text: str) -> None:
    with pytest.raises(NotJson, match="surrogate"):
        json_codec.parse(text.encode())


@pytest.mark.parametrize(("text", "value"), [(r'"\ud83d\ude00"', "😀"), ('"😀"', "😀"), (r'"\u00fc"', "ü")])
def test_a_character_may_be_escaped_or_not(text: str, value: str) -> None:
    assert json_codec.parse(text.encode()) == value


@pytest.mark.parametrize(
    "text", [r'"\u0000"', r'"a\u0000b"', r'{"\u0000": 1}', r'[{"a": "\\\u0000"}]', r'"\\u0000\u0000"']
)
def test_nul_is_refused_as_a_broken_rule_wherever_it_stands(text: str) -> None:
    with pytest.raises(Invalid, match="NUL"):
        json_codec.parse(text.encode())


def test_a_raw_nul_is_not_json() -> None:
    with pytest.raises(NotJson):
        json_codec.parse(b'"\x00"')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\\u0000"', r"\u0000"),
        (r'"\\\\u0000"', r"\\u0000"),
        (r'"a\\u0000\n"', "a\\u0000\n"),
        (r'{"\\u0000": "\u0001"}', {r"\u0000": "\x01"}),
    ],
)
def test_a_back_slash_before_u0000_is_no_nul(text: str, value: object) -> None:
    assert json_codec.parse(text.encode()) == value


def test_a_text_that_nests_too_deep_is_not_json() -> None:
    for opening in (b"[", b'{"a":', b'[{"a":'):
        with pytest.raises(NotJson, match="deep"):
            json_codec.parse(opening * 40_000)


@pytest.mark.parametrize(
    ("head", "opening", "closing", "tail"),
    [("", "[", "]", ""), ("", '{"a":[', "]}", ""), (r'["\u0041",', "[", "]", "]")],
)
def test_what_can_be_read_can_be_written_however_deep_it_nests(
    head: str, opening: str, closing: str, tail: str
) -> None:
    texts = {depth: head + opening * depth + closing * depth + tail for depth in range(300, 1100)}
    assert [depth for depth, text in texts.items() if not is_refused_or_written(text.encode())] == []


def is_refused_or_written(text: bytes) -> bool:
    try:
        deeper(50, json_codec.dump, json_codec.parse(text))  # who writes has another stack than who read
    except NotJson:
        return True
    except RecursionError:
        return False
    return True


def deeper(frames: int, call: Callable[[Any], bytes], value: object) -> bytes:
    return deeper(frames - 1, call, value) if frames else call(value)


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "true",
        '""',
        "[]",
        "{}",
        '{"b":1,"a":[true,false,null,{"":0.50}]}',
        '"ü 😀 \u2028 </script> \x7f"',
        r'"\"\\\n\r\t\u0001"',
    ],
)
def test_compact_text_goes_round_unchanged(text: str) -> None:
    assert json_codec.dump(json_codec.parse(text.encode())) == text.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_json_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_codec.dump(value)


@pytest.mark.parametrize(
    ("opening", "inside", "closing"), [("[", "1", "]"), ("[", "", "]"), ('{"a":', "1", "}")]
)
def test_a_hundred_levels_are_read_and_one_more_is_refused(opening: str, inside: str, closing: str) -> None:
    assert json_codec.parse(f"{opening * 100}{inside}{closing * 100}".encode()) is not None
    with pytest.raises(NotJson, match="deeper than 100"):
        json_codec.parse(f"{opening * 101}{inside}{closing * 101}".encode())
