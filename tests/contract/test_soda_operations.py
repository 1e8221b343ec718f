"""Operations of find(): keys, versions, skip and limit, locks, counting, replacing, removing; indexes as seen
from outside."""

from __future__ import annotations

import oracledb
import pytest

import local.emulators.soda

PEOPLE = [
    {"name": "Anna", "age": 62},
    {"name": "Mark", "age": 37},
    {"name": "Martha", "age": 43},
    {"name": "Matthew", "age": 28},
]


def code(error: pytest.ExceptionInfo[oracledb.Error]) -> str:
    return error.value.args[0].full_code


def names(operation) -> list[str]:
    return [document.getContent()["name"] for document in operation.getDocuments()]


@pytest.fixture
def people(collection):
    collection.insertMany(PEOPLE)
    return collection


def test_document_is_found_by_key_and_by_keys(people):
    keys = [document.key for document in people.find().getDocuments()]
    assert people.find().key(keys[1]).getOne().getContent()["name"] == "Mark"
    assert sorted(names(people.find().keys(keys[1:3]))) == ["Mark", "Martha"]
    assert people.find().key("DB4A2628F1E0985C891F3F4836").getOne() is None
    assert people.find().keys(keys).key(keys[0]).count() == 1
    assert people.find().key(keys[0].upper()).count() == 1


def test_skip_and_limit_cut_a_page_out_of_the_order(people):
    by_name = {"$orderby": [{"path": "name", "order": "desc"}]}
    assert names(people.find().filter(by_name).skip(1).limit(2)) == ["Martha", "Mark"]
    assert people.find().filter(by_name).skip(3).getOne().getContent()["name"] == "Anna"
    assert people.find().filter(by_name).skip(4).getOne() is None
    assert names(people.find().filter(by_name).skip(3)) == ["Anna"]


@pytest.mark.parametrize(
    "narrowed", [lambda find: find.skip(1), lambda find: find.limit(5), lambda find: find.skip(0)]
)
def test_counting_with_skip_or_limit_is_an_error(people, narrowed):
    with pytest.raises(oracledb.DatabaseError) as error:
        narrowed(people.find()).count()
    assert code(error) == "ORA-40748"


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("limit", 0),
        ("limit", -1),
        ("skip", -1),
        ("limit", "x"),
        ("key", 2),
        ("keys", [1]),
        ("version", 1),
        ("filter", 5),
        ("hint", 2),
    ],
)
def test_criteria_of_the_wrong_type_are_type_errors(people, method, value):
    with pytest.raises(TypeError):
        getattr(people.find(), method)(value)


def test_version_selects_only_that_state_of_a_document(people):
    old = people.find().getOne()
    new = people.find().key(old.key).replaceOneAndGet({"name": "New"})
    assert people.find().key(old.key).version(old.version).getOne() is None
    assert people.find().key(old.key).version(new.version).getOne().getContent()["name"] == "New"
    assert people.find().key(old.key).version(old.version).remove() == 0
    assert people.find().key(old.key).version(new.version).remove() == 1


def test_replacing_a_stale_version_or_a_missing_key_says_false(people):
    document = people.find().getOne()
    assert people.find().key(document.key).version(document.version).replaceOne({"name": "First"}) is True
    assert people.find().key(document.key).version(document.version).replaceOne({"name": "Second"}) is False
    assert people.find().key("DB4A2628F1E0985C891F3F4836").replaceOne({"name": "Nobody"}) is False
    assert people.find().key(document.key).getOne().getContent()["name"] == "First"


def test_replacing_needs_one_key_and_no_filter(people):
    keys = [document.key for document in people.find().getDocuments()]
    for operation in (
        people.find(),
        people.find().keys(keys),
        people.find().key(keys[0]).filter({"age": 62}),
    ):
        with pytest.raises(oracledb.DatabaseError) as error:
            operation.replaceOne({"name": "x"})
        assert code(error) == "ORA-40734"


