"""Query-by-example: what each operator, item method, path and order selects, and what is refused."""

from __future__ import annotations

import datetime

import oracledb
import pytest

DOCUMENTS = [
    {
        "name": "John",
        "age": 22,
        "birthday": "2000-12-15",
        "locations": [{"city": "Bangalore"}, {"city": "Other"}],
        "tags": ["a", "b"],
    },
    {
        "name": "Johnson",
        "age": 45,
        "birthday": "1978-02-03",
        "locations": [{"city": "Banaras"}, {"city": "Manhattan"}],
        "tags": [],
    },
    {
        "name": "William",
        "age": 32,
        "birthday": "1991-05-17",
        "locations": {"city": "New Banaras"},
        "tags": "a",
    },
    {
        "name": "Zoë",
        "active": True,
        "score": -1.5,
        "when": "2026-01-01T10:00:00Z",
        "nothing": None,
        "age": "45",
    },
]
J, JS, W, Z = "John", "Johnson", "William", "Zoë"


def code(error: pytest.ExceptionInfo[oracledb.Error]) -> str:
    return error.value.args[0].full_code


@pytest.fixture
def people(collection):
    collection.insertMany(DOCUMENTS)
    return collection


def found(collection, filter_) -> list[str]:
    return [document.getContent()["name"] for document in collection.find().filter(filter_).getDocuments()]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, [J, JS, W, Z]),
        ({"name": "John"}, [J]),
        ({"name": {"$eq": "John"}}, [J]),
        ({"name": {"$ne": "John"}}, [JS, W, Z]),
        ({"absent": {"$ne": 1}}, [J, JS, W, Z]),
        ({"absent": {"$nin": [1, 2]}}, [J, JS, W, Z]),
        ({"absent": {"$ne": 1, "$nin": [2]}}, []),
        ({"absent": 1}, []),
        ({"age": {"$gt": 32}}, [JS, Z]),
        ({"age": {"$gte": 32, "$lt": 45}}, [W]),
        ({"age": {"$lte": 22}}, [J]),
        ({"age": {"$between": [30, 40]}}, [W]),
        ({"age": {"$between": [None, 30]}}, [J]),
        ({"age": {"$in": [22, 32]}}, [J, W]),
        ({"age": {"$nin": [22, 32]}}, [JS, Z]),
        ({"age": {"$in": []}}, []),
        ({"age": 45}, [JS, Z]),
        ({"age": "45"}, [JS, Z]),
        ({"age": {"$numberOnly": 45}}, [JS]),
        ({"age": {"$not": {"$eq": 22}}}, [JS, W, Z]),
        ({"age": {"$not": {"$lt": 30, "$gt": 10}}}, [JS, W, Z]),
        ({"score": {"$not": {"$gt": 0}}}, [J, JS, W, Z]),
        ({"active": True}, [Z]),
        ({"active": "true"}, []),
        ({"active": {"$ne": True}}, [J, JS, W]),
        ({"nothing": None}, [Z]),
        ({"absent": None}, []),
        ({"nothing": {"$exists": True}}, [Z]),
        ({"nothing": {"$exists": False}}, [J, JS, W]),
        ({"nothing": {"$exists": 0}}, [J, JS, W]),
        ({"name": {"$like": "J%n"}}, [J, JS]),
        ({"name": {"$like": "_ohn"}}, [J]),
        ({"name": {"$startsWith": "John"}}, [J, JS]),
        ({"name": {"$hasSubstring": "ohn"}}, [J, JS]),
        ({"name": {"$instr": "ill"}}, [W]),
        ({"name": {"$regex": ".*[ho]n"}}, [J, JS]),
        ({"name": {"$regex": "oh"}}, []),
        ({"name": {"$regex": "[[:alpha:]]{4}"}}, [J]),
        ({"locations.city": {"$regex": "^Ban.*"}}, [J, JS]),
        ({"locations[*].city": {"$like": "%Ban%"}}, [J, JS, W]),
        ({"locations[0].city": "Other"}, []),
        ({"locations[1].city": "Other"}, [J]),
        ({"locations[0 to 1].city": {"$like": "%aras"}}, [JS, W]),
        ({"locations[0,1].city": "Manhattan"}, [JS]),
        ({"locations": {"$type": "array"}}, [J, JS]),
        ({"locations": {"$size": 2}}, [J, JS]),
        ({"locations": {"$exists": True}}, [J, JS, W]),
        ({"locations": {"city": "Other"}}, [J]),
        ({"locations": {"city": {"$startsWith": "B"}, "$or": [{"city": "Bangalore"}, {"city": "x"}]}}, [J]),
        ({"tags": "a"}, [J, W]),
        ({"tags": ["a", "b"]}, [J]),
        ({"tags": {"$all": ["b"]}}, [J]),
        ({"tags": {"$all": []}}, []),
        ({"tags": {"$gt": "a", "$lt": "b"}}, []),
        ({"name": {"$upper": "JOHN"}}, [J]),
        ({"name": {"$upper": {"$startsWith": "JO"}}}, [J, JS]),
        ({"name": {"$lower": {"$in": ["john", "william"]}}}, [J, W]),
        ({"name": {"$upper": {"$not": {"$eq": "JOHN"}}}}, [JS, W, Z]),
        ({"name": {"$length": {"$gt": 5}}}, [JS, W]),
        ({"name": {"$length": 3}}, [Z]),
        ({"age": {"$string": "45"}}, [JS, Z]),
        ({"age": {"$number": {"$gt": 40}}}, [JS, Z]),
        ({"age": {"$type": "string"}}, [Z]),
        ({"score": {"$abs": 1.5}}, [Z]),
        ({"score": {"$ceiling": -1}}, [Z]),
        ({"score": {"$floor": -2}}, [Z]),
        ({"active": {"$type": "boolean"}}, [Z]),
        ({"birthday": {"$date": {"$gt": "1991-01-01"}}}, [J, W]),
        ({"birthday": {"$date": "2000-12-15"}}, [J]),
        ({"when": {"$timestamp": {"$lt": "2026-01-01T12:00:00+01:00"}}}, [Z]),
        ({"$or": [{"age": {"$gt": 50}}, {"name": "John"}]}, [J]),
        ({"$and": [{"age": {"$gt": 20}}, {"name": {"$like": "J%"}}]}, [J, JS]),
        ({"$nor": [{"age": {"$gt": 40}}, {"name": "John"}]}, [W]),
        ({"$or": [{"$and": [{"name": "John"}, {"age": 22}]}, {"$nor": [{"name": {"$exists": 1}}]}]}, [J]),
        ({"name": "John", "age": 23}, []),
        ({"`name`": "John"}, [J]),
    ],
)
def test_filter_selects(people, filter_, expected):
    assert found(people, filter_) == expected
    assert people.find().filter(filter_).count() == len(expected)


