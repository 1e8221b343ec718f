"""Whatever a filter asks is answered the same with and without indexes, or refused with Oracle's error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oracledb
import pytest
from hypothesis import given
from hypothesis import strategies as st

import local.emulators.soda
from shared.model import json_codec
from tests.fuzz.made_up import JSON

PATHS = ("a", "b.c", "b", "n", "d.e", "d", "d[0]", "missing", "b..c", "", "$a", "a.", "`a.b`")
SCALARS = (
    st.integers(-3, 3)
    | st.decimals(-3, 3, places=1)
    | st.sampled_from(("", "a", "ab", "b", "1", "-1", "2026-01-01T00:00:00Z"))
    | st.booleans()
    | st.none()
)
DOCUMENTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "a": SCALARS,
            "b": st.fixed_dictionaries({}, optional={"c": SCALARS}) | SCALARS,
            "n": st.integers(-3, 3) | st.sampled_from(("1", "-1")) | st.none(),
            "d": st.lists(st.fixed_dictionaries({}, optional={"e": SCALARS}), max_size=3),
        },
    ),
    max_size=12,
)
OPERATORS = st.sampled_from(("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$startsWith", "$like", "$what"))
TESTS = (
    SCALARS
    | st.dictionaries(OPERATORS, SCALARS, min_size=1, max_size=3)
    | st.dictionaries(st.sampled_from(("$in", "$nin")), st.lists(SCALARS, max_size=3), max_size=1)
    | JSON
)
CONDITIONS = st.recursive(
    st.dictionaries(st.sampled_from(PATHS), TESTS, max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(("$and", "$or")), st.lists(inner, max_size=3), min_size=1, max_size=1
    ),
    max_leaves=4,
)
ORDERS = st.lists(
    st.fixed_dictionaries(
        {"path": st.sampled_from(("a", "b.c", "n"))},
        optional={
            "order": st.sampled_from(("asc", "desc")),
            "datatype": st.sampled_from(("number", "varchar2")),
        },
    ),
    max_size=2,
)
QUERIES = CONDITIONS | st.builds(lambda query, by: {"$query": query, "$orderby": by}, CONDITIONS, ORDERS)
INDEXES = (
    {"name": "a", "fields": [{"path": "a", "maxLength": 100}]},
    {"name": "n", "fields": [{"path": "n", "datatype": "number"}, {"path": "b.c"}]},
    {"name": "c", "fields": [{"path": "b.c", "order": "desc"}]},
)


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[oracledb.SodaCollection]]:
    """Two collections, the second with indexes."""
    folder: Path = tmp_path_factory.mktemp("queries")
    with local.emulators.soda.connect(folder / "fuzz.db") as connection:
        soda = connection.getSodaDatabase()
        plain, indexed = soda.createCollection("plain"), soda.createCollection("indexed")
        for index in INDEXES:
            indexed.createIndex(index)
        connection.commit()
        yield [plain, indexed]


@given(documents=DOCUMENTS, queries=st.lists(QUERIES, min_size=1, max_size=4))
def test_indexes_change_no_answer(
    collections: list[oracledb.SodaCollection], documents: list[dict[str, Any]], queries: list[Any]
) -> None:
    for collection in collections:
        collection.truncate()
        collection.insertMany([document | {"number": n} for n, document in enumerate(documents)] or [{}])
    for query in queries:
        plain, indexed = (answer(collection, query) for collection in collections)
        assert plain == indexed


def answer(collection: oracledb.SodaCollection, query: Any) -> Any:
    """Return the numbers of the documents found, or the error."""
    text = json_codec.dump(query).decode()
    try:
        found = [one.getContent().get("number") for one in collection.find().filter(text).getDocuments()]
        count = collection.find().filter(text).count() if "$orderby" not in query else len(found)
    except oracledb.Error as error:
        return error.args[0].full_code
    except NotImplementedError as error:
        return str(error)
    assert count == len(found)
    return found if "$orderby" in query else sorted(found, key=str)
