"""Access tokens: from whatever a token URL answers with."""

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest

from shared.model import targets
from shared.model.answer import Answer
from shared.outbound.oauth import AccessTokens, AuthorizedSender
from shared.outbound.sender import Sender
from tests.contract import raw_target
from tests.contract.clients import SETTINGS, terms
from tests.contract.raw_target import good

TOKEN = {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600}


def answered(content: bytes, status: str = "200 OK", *headers: str) -> list[bytes]:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(content)}", "", ""]
    return ["\r\n".join(lines).encode() + content]


async def sent(token_answer: list[bytes]) -> tuple[Answer, raw_target.RawTarget]:
    """Send a record whose secret has this answer's token URL."""
    async with raw_target.running({"/token": token_answer, "/api": [good("/api")]}) as target:
        settings = replace(SETTINGS, allowed_targets=targets.parse_allowed(target.url))
        secret = json.dumps({"token_url": f"{target.url}/token", "client_id": "a", "client_secret": "b"})
        document = {"id": "1", "targetRestApi": f"{target.url}/api", "targetRestApiOperation": "DELETE"}
        async with Sender(settings) as sender:
            answer = await AuthorizedSender(sender, AccessTokens()).send(document, secret, terms())
        return answer, target


@pytest.mark.parametrize(
    ("members", "headers"),
    [
        ({}, []),
        ({"token_type": "bearer"}, []),
        ({"token_type": "BearerToken"}, []),  # Apigee's word
        ({}, ["Content-Encoding: gzip"]),
    ],
)
async def test_a_token_is_found_in_what_token_urls_answer(
    members: dict[str, Any], headers: list[str]
) -> None:
    content = json.dumps(TOKEN | members).encode()
    answer, target = await sent(answered(gzip.compress(content) if headers else content, "200 OK", *headers))
    assert answer.code == 299, answer
    assert target.received == {"/token": 1, "/api": 1}
    assert target.connections["/token"] != target.connections["/api"]  # each proves something else


async def test_a_token_url_s_retry_after_is_the_record_s() -> None:
    answer, target = await sent(answered(b"", "429 Too Many Requests", "Retry-After: 3600"))
    assert answer.reason == "no access token: at the token URL: the target answered 429 Too Many Requests"
    assert (answer.retry_after, answer.sent) == (3600.0, "no")
    assert target.received == {"/token": 1}


async def test_a_token_url_that_refuses_the_client_says_nothing_of_the_target() -> None:
    refused, _ = await sent(answered(b'{"error": "invalid_client"}', "401 Unauthorized"))
    assert refused.reason.endswith("401 Unauthorized (invalid_client)")
    assert refused.connected
    down, _ = await sent(answered(b"", "503 Service Unavailable"))
    assert not down.connected
