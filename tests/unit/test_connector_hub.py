"""Batches of a Stream's messages: each element is a record, or is set aside with the reason."""

import base64
import json
from typing import Any

import pytest

from shared.ingest import connector_hub
from shared.ingest.connector_hub import MOST_SET_ASIDE, Message
from shared.ingest.validation import Conditions

RECORD = {
    "targetRestApi": "https://erp.example.com/orders",
    "targetRestApiOperation": "POST",
    "targetRestApiPayload": {"orderid": "18jan"},
}
MOST_BYTES = 1000


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.b64encode(raw).decode()


def message(value: Any = RECORD, offset: Any = 0, **members: Any) -> dict[str, Any]:
    coordinates = {"stream": "orders", "partition": "0", "offset": offset}
    return {**coordinates, "key": None, "value": encoded(value), "timestamp": 1790000000000, **members}


def read(*items: Any, secrets: tuple[str, ...] = ()) -> list[Message]:
    return list(connector_hub.read([*items], Conditions(hub_secrets=secrets), MOST_BYTES))


def fault(item: Any) -> str:
    (one,) = read(item)
    assert one.members == {}
    return one.fault


@pytest.mark.parametrize(
    ("value", "is_batch"),
    [
        ([message()], True),
        ([message(), RECORD], True),
        ([7, message()], True),
        ([message() | {"region": "eu"}], True),
        ([RECORD], False),
        ([], False),
        (message(), False),
        ([{"stream": "orders", "partition": "0", "offset": 1}], False),
        ("text", False),
    ],
)
def test_a_batch_is_an_array_with_a_message_in_it(value: Any, is_batch: bool) -> None:
    assert connector_hub.is_batch(value) is is_batch


def test_value_and_key_become_a_record() -> None:
    (one,) = read(message(key=encoded(b"order-18")))
    assert one.members == RECORD | {"streamKey": "order-18"}
    assert not one.fault
    assert read(message(key=None))[0].members == read({**message(), "region": "eu"})[0].members == RECORD


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (message() | {"value": "no base64!"}, "not base64"),
        (message() | {"value": 7}, "not a string"),
        (message() | {"value": None}, "not a string"),
        (message(b"{"), "not JSON"),
        (message(b"\xff"), "not UTF-8"),
        (message([]), "/streamMessage must be an object"),
        (message({}), "/streamMessage/targetRestApi is missing"),
        (message(RECORD | {"id": 1}), "/streamMessage/id is set by the system"),
        (message(key=encoded(b"\xff")), "not UTF-8"),
        (message(key=encoded(b"a\0b")), "NUL"),
        (message(key=encoded(b"k" * 257)), "/streamKey must be a string of at most 256 characters"),
        (message(RECORD | {"vaultSecretName": "erp"}), "pass that token"),
        (message(RECORD | {"targetRestApiPayload": "x" * MOST_BYTES}), "BODY_LIMIT"),
        (7, "not a message of a Stream"),
        (None, "not a message of a Stream"),
        (["a"], "not a message of a Stream"),
        ({"stream": "orders"}, "not a message of a Stream"),
    ],
)
def test_an_element_without_a_record_says_why(item: Any, reason: str) -> None:
    assert reason in fault(item)


def test_of_a_message_without_a_record_what_is_known_of_messages_is_kept() -> None:
    item = message({}, 7, region="eu")
    assert read(item)[0].kept == {name: item[name] for name in item if name != "region"}
    assert read({"stream": "orders"})[0].kept == {"stream": "orders"}


def test_a_message_may_use_the_secrets_that_the_operator_lists() -> None:
    item = message(RECORD | {"vaultSecretName": "erp"})
    assert read(item, secrets=("erp",))[0].members["vaultSecretName"] == "erp"


def test_the_same_message_has_the_same_key_and_every_other_another() -> None:
    again, region = read(message(), message() | {"region": "eu", "timestamp": 1})
    assert again.key == region.key
    others = [
        message(offset=1),
        message(offset=10),
        message(offset=1) | {"value": "0e30="},
        message(offset=10) | {"value": "e30="},
        message() | {"partition": "1"},
        message() | {"stream": "order", "partition": "s0"},
        message(RECORD | {"note": 1}),  # a Stream that was made anew
        message({}),
        message([]),
        7,
        8,
    ]
    keys = {one.key.digest for one in [again, *read(*others)]}
    assert len(keys) == len(others) + 1


def test_as_many_elements_as_are_set_aside_at_most_say_so_each_for_itself() -> None:
    messages = read(*(message({}, number) for number in range(MOST_SET_ASIDE)))
    assert len(messages) == MOST_SET_ASIDE
    assert all("is missing" in one.fault for one in messages)


def test_beyond_that_one_stands_for_all_others_and_good_ones_are_not_concerned() -> None:
    bad = [message({}, number) for number in range(MOST_SET_ASIDE + 1)]
    items = [message(offset=-1), *bad, message(offset=10_000)]
    messages = read(*items)
    assert sum(not one.fault for one in messages) == 2
    assert sum(bool(one.fault) for one in messages) == MOST_SET_ASIDE
    assert messages[-1].fault.startswith("2 more elements")
    first, last = messages[-1].kept["first"], messages[-1].kept["last"]
    assert (first["offset"], last["offset"]) == (MOST_SET_ASIDE - 1, MOST_SET_ASIDE)
    assert [one.key for one in read(*items)] == [one.key for one in messages]
    assert read(*items, message({}, 5000))[-1].key != messages[-1].key


def test_groups_are_in_order_and_have_each_message_once() -> None:
    messages = read(*(message(offset=number) for number in (1, 2, 1, 3, 4, 4, 5)))
    groups = list(connector_hub.groups(messages, 2))
    assert [len(group) for group in groups] == [2, 2, 1]
    expected = [one.key for one in read(*(message(offset=number) for number in range(1, 6)))]
    assert [one.key for group in groups for one in group] == expected
    assert list(connector_hub.groups([], 2)) == []
