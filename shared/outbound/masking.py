"""What a target said, as it is kept: text, in which nothing is left of the token that it was sent."""

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "[masked]"

_LEAST = 4  # characters: what is shorter is masked only where it stands alone
_LONG = 8  # characters, from which what dots and colons divide is masked by itself
_TELLING = 12  # characters, with which the beginning of a longer value is masked, too
_CHARSETS = {"iso-8859-1", "latin1", "us-ascii", "windows-1252", "utf-16", "utf-16le", "utf-16be"}
_BLANK = re.compile(r"\s|\\+[nrt]?")  # base64 comes in lines; JSON escapes these, and JSON within JSON again
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w-]+)", re.IGNORECASE)
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}  # of other letters, some grow


def kept_bytes(most: int) -> int:
    """Return how many bytes of an answer are needed to keep `most` characters."""
    return 4 * most


def text_of(headers: Mapping[str, str], content: bytes, most: int) -> str:
    """Return a content's first `most` characters, whatever it is, without those that can't be seen."""
    named = _CHARSET.search(headers.get("content-type", ""))
    charset = named[1].lower() if named and named[1].lower() in _CHARSETS else "utf-8"
    text = content.decode(charset, "replace")
    return "".join(one for one in text[:most] if one.isprintable() or one in "\t\n\r")


def masked(text: str, authorization: str, most: int) -> str:
    """Return at most `most` characters of a text, without any form of an `Authorization` header's value.

    Its forms are the value, its parts, what Basic encodes [RFC 7617], and all these escaped for JSON and
    HTML, URL-encoded, and base64-encoded by themselves or within something longer, also in lines; the first
    twelve characters of any are masked like the whole.
    """
    lowered = text.translate(_LOWER)
    dense = _BLANK.sub("", lowered)
    short, forms = _hidden(authorization)
    spans = _with_blanks(lowered, [place for form in forms for place in _places(dense, form)])
    for value in short:
        alone = rf"(?<![0-9a-z]){re.escape(value)}(?![0-9a-z])"
        spans += [found.span() for found in re.finditer(alone, lowered)]
    return _without(text, spans)[:most]


@lru_cache(maxsize=32)  # many records fail with the same token
def _hidden(secret: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a secret has to hide, in lower case: short values, and the forms of longer ones.

    These are without blanks, as they are looked for.
    """
    values = _values(secret)
    short = frozenset(value.translate(_LOWER) for value in values if len(value) < _LEAST)
    longer = [value for value in values if len(value) >= _LEAST]
    forms = (_BLANK.sub("", form.translate(_LOWER)) for value in longer for form in _forms(value))
    return short, frozenset(filter(None, forms))


def _values(secret: str) -> set[str]:
    """Return what a secret has to hide: itself, its parts, and what Basic encodes of them."""
    scheme, _, rest = secret.strip().partition(" ")
    whole = {secret.strip(), rest.strip()} if rest else {scheme}
    for part in re.split(r"[\s,;]+", rest or scheme):
        value = part.partition("=")[2].strip('"')
        whole |= {part.strip('"'), value}
        whole |= {piece for piece in re.split(r"[.:]", part) if len(piece) >= _LONG}
    if scheme.lower() == "basic":
        for pair in _decoded(rest.strip()):
            user, _, password = pair.partition(":")
            whole |= {pair, user, password}
    return {value for value in whole if value.strip("=")}


def _decoded(text: str) -> list[str]:
    """Return what Basic encodes, which need not be UTF-8 [RFC 7617, section 2]; padding may be missing."""
    try:
        pair = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except ValueError:
        return []
    return [pair.decode("utf-8", "replace"), pair.decode("latin-1")]


def _with_blanks(text: str, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where places of a text without blanks stand in the text."""
    if not places:
        return []
    blank = {at for found in _BLANK.finditer(text) for at in range(*found.span())}
    at = [place for place in range(len(text)) if place not in blank]
    return [(at[begin], at[end - 1] + 1) for begin, end in places]


def _places(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Find where a form, or the beginning of it that tells, stands in a text."""
    beginning = form[:_TELLING]
    at = text.find(beginning)
    while at >= 0:
        end = at + _common(text, at, form)
        yield at, end
        at = text.find(beginning, end)
    cut_off = _cut_off(text, form)
    if cut_off is not None:
        yield cut_off, len(text)


def _common(text: str, at: int, form: str) -> int:
    """Return how many characters of a form stand at a place."""
    if text.startswith(form, at):
        return len(form)
    pairs = zip(text[at : at + len(form)], form, strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), len(text) - at)


def _cut_off(text: str, form: str) -> int | None:
    """Return where the beginning of a form stands that the end cuts off, if it is too short to tell."""
    at = text.find(form[:_LEAST], max(0, len(text) - _TELLING + 1))
    while at >= 0:
        if form.startswith(text[at:]):
            return at
        at = text.find(form[:_LEAST], at + 1)
    return None


def _forms(value: str) -> set[str]:
    plain = {value, json.dumps(value)[1:-1], html.escape(value)}
    urls = {quote(value, safe=unreserved) for unreserved in _UNRESERVED}
    urls |= {quote_plus(value, safe=unreserved) for unreserved in _UNRESERVED}
    urls |= {form.replace("~", "%7E") for form in urls}  # as Java does
    urls |= {quote(form, safe="") for form in urls}
    encoded = set(_within_base64(value.encode()))
    encoded |= {form.translate(_URLSAFE) for form in encoded}
    return plain | urls | encoded | {quote(form, safe="") for form in encoded}


_UNRESERVED = (  # what encoders leave as it is, beside letters, digits, and -._~
    "",
    "/",
    "*",
    "!'()*",  # encodeURIComponent [ECMA-262, section 19.2.6]
    ";/?:@&=+$,#!'()*",  # encodeURI
)
_URLSAFE = str.maketrans("+/", "-_")  # RFC 4648, section 5


def _within_base64(value: bytes) -> Iterator[str]:
    """Return the characters that a value has in base64, whatever stands before and behind it."""
    yield base64.b64encode(value).decode().rstrip("=")
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value).decode()
        first, last = -(-before * 8 // 6), (before + len(value)) * 8 // 6
        if last - first >= _LEAST:
            yield encoded[first:last]


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    at = 0
    for begin, end in sorted(spans):
        if end <= at:
            continue
        if begin > at or not pieces:
            pieces += [text[at:begin], MASK]
        at = end
    return "".join([*pieces, text[at:]])
