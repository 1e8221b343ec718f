"""Query-by-example: what each operator and order selects, and what is refused."""

from __future__ import annotations

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
        ({"age": {"$in": [22, 32]}}, [J, W]),
        ({"age": {"$nin": [22, 32]}}, [JS, Z]),
        ({"age": {"$in": []}}, []),
        ({"age": 45}, [JS, Z]),
        ({"age": "45"}, [JS, Z]),
        ({"active": True}, [Z]),
        ({"active": "true"}, []),
        ({"active": {"$ne": True}}, [J, JS, W]),
        ({"nothing": None}, [Z]),
        ({"absent": None}, []),
        ({"nothing": {"$ne": None}}, [J, JS, W]),
        ({"name": {"$startsWith": "John"}}, [J, JS]),
        ({"age": {"$startsWith": "4"}}, [JS, Z]),
        ({"locations.city": {"$startsWith": "Ban"}}, [J, JS]),
        ({"tags": "a"}, [J, W]),
        ({"tags": {"$gt": "a", "$lt": "b"}}, []),
        ({"locations.city": {"$gte": "M", "$ne": "Other"}}, [JS, W]),
        ({"locations.city": {"$ne": "Other"}}, [JS, W, Z]),
        ({"$or": [{"age": {"$gt": 50}}, {"name": "John"}]}, [J]),
        ({"$or": [{"name": "John", "age": 23}, {"$and": [{"age": 32}, {"tags": {"$nin": ["b"]}}]}]}, [W]),
        ({"$and": [{"age": {"$gt": 20}}, {"name": {"$startsWith": "J"}}]}, [J, JS]),
        ({"name": "John", "age": 23}, []),
    ],
)
def test_filter_selects(people, filter_, expected):
    assert found(people, filter_) == expected
    assert people.find().filter(filter_).count() == len(expected)


def test_numbers_are_compared_exactly(collection):
    collection.insertMany(f'{{"name": "{n}", "n": 9007199254740993.{n}}}' for n in "123")
    assert found(collection, '{"n": {"$gt": 9007199254740993.1, "$lt": 9007199254740993.3}}') == ["2"]
    assert found(collection, '{"n": 9007199254740993.2}') == ["2"]


@pytest.mark.parametrize(
    "filter_",
    [
        {"a": {"$unknown": 1}},
        {"$unknown": [{"a": 1}]},
        {"$eq": 1},
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
        {"a": {"$startsWith": 1}},
        {"$and": []},
        {"$or": {"a": 1}},
        {"$or": [{}]},
        {"a..b": 1},
        {"": 1},
        {"$orderby": [{"path": "a", "order": "up"}]},
        {"$orderby": [{"path": "a", "datatype": "blob"}]},
        {"$orderby": [{"datatype": "number"}]},
        {"$orderby": [{"path": "a", "other": 1}]},
        {"$orderby": [{"path": "a", "maxLength": 0}]},
        "[]",
        '{"a": ',
        '{"$query": {"a": 1}, "$query": {}}',
    ],
)
def test_what_is_not_valid_raises_and_never_matches_quietly(people, filter_):
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
        ([{"path": "w", "datatype": "number", "order": "desc"}, {"path": "v", "order": "desc"}], "31240"),
    ],
)
def test_order_is_that_of_oracle_with_null_as_the_greatest(collection, orderby, expected):
    collection.insertMany(SORTED[:5])
    assert "".join(found(collection, {"$query": {}, "$orderby": orderby})) == expected


def test_numbers_sort_as_numbers(collection):
    collection.insertMany([{"name": "a", "n": 10}, {"name": "b", "n": "9"}])
    assert found(collection, {"$orderby": [{"path": "n", "datatype": "number"}]}) == ["b", "a"]
    assert found(collection, {"$orderby": [{"path": "n"}]}) == ["a", "b"]


def test_order_by_what_is_no_scalar_is_an_error(collection):
    collection.insertMany([{"name": "list", "v": [1, 2]}, {"name": "x", "v": "x"}])
    with pytest.raises(oracledb.DatabaseError):
        found(collection, {"$orderby": [{"path": "v"}]})
