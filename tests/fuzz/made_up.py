"""Made-up values: any JSON, records near the rules, URLs near the grammar."""

import base64
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from shared.model import json_codec

TEXT = st.text(max_size=20)
NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(Decimal.normalize)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)

HOSTS = (
    *("erp.example.com", "ERP.example.com", "erp.example.com.", "a.wild.example.com", "wild.example.com"),
    *("127.0.0.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:10.0.0.1]", "8.8.8.8", "[2606:4700::1111]"),
    *("xn--bcher-kva.example", "bücher.example", "erp.example.com%2eevil.example", "", "a..b"),
)
_PARTS = ("http:", "https:", "//", "/", "\\", "@", ":", "?", "#", "%", "%2f", "..", " ", "\t", "\r\n", "\0")
URLS = st.builds(
    lambda scheme, user, host, port, rest: f"{scheme}://{user}{host}{port}{rest}",
    st.sampled_from(("https", "http", "HTTPS", "ftp", "")),
    st.sampled_from(("", "", "", "u@", "u:p@", "erp.example.com@", "@")),
    st.sampled_from(HOSTS),
    st.sampled_from(("", "", ":443", ":80", ":8443", ":", ":0", ":65536", ":\u0661", ":08443")),
    st.sampled_from(("", "/", "/a?b=c", "?q", "#f", "/%zz", "/é", "\\@evil.example/"))
    | TEXT.map("/".__add__),
) | st.lists(st.sampled_from((*_PARTS, *HOSTS)), max_size=8).map("".join)

_HEADER_NAMES = st.sampled_from(
    ("X-A", "x-a", "Content-Type", "Host", "Cookie", "Fn-X", "a b", "é", "", "TE", "User-Agent", "Accept")
)
_CONTENT_TYPES = st.sampled_from(
    (
        "text/plain",
        "text/plain;charset=latin1",
        'a/b; charset="utf-16"',
        "application/json;charset=big5",
        "charset=",
    )
)
_PAIRS = st.lists(
    st.tuples(_HEADER_NAMES | TEXT, TEXT) | st.tuples(st.just("Content-Type"), _CONTENT_TYPES), max_size=4
)
HEADERS = (
    _PAIRS.map(lambda pairs: [{"key": name, "value": value} for name, value in pairs])
    | _PAIRS.map(dict)
    | st.just([{"key": "X-A", "value": "application/json", "more": 1}])
    | JSON
)
_NAMES = ("id", "status", "_id", "datasync", "dead", "streamMessage", "streamKey", "$orderby", "a.b", "~/")
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "vaultSecretName": st.sampled_from(("erp", "a.b_c-d", "../x", "é", "", "x" * 201)) | JSON,
        "targetRestApi": URLS | JSON,
        "targetRestApiOperation": st.sampled_from(("POST", "PUT", "PATCH", "DELETE", "GET", "post")) | JSON,
        "targetRestApiPayload": JSON,
        "targetRestApiHeaders": HEADERS,
        "reference": TEXT | JSON,
    },
)
GOOD_MESSAGES = st.fixed_dictionaries(
    {
        "targetRestApi": st.sampled_from(("https://erp.example.com/a", "https://a.wild.example.com:8443/?q")),
        "targetRestApiOperation": st.sampled_from(("POST", "PUT", "PATCH", "DELETE")),
        "targetRestApiPayload": JSON,
    },
    optional={"targetRestApiHeaders": HEADERS, "vaultSecretName": st.just("erp")},
)


def _with_others(message: Any) -> Any:
    names = st.sampled_from(_NAMES) | TEXT
    return st.dictionaries(names, JSON, max_size=2).map(lambda others: others | message)


_EITHER = (MESSAGES | GOOD_MESSAGES).flatmap(_with_others)
RECORDS = (
    _EITHER
    | st.builds(lambda message, key: {"streamKey": key, "streamMessage": message}, _EITHER, TEXT | JSON)
    | JSON
)
BODIES = RECORDS | st.lists(RECORDS, max_size=3)
MESSAGES_OF_A_STREAM = st.builds(
    lambda coordinates, key, value, others: {**others, **coordinates, "key": key, "value": value},
    st.fixed_dictionaries(
        {name: st.sampled_from((0, 1, "0")) | JSON for name in ("stream", "partition", "offset")}
    ),
    TEXT.map(lambda text: base64.b64encode(text.encode()).decode()) | JSON,
    RECORDS.map(lambda value: base64.b64encode(json_codec.dump(value)).decode()) | TEXT | JSON,
    st.dictionaries(TEXT, JSON, max_size=1),
)