def test_removing_says_how_many_there_were_whatever_the_limit(people):
    assert people.find().filter({"name": {"$startsWith": "Ma"}}).limit(1).skip(1).remove() == 3
    assert people.find().remove() == 1
    assert people.find().count() == 0


def test_cursor_gives_one_document_after_the_other_until_it_is_closed(people):
    cursor = people.find().fetchArraySize(1).getCursor()
    assert len(list(cursor)) == len(PEOPLE)
    cursor.close()
    for use in (cursor.close, lambda: next(cursor)):
        with pytest.raises(oracledb.InterfaceError) as error:
            use()
        assert code(error) == "DPY-1006"


def test_locked_documents_can_be_read(connection, people):
    connection.autocommit = False
    assert len(people.find().lock().getDocuments()) == len(PEOPLE)
    connection.rollback()


def test_index_is_listed_and_refused_twice(people):
    spec = {"name": "by_city", "fields": [{"path": "address.city", "datatype": "varchar2", "order": "asc"}]}
    assert people.listIndexes() == []
    people.createIndex(spec)
    with pytest.raises(oracledb.DatabaseError) as error:
        people.createIndex(spec)
    assert code(error) == "ORA-40733"
    assert people.listIndexes()[0]["fields"][0]["path"] == "address.city"


@pytest.mark.parametrize(
    "spec",
    [
        {"fields": [{"path": "a"}]},
        {"name": "x", "fields": []},
        {"name": "x", "fields": [{"datatype": "number"}]},
        {"name": "x", "fields": [{"path": "a", "datatype": "blob"}]},
        {"name": "x", "fields": [{"path": "a", "order": "up"}]},
        {"name": "x", "fields": [{"path": "a", "datatype": "number", "maxLength": 3}]},
        {"name": "x", "fields": [{"path": "a"}], "nonsense": True},
        {"name": "x", "unique": True},
    ],
)
def test_index_specification_has_to_be_valid(people, spec):
    with pytest.raises(oracledb.DatabaseError):
        people.createIndex(spec)
    assert people.listIndexes() == []


def test_unique_index_refuses_a_value_twice_but_not_its_absence(collection):
    collection.createIndex({"name": "u1", "unique": True, "fields": [{"path": "id"}]})
    collection.insertMany([{"id": "a"}, {}, {"id": None}, {"id": "b"}])
    for duplicate in ({"id": "a"}, {"a": 1, "id": "b"}):
        with pytest.raises(oracledb.IntegrityError) as error:
            collection.insertOne(duplicate)
        assert code(error) == "ORA-00001"
        assert "u1" in str(error.value)
    key = collection.find().filter({"id": "b"}).getOne().key
    with pytest.raises(oracledb.IntegrityError):
        collection.find().key(key).replaceOne({"id": "a"})
    assert collection.find().count() == 4


def test_unique_index_on_several_fields_takes_a_missing_one_for_a_value(collection):
    collection.createIndex(
        {"name": "u2", "unique": True, "fields": [{"path": "a"}, {"path": "n", "datatype": "number"}]}
    )
    collection.insertMany([{"a": "x"}, {"n": 1}, {"a": "x", "n": 1}, {}, {}])
    for duplicate in ({"a": "x"}, {"n": 1.0}, {"a": "x", "n": 1}):
        with pytest.raises(oracledb.IntegrityError):
            collection.insertOne(duplicate)


def test_unique_index_cannot_be_created_over_duplicates(collection):
    collection.insertMany([{"id": "a"}, {"id": "a"}])
    with pytest.raises(oracledb.DatabaseError):
        collection.createIndex({"name": "u3", "unique": True, "fields": [{"path": "id"}]})
    assert collection.listIndexes() == []


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("number", "abc"),
        ("number", [1, 2]),
        ("varchar2", {"b": 1}),
        ("varchar2", ["x", "y"]),
        ("varchar2", "x" * 11),
    ],
)
def test_strict_index_refuses_what_it_cannot_hold(collection, datatype, value):
    field = {"path": "a", "datatype": datatype} | ({"maxLength": 10} if datatype == "varchar2" else {})
    collection.createIndex({"name": "strict", "fields": [field]})
    with pytest.raises(oracledb.DatabaseError):
        collection.insertOne({"a": value})
    collection.insertMany([{}, {"a": None}])
    assert collection.find().count() == 2


