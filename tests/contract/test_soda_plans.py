"""Indexes of the local SODA are really used: query plans, and the same answers with and without them."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import oracledb
import pytest

import local.emulators.soda

DUE = {
    "name": "due",
    "fields": [
        {"path": "delivery.due", "datatype": "varchar2", "maxLength": 100},
        {"path": "delivery.partition", "datatype": "number"},
        {"path": "delivery.lane", "datatype": "varchar2", "maxLength": 100},
        {"path": "delivery.target", "datatype": "varchar2", "maxLength": 100},
    ],
}
BY_DUE = [{"path": "delivery.due", "datatype": "varchar2", "order": "asc", "maxLength": 100}]
WHAT_IS_DUE = {
    "delivery.due": {"$gt": "2026", "$lt": "2027"},
    "delivery.partition": {"$in": [1, 2, 3]},
    "delivery.lane": {"$nin": ["x"]},
    "delivery.target": {"$nin": ["y"]},
}


@pytest.fixture
def records(tmp_path):
    connection = local.emulators.soda.connect(tmp_path / "plans.db")
    connection.autocommit = True
    collection = connection.getSodaDatabase().createCollection("records")
    collection.createIndex(DUE)
    collection.createIndex({"name": "ids", "unique": True, "fields": [{"path": "id", "maxLength": 64}]})
    collection.createIndex({"name": "replay", "fields": [{"path": "delivery.replay", "maxLength": 64}]})
    collection.createIndex({"name": "newest", "fields": [{"path": "at", "order": "desc"}]})
    collection.insertMany([_record(n) for n in range(400)])
    yield collection
    connection.close()


def _record(number):
    delivery = {"partition": number % 16, "lane": "xyz"[number % 3], "target": "xy"[number // 2 % 2]}
    if number % 4:
        delivery["due" if number % 2 else "replay"] = f"2026-{number:05}"
    return {"id": f"{number:05}", "at": f"2026-01-01T00:{number % 60:02}:00Z", "delivery": delivery}


def _ids_due():
    due = (number for number in range(400) if number % 2 and number % 16 in (1, 2, 3))
    return [f"{number:05}" for number in due if number % 3 and not number // 2 % 2]


def plan(operation) -> str:
    return "; ".join(local.emulators.soda.explain(operation))


def test_what_is_due_is_read_from_its_index_in_order(records):
    operation = records.find().filter({"$query": WHAT_IS_DUE, "$orderby": BY_DUE}).limit(5)
    assert plan(operation).startswith("SEARCH soda:records USING INDEX due (")
    assert "TEMP B-TREE" not in plan(operation)
    assert [document.getContent()["id"] for document in operation.getDocuments()] == _ids_due()[:5]


def test_conditions_on_later_fields_are_answered_inside_the_index(records, monkeypatch):
    def fail(*_):
        raise AssertionError("a document was read")

    monkeypatch.setattr("local.emulators.soda.session.decode", fail)
    session = records._db._conn.session
    session._last = ("", None)
    assert records.find().filter(WHAT_IS_DUE).count() == len(_ids_due()) > 5
    with pytest.raises(AssertionError):  # and this is how reading one would show
        records.find().filter({"delivery.other": "x"}).count()


def test_finished_documents_are_not_in_the_index(records):
    connection = records._db._conn
    found = connection.catalog.existing("records")
    column = next(index.fields[0].field.column for index in found.indexes if index.name == "replay")
    entries = f'SELECT count(*) FROM "soda:records" INDEXED BY replay WHERE {column} IS'  # noqa: S608 - a column of this test's own
    assert connection.session.query(f"{entries} NOT NULL") == [(100,)]
    with pytest.raises(oracledb.OperationalError):  # SQLite cannot use an index that lacks what is asked for
        connection.session.query(f"{entries} NULL")


def test_negative_numbers_stand_in_an_index_in_their_order(records):
    numbers = ["-1", "-1.5", "-1.25", "-10", "0", "0.5", "-0.001", "2", "12", "-99999999999999999999"]
    records.createIndex({"name": "by_n", "fields": [{"path": "n", "datatype": "number"}]})
    records.insertMany([f'{{"id": "n{number}", "n": {number}}}' for number in numbers])
    orderby = [{"path": "n", "datatype": "number"}]
    operation = records.find().filter({"$query": {"n": {"$gte": -11}}, "$orderby": orderby})
    assert plan(operation).startswith("SEARCH soda:records USING INDEX by_n")
    expected = sorted(Decimal(number) for number in numbers[:-1])
    assert [document.getContent()["n"] for document in operation.getDocuments()] == expected


@pytest.mark.parametrize(
    ("filter_", "index"),
    [
        ({"id": "00007"}, "ids"),
        ({"id": {"$in": ["00007", "00008"]}}, "ids"),
        ({"id": {"$startsWith": "0001"}}, "ids"),
        ({"id": {"$gte": "00001", "$lte": "00009"}, "name": "x"}, "ids"),
        (
            {
                "$query": {"delivery.replay": {"$gt": "2026"}, "delivery.lane": "x"},
                "$orderby": [{"path": "delivery.replay", "maxLength": 64}],
            },
            "replay",
        ),
        (
            {
                "$query": {"at": {"$gt": "2026-01-01T00:30:00Z"}},
                "$orderby": [{"path": "at", "order": "desc"}],
            },
            "newest",
        ),
        ({"id": 7}, None),
        ({"id": {"$ne": "00007"}}, None),
        ({"other": "x"}, None),
    ],
)
def test_index_is_used_where_the_type_of_the_value_is_its_own(records, filter_, index):
    shown = plan(records.find().filter(filter_))
    assert shown.startswith(f"SEARCH soda:records USING INDEX {index} (" if index else "SCAN soda:records")
    assert "TEMP B-TREE" not in shown


def test_key_and_version_are_found_in_the_index_of_keys(records):
    document = records.find().getOne()
    assert "(key=?)" in plan(records.find().key(document.key).version(document.version))


# ---- the same answers, with and without indexes, and from a matcher that knows nothing of either ----

VALUES = [
    "a",
    "b",
    "ab",
    "",
    "10",
    "9",
    10,
    9,
    1.5,
    -3,
    True,
    False,
    None,
    {"b": "a"},
    ["a", "b"],
    [10, "9"],
    [[1]],
    [{"b": 1}],
]
ABSENT = object()


def _items(document, path):
    found = [document]
    for name in path.split("."):
        flat = [item for value in found for item in (value if isinstance(value, list) else [value])]
        found = [item[name] for item in flat if isinstance(item, dict) and name in item]
    return [item for value in found for item in (value if isinstance(value, list) else [value])]


def _text(item):
    return (
        item
        if isinstance(item, str)
        else str(item).lower()
        if isinstance(item, bool | int | float)
        else ABSENT
    )


def _number(item):
    if isinstance(item, bool):
        return ABSENT
    try:
        return Decimal(str(item)) if isinstance(item, str | int | float) else ABSENT
    except ArithmeticError:
        return ABSENT


def _compare(item, operator, value):
    if isinstance(value, bool) or value is None:
        return type(item) is type(value) and item == value
    if isinstance(value, str) and value in ("true", "false") and isinstance(item, bool):
        return False
    left = _text(item) if isinstance(value, str) else _number(item)
    right = value if isinstance(value, str) else Decimal(str(value))
    if left is ABSENT:
        return False
    return {
        "$eq": left == right,
        "$gt": left > right,
        "$gte": left >= right,
        "$lt": left < right,
        "$lte": left <= right,
    }[operator]


def _matches(document, path, operator, value):
    items = _items(document, path)
    if operator in ("$in", "$nin"):
        return any(_compare(item, "$eq", one) for item in items for one in value) == (operator == "$in")
    if operator == "$ne":
        return not any(_compare(item, "$eq", value) for item in items)
    return any(_compare(item, operator, value) for item in items)


def _condition(chance):
    path = chance.choice(["v", "v.b", "w", "n"])
    operator = chance.choice(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"])
    scalars = [
        value for value in VALUES if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
    if operator in ("$in", "$nin"):
        return path, operator, chance.sample(scalars, chance.randint(1, 3))
    return path, operator, chance.choice(scalars)


@pytest.mark.parametrize("seed", range(6))
def test_random_filters_give_the_same_answers_with_and_without_indexes(tmp_path, seed):
    chance = random.Random(seed)
    connection = local.emulators.soda.connect(tmp_path / "random.db")
    plain, indexed = (connection.getSodaDatabase().createCollection(name) for name in ("plain", "indexed"))
    indexes = [
        {"name": "n", "fields": [{"path": "n", "datatype": "number", "order": "desc"}, {"path": "w"}]},
        {"name": "w", "fields": [{"path": "w"}]},
    ]
    for spec in indexes[seed % 2 :]:
        indexed.createIndex(spec)
    documents = {}
    for number in range(60):
        document = {"number": number, "w": chance.choice(["a", "b", "10", 9, True, None])}
        document["n"] = chance.choice([10, 9, "9", -3, 1.5, None])
        if chance.random() < 0.9:
            document["v"] = chance.choice(VALUES)
        documents[number] = document
        plain.insertOne(document)
        indexed.insertOne(json.dumps(document))
    for _ in range(60):
        conditions = [_condition(chance) for _ in range(chance.randint(1, 2))]
        filter_ = {"$and": [{path: {operator: value}} for path, operator, value in conditions]}
        expected = sorted(
            number
            for number, document in documents.items()
            if all(_matches(document, *part) for part in conditions)
        )
        for collection in (plain, indexed):
            assert (
                sorted(
                    found.getContent()["number"] for found in collection.find().filter(filter_).getDocuments()
                )
                == expected
            ), filter_
            assert collection.find().filter(filter_).count() == len(expected)
    connection.close()


def test_query_stays_right_when_another_connection_changes_the_indexes(tmp_path):
    one, two = (local.emulators.soda.connect(tmp_path / "shared.db") for _ in range(2))
    one.autocommit = two.autocommit = True
    here = one.getSodaDatabase().createCollection("c")
    here.insertMany([{"a": "x"}, {"a": "y"}])
    there = two.getSodaDatabase().openCollection("c")
    there.createIndex({"name": "ix", "fields": [{"path": "a"}]})
    assert "USING INDEX ix" in plan(here.find().filter({"a": "x"}))
    here.insertOne({"a": "x"})
    assert there.find().filter({"a": "x"}).count() == 2
    with pytest.raises(oracledb.DatabaseError):
        there.createIndex({"name": "iy", "unique": True, "fields": [{"path": "a"}]})
    assert here.find().filter({"a": {"$gt": "x"}}).count() == 1
    one.close()
    two.close()
