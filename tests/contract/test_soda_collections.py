"""Collections: creating, opening, naming, truncating and dropping; and transactions around them."""

from __future__ import annotations

import oracledb
import pytest

import local.emulators.soda


def code(error: pytest.ExceptionInfo[oracledb.Error]) -> str:
    return error.value.args[0].full_code


def test_names_are_sorted_and_start_where_asked(database):
    assert database.getCollectionNames() == []
    for name in ("zCol", "dCol", "sCol", "aCol", "gCol"):
        database.createCollection(name)
    assert database.getCollectionNames() == ["aCol", "dCol", "gCol", "sCol", "zCol"]
    assert database.getCollectionNames(limit=2) == ["aCol", "dCol"]
    assert database.getCollectionNames("b", limit=3) == ["dCol", "gCol", "sCol"]
    assert database.getCollectionNames("z") == ["zCol"]


def test_missing_collection_opens_as_none(database):
    assert database.openCollection("Missing") is None
    assert database.createCollection("There").name == database.openCollection("There").name


def test_collection_that_is_there_is_opened_again(database):
    first, second = database.createCollection("Same"), database.createCollection("Same")
    assert first.drop()
    assert not second.drop()


def test_collection_needs_a_name(database):
    with pytest.raises(oracledb.DatabaseError) as error:
        database.createCollection(None)
    assert code(error) == "ORA-40658"


def test_arguments_of_the_wrong_type_are_type_errors(database, collection):
    for wrong in (
        lambda: database.createCollection(1),
        lambda: database.getCollectionNames(1),
        lambda: collection.createIndex(3),
        lambda: collection.insertOneAndGet({"a": 1}, hint=5),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_dropping_says_whether_there_was_a_collection(database):
    collection = database.createCollection("Gone")
    assert collection.drop()
    assert not collection.drop()
    assert database.openCollection("Gone") is None


def test_collection_that_was_dropped_cannot_be_used(collection):
    collection.drop()
    for use in (
        lambda: collection.insertOne({}),
        lambda: collection.find().count(),
        lambda: collection.find().getOne(),
    ):
        with pytest.raises(oracledb.DatabaseError):
            use()


def test_dropping_waits_for_a_commit(connection, database):
    collection = database.createCollection("Pending")
    collection.insertOne({"a": 1})
    with pytest.raises(oracledb.DatabaseError) as error:
        collection.drop()
    assert code(error) == "ORA-40626"
    connection.commit()
    assert collection.drop()


def test_truncating_removes_all_documents(collection):
    collection.insertMany([{"a": 1}, {"a": 2}])
    collection.truncate()
    assert collection.find().count() == 0


def test_rollback_undoes_what_was_not_committed(connection, database):
    collection = database.createCollection("Rolled")
    collection.insertOne({"a": 1})
    connection.commit()
    collection.insertOne({"a": 2})
    collection.insertMany([{"a": 3}, {"a": 4}])
    assert collection.find().count() == 4
    connection.rollback()
    assert collection.find().count() == 1


UNIQUE = {"name": "Unique", "unique": True, "fields": [{"path": "id", "maxLength": 9}]}


@pytest.mark.parametrize("autocommit", [True, False])
def test_rollback_undoes_inserting_many_that_failed(connection, database, autocommit):
    collection = database.createCollection("Atomic")
    collection.createIndex(UNIQUE)
    collection.insertOne({"id": "taken"})
    connection.commit()
    connection.autocommit = autocommit
    with pytest.raises(oracledb.IntegrityError):
        collection.insertMany([{"a": 1}, {"id": "taken"}, {"a": 2}])
    connection.rollback()
    assert collection.find().count() == 1


@pytest.mark.parametrize("autocommit", [True, False])
def test_documents_before_a_bad_one_may_be_inserted_and_committed_by_what_comes_next(
    connection, database, autocommit
):
    if "oracledb" in type(connection).__module__:
        pytest.skip("may be: what Oracle does is not documented, and the emulator does the worst")
    collection = database.createCollection("Partly")
    collection.createIndex(UNIQUE)
    collection.insertOne({"id": "taken"})
    connection.commit()
    connection.autocommit = autocommit
    for bad in ({"id": "taken"}, {"id": "too long for the index"}, "no JSON"):
        with pytest.raises(oracledb.DatabaseError) as error:
            collection.insertMany([{"bad": str(bad)}, bad, {"bad": str(bad)}])
        assert isinstance(error.value, oracledb.IntegrityError) == (bad == {"id": "taken"})
        assert code(error) != "ORA-00001"  # a code that nobody can rely on
        assert collection.find().filter({"bad": str(bad)}).count() == 1
        connection.commit()
        connection.rollback()
        assert collection.find().filter({"bad": str(bad)}).count() == 1


def test_inserting_no_document_at_all_is_an_error(collection):
    with pytest.raises(oracledb.DatabaseError) as error:
        collection.insertMany([])
    assert code(error) == "DPI-1031"


def test_closed_connection_cannot_be_used(connection, database):
    if "oracledb" in type(connection).__module__:
        pytest.skip("the fixture still needs the connection")
    collection = database.createCollection("Closed")
    connection.commit()
    with local.emulators.soda.connect(connection.session.path) as another:
        opened = another.getSodaDatabase().openCollection("Closed")
    for use in (another.commit, lambda: another.autocommit, opened.find().count, another.close):
        with pytest.raises(oracledb.InterfaceError) as error:
            use()
        assert code(error) == "DPY-1001"
    assert collection.find().count() == 0