def test_index_refuses_several_values_of_one_field(collection):
    collection.createIndex({"name": "several", "fields": [{"path": "a.b", "maxLength": 10}]})
    with pytest.raises(oracledb.DatabaseError) as error:
        collection.insertOne({"a": [{"b": "x"}, {"b": "y"}]})
    assert code(error) == "ORA-40470"
    collection.insertOne({"a": [{"b": "x"}, {"c": "y"}]})


def test_answers_do_not_depend_on_indexes(collection):
    values = ["a", "b", "ab", "10", "9", 10, 9, 1.5, -1, 0, "", "true", True, False, None, "zz"]
    collection.insertMany(
        [{"name": str(n), "v": value} for n, value in enumerate(values)] + [{"name": "none"}]
    )
    queries = [
        {"v": "a"},
        {"v": 10},
        {"v": "true"},
        {"v": True},
        {"v": None},
        {"v": {"$ne": "a"}},
        {"v": {"$gt": "a"}},
        {"v": {"$gte": "9", "$lt": "b"}},
        {"v": {"$in": ["a", "10", "zz"]}},
        {"v": {"$nin": ["a", "b"]}},
        {"v": {"$in": []}},
        {"v": {"$startsWith": "a"}},
        {"$or": [{"v": "a"}, {"v": {"$gt": "y"}}]},
        {"v": {"$nin": ["a"], "$ne": "b"}},
    ]
    before = [names(collection.find().filter(query)) for query in queries]
    collection.createIndex({"name": "v_text", "fields": [{"path": "v", "datatype": "varchar2"}]})
    assert [sorted(names(collection.find().filter(query))) for query in queries] == [
        sorted(found) for found in before
    ]
    if isinstance(collection._db._conn, local.emulators.soda.Connection):
        assert "USING INDEX" in local.emulators.soda.explain(collection.find().filter({"v": "a"}))[0]


@pytest.mark.parametrize(
    "use",
    [
        lambda database, _: database.createCollection("Own", {"keyColumn": {"assignmentMethod": "CLIENT"}}),
        lambda database, _: database.createCollection("Mapped", mapMode=True),
        lambda database, _: database.createDocument(b"<html/>", mediaType="text/html"),
        lambda database, _: database.createDocument({"raw": b"x"}),
        lambda _, people: people.insertOne({"_id": "mine"}),
        lambda _, people: people.save({"a": 1}),
        lambda _, people: people.saveAndGet({"a": 1}),
        lambda _, people: people.getDataGuide(),
        lambda _, people: people.metadata,
        lambda _, people: people.dropIndex("x"),
        lambda _, people: people.createIndex({"name": "x", "lax": True, "fields": [{"path": "a"}]}),
        lambda _, people: people.createIndex({"name": "x"}),
        lambda _, people: people.createIndex({"name": "x", "fields": [{"path": "a", "datatype": "date"}]}),
        *(
            lambda _, people, filter_=filter_: people.find().filter(filter_).getOne()
            for filter_ in (
                {"a": {"$upper": "X"}},
                {"a": {"$not": {"$eq": 1}}},
                {"a": ["x"]},
                {"a": {"b": 1}},
                {"$nor": [{"a": 1}]},
                {"$id": "x"},
                {"_id": "x"},
                {"a[0]": 1},
                {"`a`": 1},
                {"$orderby": {"a": 1}},
                {"$orderby": [{"path": "a", "datatype": "date"}]},
            )
        ),
    ],
)
def test_what_oracle_has_and_nothing_here_uses_says_that_it_is_missing(database, people, use):
    if "oracledb" in type(people._db._conn).__module__:
        pytest.skip("Oracle has it")
    with pytest.raises(NotImplementedError, match="Oracle has it"):
        use(database, people)
    assert people.find().count() == len(PEOPLE)