def test_id_selects_by_key_beside_other_conditions(people):
    keys = [document.key for document in people.find().getDocuments()]
    assert found(people, {"$id": keys[0]}) == [J]
    assert found(people, {"$id": [*keys[:2], "none"], "age": {"$gt": 30}}) == [JS]
    assert found(people, {"_id": {"$exists": True}, "name": J}) == [J]


def test_stored_dates_are_seen_by_filters(collection):
    collection.insertMany(
        [{"name": str(year), "at": datetime.datetime(year, 7, 1, 12)} for year in (2024, 2026)]  # noqa: DTZ001 - Oracle's DATE has no zone
    )
    assert found(collection, {"at": {"$timestamp": {"$gt": "2025-01-01T00:00:00Z"}}}) == ["2026"]
    assert found(collection, {"at": {"$date": "2024-07-01"}}) == ["2024"]


def test_numbers_are_compared_exactly(collection):
    collection.insertMany(f'{{"name": "{n}", "n": 9007199254740993.{n}}}' for n in "123")
    assert found(collection, '{"n": {"$gt": 9007199254740993.1, "$lt": 9007199254740993.3}}') == ["2"]
    assert found(collection, '{"n": 9007199254740993.2}') == ["2"]


@pytest.mark.parametrize(
    "filter_",
    [
        {"a": {"$near": {"$geometry": {}}}},
        {"a": {"$contains": "x"}},
        {"a": {"$unknown": 1}},
        {"$unknown": [{"a": 1}]},
        {"$eq": 1},
        {"$id": "x", "$or": [{"$id": "y"}]},
        {"$id": {"a": 1}},
        {"$query": {"a": 1}, "b": 2},
        {"$orderby": {"a": 1}, "b": 2},
        {"$query": [], "$orderby": []},
        {"a": {}},
        {"a": {"b": 1, "$gt": 2}},
        {"a": {"$gt": 2, "b": 1}},
        {"a": {"$gt": [1]}},
        {"a": {"$gt": None}},
        {"a": {"$in": 1}},
        {"a": {"$in": [{"b": 1}]}},
        {"a": {"$between": [1]}},
        {"a": {"$between": [None, None]}},
        {"a": {"$like": 1}},
        {"a": {"$regex": "("}},
        {"a": {"$not": 1}},
        {"a": {"$not": {"$upper": "X"}}},
        {"a": {"$upper": {"$lower": "x"}}},
        {"a": {"$date": "yesterday"}},
        {"$and": []},
        {"$or": {"a": 1}},
        {"$or": [{}]},
        {"a..b": 1},
        {"a[x]": 1},
        {"": 1},
        {"$orderby": {"a": 0}},
        {"$orderby": {"a": "x"}},
        {"$orderby": [{"path": "a", "order": "up"}]},
        {"$orderby": [{"path": "a", "datatype": "blob"}]},
        {"$orderby": [{"datatype": "number"}]},
        {"$orderby": [{"path": "a[0]"}]},
        {"$orderby": [{"path": "a", "other": 1}]},
        {"$orderby": {"$fields": [{"path": "a"}], "$lax": True, "$scalarRequired": True}},
        "[]",
        '{"a": ',
        '{"$query": {"a": 1}, "$query": {}}',
    ],
)
def test_what_is_not_offered_or_not_valid_raises_and_never_matches_quietly(people, filter_):
    for use in (lambda find: find.getDocuments(), lambda find: find.count(), lambda find: find.remove()):
        with pytest.raises(oracledb.DatabaseError) as error:
            use(people.find().filter(filter_))
        assert code(error) in ("ORA-40676", "ORA-40736")
    assert people.find().count() == len(DOCUMENTS)


