"""Whatever a target answers, nothing is left in it of the token that it was sent."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbound.masking import MASK, kept_bytes, masked, text_of

TOKEN = "s3cr3t/T0ken+of~the.source=="
SPACED = "Basic " + base64.b64encode(b"orders_user:with some spaces").decode()
ODD = "k~?>k~~?k>?~o>~?"  # whose base64 has both characters that differ in URLs
NATIVE = "Basic " + base64.b64encode("orders_user:pässwörd-ÆØ".encode()).decode()
BASIC = "Basic " + base64.b64encode(b"orders_user:pa55/w+rd").decode()
VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
AROUND = st.text(max_size=40)


def plain(value: str) -> str:
    return value


def in_json(value: str) -> str:
    return json.dumps({"you sent": value})


def in_php_json(value: str) -> str:
    return json.dumps(value).replace("/", r"\/")


def in_url(value: str) -> str:
    return quote(value, safe="")


def in_lower_url(value: str) -> str:
    return quote(value, safe="").lower()


def in_path(value: str) -> str:
    return quote(value)


def in_form(value: str) -> str:
    return quote_plus(value)


def in_url_twice(value: str) -> str:
    return quote(quote(value, safe=""), safe="")


def in_uri_component(value: str) -> str:
    """As JavaScript does."""
    return quote(value, safe="!'()*")


def in_uri(value: str) -> str:
    return quote(value, safe=";/?:@&=+$,#!'()*")


def in_javas_form(value: str) -> str:
    return quote_plus(value, safe="*").replace("~", "%7E")


def in_html(value: str) -> str:
    return html.escape(value)


def in_base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def in_urlsafe_base64(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


def in_base64_in_url(value: str) -> str:
    return quote(base64.b64encode(value.encode()).decode(), safe="")


def in_lines(value: str) -> str:
    return base64.encodebytes((value * 3).encode()).decode()


def in_short_lines(value: str) -> str:
    encoded = base64.b64encode(value.encode()).decode()
    return "\r\n".join(encoded[at : at + 6] for at in range(0, len(encoded), 6))


def in_json_in_json(value: str) -> str:
    return json.dumps(json.dumps({"lines": in_short_lines(value), "text": value, "php": in_php_json(value)}))


ENCODERS = [
    in_lines,
    in_short_lines,
    in_json_in_json,
    plain,
    in_json,
    in_php_json,
    in_url,
    in_lower_url,
    in_path,
    in_form,
    in_url_twice,
    in_uri_component,
    in_uri,
    in_javas_form,
    in_html,
    in_base64,
    in_urlsafe_base64,
    in_base64_in_url,
]


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize(
    ("secret", "value"),
    [
        (f"Bearer {TOKEN}", f"Bearer {TOKEN}"),
        (f"Bearer {TOKEN}", TOKEN),
        (TOKEN, TOKEN),
        (BASIC, BASIC),
        (BASIC, BASIC.removeprefix("Basic ")),
        (BASIC, "orders_user:pa55/w+rd"),
        (BASIC, "pa55/w+rd"),
        (BASIC, "orders_user"),
        (SPACED, "with some spaces"),
        (ODD, ODD),
        (NATIVE, "pässwörd-ÆØ"),
        ('Digest username="operator", response="6629fae49393"', "6629fae49393"),
    ],
)
def test_no_form_of_a_token_is_kept(encode, secret: str, value: str) -> None:
    for said in (encode(value), f"before {encode(value)} after", encode(f"Authorization: {value} and more")):
        shown = masked(said, secret, 2000)
        assert MASK in shown
        assert encode(value) not in shown
        assert value not in shown
    assert masked(f"before {encode(value)} after", secret, 2000).endswith(" after")


@given(st.text(VISIBLE, min_size=6, max_size=80), AROUND, AROUND, st.sampled_from(ENCODERS))
def test_no_form_of_any_token_is_kept(token: str, before: str, after: str, encode) -> None:
    if not any(map(str.isalnum, token)):
        token += "a1"
    shown = masked(before + encode(token) + after, f"Bearer {token}", 5000)
    assert encode(token) not in shown


@given(st.binary(max_size=9), st.text(VISIBLE, min_size=6, max_size=80), st.binary(max_size=9))
def test_a_token_is_found_within_something_that_is_encoded(before: bytes, token: str, after: bytes) -> None:
    token += "a1"
    said = base64.b64encode(before + token.encode() + after).decode()
    shown = masked(said, f"Bearer {token}", 5000)
    assert MASK in shown
    rest = max(shown.split(MASK), key=len)
    assert len(rest) <= len(said) - len(token)


@pytest.mark.parametrize("encode", [in_json, in_json_in_json])
def test_what_json_escapes_is_masked_to_its_end(encode) -> None:
    password = 'pa"ss\\first"then/last'
    secret = "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
    shown = masked(encode(password), secret, 999)
    assert not [word for word in ("first", "then", "last") if word in shown]


def test_what_is_encoded_in_lines_is_masked_to_its_end() -> None:
    said = f"you sent:\n{in_short_lines(TOKEN)}\n"
    assert masked(said, f"Bearer {TOKEN}", 99).replace("==", "") == "you sent:\n[masked]\n"


@pytest.mark.parametrize("encode", [in_url, in_path, in_form, in_uri_component, in_uri, in_javas_form])
def test_what_is_encoded_for_urls_is_masked_to_its_end(encode) -> None:
    token = "begin!'()*~/:@$,;&=+%end"
    assert masked(f"<{encode(token)}>", f"Bearer {token}", 99) == "<[masked]>"


@pytest.mark.parametrize(
    ("pair", "charset"), [("orders_user:pässword", "latin-1"), ("orders_user:!!§§##", "utf-8")]
)
def test_what_basic_encodes_is_masked_whatever_it_is_made_of(pair: str, charset: str) -> None:
    encoded = base64.b64encode(pair.encode(charset)).decode()
    for secret in (f"Basic {encoded}", f"Basic {encoded.rstrip('=')}", f"basic  {encoded}"):
        shown = masked(f"{pair}, or <{pair.partition(':')[2]}>", secret, 99)
        assert shown == "[masked], or <[masked]>"


@given(st.integers(0, 60))
def test_a_token_that_the_end_cuts_off_is_masked(cut: int) -> None:
    said = f"you sent {TOKEN * 2}"[: 13 + cut]
    shown = masked(said, f"Bearer {TOKEN}", 2000)
    assert TOKEN[:4] not in shown
    assert shown.startswith("you sent [masked]")


def test_the_beginning_of_a_token_is_masked_like_the_whole() -> None:
    assert masked("token s3cr3t/T0ken+o… is unknown", f"Bearer {TOKEN}", 99) == "token [masked]… is unknown"


def test_a_short_password_is_masked_where_it_stands_alone() -> None:
    secret = "Basic " + base64.b64encode(b"me:xy").decode()
    assert masked("me/xy is wrong; some oxygen", secret, 99) == "[masked]/[masked] is wrong; some oxygen"


def test_what_says_nothing_of_the_token_is_kept_as_it_is() -> None:
    said = "Bearer authentication is required: {é}\n\tsee /docs"
    assert masked(said, f"Bearer {TOKEN}", 2000) == said
    assert masked(said, "", 6) == "Bearer"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/plain; charset=utf-16", TOKEN.encode("utf-16")),
        ("text/plain", TOKEN.encode("utf-16-le")),
        ("text/plain; charset=unknown", TOKEN.encode()),
        ("text/plain; charset=utf-7", TOKEN.encode()),
        ('text/html; charset="ISO-8859-1"', TOKEN.encode()),
        ("", "\u200b".join(TOKEN).encode()),
        ("", b"\0".join(bytes([one]) for one in TOKEN.encode())),
    ],
)
def test_a_token_is_seen_whatever_charset_is_named(kind: str, content: bytes) -> None:
    assert masked(text_of({"content-type": kind}, content, 2000), TOKEN, 2000) == MASK


def test_text_has_no_characters_that_can_not_be_seen() -> None:
    assert text_of({}, b"a\x1b[31m\0b\xff\n", 2000) == "a[31mb\N{REPLACEMENT CHARACTER}\n"
    assert text_of({"content-type": "text/plain; charset=latin1"}, b"caf\xe9", 2000) == "café"


def test_enough_bytes_are_kept_for_the_widest_characters() -> None:
    wide = "😀" * 10
    assert text_of({}, wide.encode()[: kept_bytes(10)], 10) == wide
