"""Documents: what goes in, what comes back, keys and versions, as native collections of 23ai and later have
it."""

from __future__ import annotations

import decimal
import json
from decimal import Decimal

import oracledb
import pytest


def code(error: pytest.ExceptionInfo[oracledb.Error]) -> str:
    return error.value.args[0].full_code


def stored(collection, value):
    return collection.find().key(collection.insertOneAndGet(value).key).getOne()


def test_new_document_has_its_content_and_nothing_that_storing_gives(database):
    document = database.createDocument({"a": 1}, "k")
    assert (document.getContent(), document.key, document.mediaType) == ({"a": 1}, "k", "application/json")
    assert (document.version, document.createdOn, document.lastModified) == (None, None, None)


def test_content_given_as_text_or_bytes_is_kept_as_it_is(database):
    assert database.createDocument('{"a": 1}').getContentAsString() == '{"a": 1}'
    assert database.createDocument(b"[1]").getContent() == [1]


def test_numbers_of_json_content_are_decimals(database):
    assert database.createDocument(12.2).getContent() == Decimal("12.2")
    content = database.createDocument([12, "str", [1], {"dict": "3"}]).getContentAsString()
    assert content == "[Decimal('12'), 'str', [Decimal('1')], {'dict': '3'}]"


@pytest.mark.parametrize("value", [(144, 2), {1, 2}, bytearray(b"x"), 2j, range(4)])
def test_python_types_that_json_cannot_hold_are_refused(database, value):
    with pytest.raises(oracledb.NotSupportedError) as error:
        database.createDocument(value)
    assert code(error) == "DPY-3003"


@pytest.mark.parametrize("number", [10**126, Decimal("1E-131"), int("1" * 41)])
def test_numbers_that_oracle_cannot_hold_are_refused(database, number):
    with pytest.raises(oracledb.DatabaseError) as error:
        database.createDocument({"n": number})
    assert code(error) == "DPY-4003"


def test_stored_document_comes_back_with_a_json_id_that_is_its_key(collection):
    document = stored(collection, {"name": "Ada"})
    content = document.getContent()
    assert type(content["_id"]) is oracledb.JsonId
    assert len(content["_id"]) == 12
    assert document.key.lower() == content.pop("_id").hex()
    assert content == {"name": "Ada"}


def test_all_values_of_json_survive_storing(collection):
    value = {
        "text": "ß \U0001f600 \u2028 \" \\ \x00 '",
        "empty": ["", {}, [], None],
        "flags": [True, False],
        "nested": {"a": {"b": [{"c": [[1], [2, [3]]]}]}},
        "$odd names": {"a.b": 1, "`": 2, "": 3},
    }
    content = stored(collection, value).getContent()
    del content["_id"]
    assert content == value


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "-1",
        "1.5",
        "0.1",
        "1E-7",
        "99999999999999999999999999999999999999",
        "0.12345678901234567890123456789012345678",
    ],
)
def test_numbers_come_back_exactly(collection, number):
    from_python = stored(collection, {"n": Decimal(number)}).getContent()["n"]
    from_text = stored(collection, f'{{"n": {number}}}').getContent()["n"]
    assert type(from_python) is type(from_text) is decimal.Decimal
    assert from_python == from_text == Decimal(number)


def test_zeros_at_the_end_of_a_fraction_do_not_come_back(collection):
    assert str(stored(collection, '{"n": 1.50}').getContent()["n"]) == "1.5"
    assert str(stored(collection, {"n": Decimal("100")}).getContent()["n"]) == "100"


def test_content_as_string_is_that_of_the_python_object(collection):
    document = stored(collection, {"a": 1})
    assert document.getContentAsString() == str(document.getContent())
    assert document.getContentAsBytes() == str(document.getContent()).encode()


def test_text_that_is_not_json_is_refused_when_it_is_stored(database, collection):
    document = database.createDocument("{testKey:testValue}")
    for wrong in (document, "", '{"a": NaN}', '{"a": 1} x', b"\xff\xfe\xff"):
        with pytest.raises(oracledb.DatabaseError) as error:
            collection.insertOne(wrong)
        assert code(error) in ("ORA-40780", "ORA-02290")
    assert collection.find().count() == 0


def test_json_text_in_utf_16_is_understood(collection):
    assert stored(collection, '{"a": "ü"}'.encode("utf-16-le")).getContent()["a"] == "ü"


def test_key_beside_the_content_is_refused_where_the_id_is_in_it(database, collection):
    with pytest.raises(oracledb.DatabaseError) as error:
        collection.insertOne(database.createDocument({"a": 1}, "mine"))
    assert code(error) == "ORA-40665"


def test_operations_that_return_a_document_return_it_without_content(collection):
    inserted = collection.insertOneAndGet({"a": 1}, hint="MONITOR")
    assert inserted.getContent() is None
    assert inserted.createdOn == inserted.lastModified
    (one, two) = collection.insertManyAndGet([{"a": 2}, {"a": 3}])
    assert one.key != two.key
    replaced = collection.find().key(one.key).replaceOneAndGet({"a": 4})
    assert (replaced.key, replaced.getContent()) == (one.key, None)
    assert replaced.version not in (one.version, None)


def test_replacing_keeps_the_id_whether_the_content_repeats_it_or_not(collection):
    document = stored(collection, {"a": 1})
    content = document.getContent()
    assert collection.find().key(document.key).replaceOne({"a": 2})
    assert collection.find().key(document.key).getOne().getContent() == {**content, "a": 2}
    assert collection.find().key(document.key).replaceOne({**content, "a": 3})
    assert collection.find().key(document.key).getOne().getContent() == {**content, "a": 3}


def test_replacing_with_the_id_of_another_document_is_refused(collection):
    document = stored(collection, {"a": 1})
    with pytest.raises(oracledb.DatabaseError):
        collection.find().key(document.key).replaceOne({"_id": "another"})
    with pytest.raises(oracledb.DatabaseError):
        collection.find().key(document.key).replaceOne({"_id": stored(collection, {}).getContent()["_id"]})
    assert collection.find().key(document.key).getOne().getContent() == document.getContent()


def test_json_text_is_the_same_document_as_the_object(collection):
    value = {"a": [1, 2.5, "x"], "b": None}
    one, two = (stored(collection, given).getContent() for given in (value, json.dumps(value)))
    assert {**one, "_id": 0} == {**two, "_id": 0}