SORTED = [{"name": str(n), "v": value, "w": n % 2} for n, value in enumerate(["10", "9", None, "b", "a"])] + [
    {"name": "5", "w": 1}
]


@pytest.mark.parametrize(
    ("orderby", "expected"),
    [
        ([{"path": "v"}], "01432"),
        ([{"path": "v", "datatype": "varchar2", "order": "asc", "maxLength": 10}], "01432"),
        ([{"path": "v", "order": "desc"}], "23410"),
        ({"v": 1}, "01432"),
        ({"v": -1}, "23410"),
        ({"v": 2, "w": 1}, "04213"),
        ({"w": -1, "v": -2}, "31240"),
        (
            {"$fields": [{"path": "w", "datatype": "number", "order": "desc"}, {"path": "v"}], "$lax": True},
            "13042",
        ),
    ],
)
def test_order_is_that_of_oracle_with_null_as_the_greatest(collection, orderby, expected):
    collection.insertMany(SORTED[:5])
    assert "".join(found(collection, {"$query": {}, "$orderby": orderby})) == expected


def test_numbers_sort_as_numbers_and_dates_as_dates(collection):
    collection.insertMany(
        [{"name": "a", "n": 10, "d": "2026-01-02"}, {"name": "b", "n": "9", "d": "2026-01-01T10:00:00Z"}]
    )
    assert found(collection, {"$orderby": [{"path": "n", "datatype": "number"}]}) == ["b", "a"]
    assert found(collection, {"$orderby": [{"path": "n"}]}) == ["a", "b"]
    for datatype in ("date", "datetime"):
        assert found(collection, {"$orderby": [{"path": "d", "datatype": datatype, "order": "desc"}]}) == [
            "a",
            "b",
        ]


def test_order_by_what_is_no_scalar_is_an_error_unless_lax(collection):
    collection.insertMany([{"name": "list", "v": [1, 2]}, {"name": "x", "v": "x"}])
    with pytest.raises(oracledb.DatabaseError):
        found(collection, {"$orderby": [{"path": "v"}]})
    assert found(collection, {"$orderby": {"$fields": [{"path": "v"}], "$lax": True}}) == ["x", "list"]


def test_order_that_requires_scalars_fails_without_them(collection):
    collection.insertMany([{"name": "a", "v": "x"}, {"name": "b"}])
    with pytest.raises(oracledb.DatabaseError):
        found(collection, {"$orderby": {"$fields": [{"path": "v"}], "$scalarRequired": True}})
