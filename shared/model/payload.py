"""The payload of a record as bytes, in the character encoding that its Content-Type declares."""

import codecs
from typing import Any

from shared.model import json_codec
from shared.model.headers import UTF_8, content_type

_CHARSETS = frozenset(  # [IANA, Character Sets]; Python's other codecs are not for targets
    (
        *("us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be"),
        *(f"iso-8859-{part}" for part in (*range(1, 12), 13, 14, 15, 16)),
        *(f"windows-125{part}" for part in range(9)),
        *("latin1", "shift_jis", "euc-jp", "iso-2022-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr"),
        *("koi8-r", "koi8-u"),
    )
)


def encoded_payload(document: dict[str, Any]) -> bytes | None:
    """Return what is sent of a record: JSON, or a string's text if Content-Type is another; None of none.

    Raises ValueError if the declared charset is unknown, or can't express the text.

    >>> encoded_payload({"targetRestApiPayload": {"orderid": "18jan"}})
    b'{"orderid":"18jan"}'
    >>> headers = {"Content-Type": "text/plain; charset=iso-8859-1"}
    >>> encoded_payload({"targetRestApiPayload": "Bj\\u00f8rn", "targetRestApiHeaders": headers})
    b'Bj\\xf8rn'
    """
    if "targetRestApiPayload" not in document:
        return None
    payload = document["targetRestApiPayload"]
    essence, charset = content_type(document.get("targetRestApiHeaders", []))
    is_text = isinstance(payload, str) and not (essence == "application/json" or essence.endswith("+json"))
    if charset in UTF_8:
        return payload.encode() if is_text else json_codec.dump(payload)
    if charset not in _CHARSETS:
        raise ValueError(
            f"is to be sent in an unknown charset, {charset[:40]!r}, by its Content-Type; use utf-8"
        )
    text = payload if is_text else json_codec.dump_ascii(payload)
    try:
        return codecs.encode(text, charset)
    except UnicodeEncodeError:
        raise ValueError(f"has characters that its declared charset {charset!r} lacks; use utf-8") from None
