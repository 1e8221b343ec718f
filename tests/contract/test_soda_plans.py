"""The local SODA serves by an index what Oracle is known to serve, reads all else, and answers the same."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import oracledb
import pytest

import local.emulators.soda

ROOT = Path(__file__).resolve().parents[2]
INDEXES = [
    {"name": "ids", "unique": True, "fields": [{"path": "id", "maxLength": 64}]},
    {"name": "due", "fields": [{"path": "state.due", "maxLength": 64}]},
    {
        "name": "failed",
        "fields": [
            {"path": "state.code", "maxLength": 20},
            {"path": "state.part", "datatype": "number"},
            {"path": "state.failed", "maxLength": 64},
        ],
    },
    {"name": "newest", "fields": [{"path": "at", "maxLength": 40, "order": "desc"}]},
]


@pytest.fixture
def records(tmp_path):
    connection = local.emulators.soda.connect(tmp_path / "plans.db")
    connection.autocommit = True
    collection = connection.getSodaDatabase().createCollection("records")
    for index in INDEXES:
        collection.createIndex(index)
    collection.insertMany([_record(number) for number in range(400)])
    yield collection
    connection.close()


def _record(number):
    state = {"part": number % 16, "target": "xy"[number // 2 % 2]}
    if number % 4:
        state |= {"due": f"2026-{number:05}"}
    else:
        state |= {"code": "45"[number // 4 % 2] + "00", "failed": f"{number:05}"}
    return {"id": f"{number:05}", "at": f"2026-01-01T00:{number % 60:02}:00Z", "state": state}


def ordered(path, length, **more):
    return [{"path": path, "datatype": "varchar2", "maxLength": length} | more]


def plan(operation) -> str:
    return "; ".join(local.emulators.soda.explain(operation))


def ids(operation) -> list[str]:
    return [document.getContent()["id"] for document in operation.getDocuments()]


RANGE = [{"state.due": {"$gt": "2026-00100"}}, {"state.due": {"$lte": "2026-00109"}}]


@pytest.mark.parametrize(
    ("filter_", "shown"),
    [
        ({"id": "00007"}, "ids (id=?)"),
        ({"id": {"$eq": "00007"}}, "ids (id=?)"),
        ({"id": {"$gt": "00390"}}, "ids (id>?)"),
        ({"id": {"$gte": "00390"}}, "ids (id>?)"),
        ({"id": {"$lt": "00009"}}, "ids (id<?)"),
        ({"id": {"$lte": "00009"}}, "ids (id<?)"),
        ({"$and": RANGE}, "due (due>? AND due<?)"),
        ({"$and": [{"$and": RANGE}, {"state.target": "x"}]}, "due (due>? AND due<?)"),
        ({"$or": [{"id": "00007"}, {"id": {"$eq": "00008"}}]}, "ids (id=?)"),
        ({"$or": [{"id": "00007"}]}, "ids (id=?)"),
        ({"$or": [{"id": "00007"}, {"id": "00008"}], "state.part": {"$in": [7]}}, "ids (id=?)"),
        # a composite index, by equalities on its first fields and one condition more
        ({"state.code": "400"}, "failed (code=?)"),
        ({"state.code": {"$gt": "400"}, "state.part": 4}, "failed (code>?)"),
        ({"state.code": "400", "state.part": 4}, "failed (code=? AND part=?)"),
        ({"state.code": "400", "state.failed": {"$gt": "00200"}}, "failed (code=?)"),
        (
            {"state.code": "400", "state.part": 4, "state.failed": {"$gt": "00200"}},
            "failed (code=? AND part=? AND failed>?)",
        ),
        ({"state.code": "400", "$or": [{"state.part": 4}, {"state.part": 8}]}, "failed (code=? AND part=?)"),
        # the more of an index is given, the better
        ({"id": {"$gt": "00002"}, "state.code": "400"}, "failed (code=?)"),
        ({"id": "00004", "state.code": {"$gt": "400"}}, "ids (id=?)"),
        ({"$and": [*RANGE, {"id": {"$gt": "00002"}}]}, "due (due>? AND due<?)"),
        ({"$or": [{"at": "x"}, {"at": "y"}], "$and": [*RANGE]}, "newest (at=?)"),
    ],
)
def test_what_oracle_is_known_to_serve_is_served(records, filter_, shown):
    names = {
        item["path"].rpartition(".")[2]: field.column
        for index, found in zip(
            sorted(INDEXES, key=lambda index: index["name"]),
            records._db._conn.catalog.existing("records").indexes,
            strict=True,
        )
        for item, field in zip(index["fields"], [one.field for one in found.fields], strict=True)
    }
    seen = plan(records.find().filter(filter_))
    for name, column in names.items():
        seen = seen.replace(column, name)
    assert seen == f"SEARCH soda:records USING INDEX {shown}"


@pytest.mark.parametrize(
    "filter_",
    [
        {"id": {"$in": ["00007"]}},
        {"id": {"$nin": ["00007"]}},
        {"id": {"$ne": "00007"}},
        {"id": {"$startsWith": "0000"}},
        {"id": {"$gt": "00007", "$lt": "00009"}},  # not what $and of the same is translated to
        {"id": 7},
        {"id": None},
        {"$or": [{"id": "00007"}, {"state.due": "2026-00007"}]},
        {"$or": [{"id": "00007"}, {"id": {"$gt": "00300"}}]},
        {"$or": [{"id": "00007"}, {"id": 8}]},
        {"$or": [{"id": "00007"}, {"id": "00008", "state.part": 8}]},
        {"state.part": 4},
        {"state.part": 4, "state.failed": {"$gt": "00200"}},
        {"other": "x"},
        {"$query": {}, "$orderby": ordered("id", 64)},
        {},
    ],
)
def test_what_oracle_is_not_known_to_serve_reads_all(records, filter_):
    sorting = "; USE TEMP B-TREE FOR ORDER BY" if "$orderby" in filter_ else ""
    assert plan(records.find().filter(filter_)) == f"SCAN soda:records{sorting}"


@pytest.mark.parametrize(
    ("query", "orderby", "is_served"),
    [
        ({"state.due": {"$gt": "2026"}}, ordered("state.due", 64), True),
        ({"state.due": {"$gt": "2026"}}, ordered("state.due", 64, order="desc"), True),
        ({"at": {"$gt": "2026"}}, ordered("at", 40), True),
        ({"at": {"$gt": "2026"}}, ordered("at", 40, order="desc"), True),
        ({"state.due": {"$gt": "2026"}}, ordered("state.due", 65), False),
        ({"state.due": {"$gt": "2026"}}, [{"path": "state.due"}], False),
        ({"state.due": {"$gt": "2026"}}, [{"path": "state.due", "datatype": "number"}], False),
        ({"state.due": {"$gt": "2026"}}, ordered("id", 64), False),
        (
            {"state.code": "400", "state.part": 8, "state.failed": {"$gt": "0"}},
            ordered("state.failed", 64),
            True,
        ),
        ({"state.code": "400", "state.failed": {"$gt": "0"}}, ordered("state.failed", 64), False),
        ({"$or": [{"state.code": "400"}, {"state.code": "500"}]}, ordered("id", 64), False),
    ],
)
def test_order_is_served_by_the_same_index_with_its_own_type_and_length(records, query, orderby, is_served):
    operation = records.find().filter({"$query": query, "$orderby": orderby})
    if orderby[0].get("datatype") != "number":  # no text that sorts as one is a number here
        documents = [document.getContent() for document in operation.getDocuments()]
        path = orderby[0]["path"].split(".")
        values = [document[path[0]][path[1]] if path[1:] else document[path[0]] for document in documents]
        assert values == sorted(values, reverse=orderby[0].get("order") == "desc")
        assert values
    assert plan(operation).startswith("SEARCH")
    assert ("TEMP B-TREE" not in plan(operation)) is is_served


def test_keys_are_read_by_the_primary_key_whatever_else_is_asked(records):
    keys = [document.key for document in records.find().limit(3).getDocuments()]
    for operation in (
        records.find().keys(keys),
        records.find().key(keys[0]).version("x"),
        records.find().keys(keys).filter({"id": {"$gt": "00000"}, "state.part": {"$in": [1, 2]}}),
    ):
        assert plan(operation) == "SEARCH soda:records USING INDEX sqlite_autoindex_soda:records_1 (key=?)"
    assert ids(operation) == ["00001", "00002"]


def test_more_keys_than_a_list_of_oracle_holds_are_refused(records):
    keys = [document.key for document in records.find().limit(1).getDocuments()] * 1001
    assert records.find().keys(keys[:1000]).count() == 1
    with pytest.raises(oracledb.DatabaseError) as error:
        records.find().keys(keys).remove()
    assert error.value.args[0].full_code == "ORA-01795"


def test_no_document_is_read_for_what_the_index_answers(records, monkeypatch):
    def fail(*_):
        raise AssertionError("a document was read")

    monkeypatch.setattr("local.emulators.soda.session.decode", fail)
    records._db._conn.session._last = ("", None)
    assert records.find().filter({"$and": RANGE}).count() == 7
    with pytest.raises(AssertionError):  # and this is how reading one would show
        records.find().filter({"$and": RANGE, "state.part": 8}).count()


def test_what_no_index_serves_is_asked_only_of_what_an_index_gives(records, monkeypatch):
    read = []
    decode = local.emulators.soda.session.decode
    monkeypatch.setattr("local.emulators.soda.session.decode", lambda body: read.append(body) or decode(body))
    filter_ = {"$and": RANGE, "state.target": {"$nin": ["x"]}, "state.part": {"$in": [6, 7, 9]}}
    assert records.find().filter(filter_).count() == 2
    assert len(read) == 7


def test_documents_without_its_fields_are_not_in_an_index(records):
    connection = records._db._conn
    found = connection.catalog.existing("records")
    column = next(index.fields[0].field.column for index in found.indexes if index.name == "due")
    entries = f'SELECT count(*) FROM "soda:records" INDEXED BY due WHERE {column} IS'  # noqa: S608 - a column of this test's own
    assert connection.session.query(f"{entries} NOT NULL") == [(300,)]
    with pytest.raises(oracledb.OperationalError):  # SQLite cannot use an index that lacks what is asked for
        connection.session.query(f"{entries} NULL")


def test_removing_goes_by_the_index_too(records):
    filter_ = {"$and": RANGE, "state.target": {"$nin": ["x"]}}
    expected = records.find().filter(filter_).count()
    assert records.find().filter(filter_).remove() == expected > 0
    assert records.find().count() == 400 - expected


def test_negative_numbers_stand_in_an_index_in_their_order(records):
    numbers = ["-1", "-1.5", "-1.25", "-10", "0", "0.5", "-0.001", "2", "12", "-99999999999999999999"]
    records.createIndex({"name": "by_n", "fields": [{"path": "n", "datatype": "number"}]})
    records.insertMany([f'{{"id": "n{number}", "n": {number}}}' for number in numbers])
    orderby = [{"path": "n", "datatype": "number"}]
    operation = records.find().filter({"$query": {"n": {"$gte": -11}}, "$orderby": orderby})
    assert plan(operation).startswith("SEARCH soda:records USING INDEX by_n")
    assert "TEMP B-TREE" not in plan(operation)
    expected = sorted(Decimal(number) for number in numbers[:-1])
    assert [document.getContent()["n"] for document in operation.getDocuments()] == expected


# ---- what is asked can be seen ----

ASK = """
import sys, local.emulators.soda
collection = local.emulators.soda.connect(sys.argv[1]).getSodaDatabase().openCollection("records")
collection.find().filter({"id": {"$ne": "x"}}).count()
"""


def test_trace_shows_each_operation_of_all_processes_once_with_its_plan(records, tmp_path, monkeypatch):
    file = tmp_path / "trace.jsonl"
    monkeypatch.setenv("DATASYNC_SODA_TRACE", str(file))
    for number in range(3):
        some = {"$or": [{"id": f"{number:05}"}, {"id": "00009"}], "n": {"$in": list(range(number + 1))}}
        page = {"$query": some, "$orderby": ordered("id", 64)}
        records.find().filter(page).limit(number + 1).getDocuments()
    records.find().filter({"id": "00001"}).getOne()
    key = records.find().limit(1).getDocuments()[0].key
    records.find().keys([key]).remove()
    subprocess.run([sys.executable, "-c", ASK, tmp_path / "plans.db"], cwd=ROOT, check=True)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["operation"], line["keys"], line["limited"]) for line in lines] == [
        ("getCursor", False, True),
        ("getOne", False, False),
        ("getCursor", False, True),
        ("remove", True, False),
        ("count", False, False),
    ]
    assert lines[0]["collection"] == "records"
    assert lines[0]["filter"] == {"$or": [{"id": "string"}], "n": {"$in": ["number"]}}
    assert lines[0]["order"] == ordered("id", 64)
    assert [line["plan"][0].split(" (")[0] for line in lines] == [
        "SEARCH soda:records USING INDEX ids",
        "SEARCH soda:records USING INDEX ids",
        "SCAN soda:records",
        "SEARCH soda:records USING INDEX sqlite_autoindex_soda:records_1",
        "SCAN soda:records",
    ]


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
