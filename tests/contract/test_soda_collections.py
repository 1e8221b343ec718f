"""Collections: creating, opening, naming, metadata, truncating and dropping; and transactions around them."""

from __future__ import annotations

import oracledb
import pytest


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


def test_collection_of_the_same_name_and_metadata_is_opened_again(database):
    first = database.createCollection("Same", {"readOnly": True})
    second = database.createCollection("Same", {"readOnly": True})
    assert first.drop()
    assert not second.drop()


def test_collection_of_the_same_name_with_other_metadata_is_refused(database):
    database.createCollection("Other")
    with pytest.raises(oracledb.DatabaseError) as error:
        database.createCollection("Other", {"readOnly": False})
    assert code(error) == "ORA-40669"


@pytest.mark.parametrize(
    ("name", "metadata", "expected"), [(None, None, "ORA-40658"), ("Bad", 7, "ORA-40675")]
)
def test_name_and_metadata_have_to_be_valid(database, name, metadata, expected):
    with pytest.raises(oracledb.DatabaseError) as error:
        database.createCollection(name, metadata)
    assert code(error) == expected


def test_arguments_of_the_wrong_type_are_type_errors(database, collection):
    for wrong in (
        lambda: database.createCollection(1),
        lambda: database.getCollectionNames(1),
        lambda: collection.createIndex(3),
        lambda: collection.insertOneAndGet({"a": 1}, hint=5),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_metadata_name_the_table_and_say_that_the_collection_is_native(collection):
    assert collection.metadata["tableName"] == collection.name
    assert collection.metadata["native"] is True


def test_read_only_collection_refuses_writes(database):
    collection = database.createCollection("ReadOnly", {"readOnly": True})
    for write in (collection.insertOne, collection.insertOneAndGet, collection.save, collection.saveAndGet):
        with pytest.raises(oracledb.DatabaseError) as error:
            write({"a": 1})
        assert code(error) == "ORA-40663"
    with pytest.raises(oracledb.DatabaseError) as error:
        collection.insertMany([{"a": 1}])
    assert code(error) == "ORA-40663"


def test_collection_with_client_keys_finds_documents_by_them(database):
    collection = database.createCollection("ClientKeys", {"keyColumn": {"assignmentMethod": "client"}})
    collection.insertMany([database.createDocument({"n": n}, f"doc{n}") for n in range(3)])
    assert collection.find().key("doc1").getOne().getContent() == {"n": 1}
    assert len(collection.find().keys(["doc0", "doc2", "doc9"]).getDocuments()) == 2
    with pytest.raises(oracledb.DatabaseError):
        collection.insertOne({"n": 9})


def test_collection_with_a_media_type_holds_other_than_json(database):
    collection = database.createCollection("Mixed", {"mediaTypeColumn": {"name": "media_type"}})
    collection.insertOne(database.createDocument("Sample", mediaType="text/plain"))
    collection.insertOne(database.createDocument(b"\x57\x25\xfe", mediaType="application/octet-stream"))
    collection.insertOne({"a": 1})
    contents = {document.mediaType: document.getContent() for document in collection.find().getDocuments()}
    assert contents == {
        "text/plain": b"Sample",
        "application/octet-stream": b"\x57\x25\xfe",
        "application/json": {"a": 1},
    }


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
    assert collection.find().count() == 2
    connection.rollback()
    assert collection.find().count() == 1


def test_inserting_many_is_all_or_nothing(connection, database):
    connection.autocommit = True
    collection = database.createCollection("Atomic")
    collection.insertOne({"_id": "taken"})
    with pytest.raises(oracledb.IntegrityError):
        collection.insertMany([{"a": 1}, {"_id": "taken"}, {"a": 2}])
    connection.rollback()
    assert collection.find().count() == 1


def test_inserting_many_that_fails_leaves_the_transaction_before_it(connection, database):
    collection = database.createCollection("Partly")
    collection.insertOne({"_id": "taken"})
    with pytest.raises(oracledb.IntegrityError):
        collection.insertMany([{"a": 1}, {"_id": "taken"}])
    connection.commit()
    assert collection.find().count() == 1


def test_inserting_no_document_at_all_is_an_error(collection):
    with pytest.raises(oracledb.DatabaseError) as error:
        collection.insertMany([])
    assert code(error) == "DPI-1031"


def test_data_guide_needs_a_search_index(collection):
    with pytest.raises(oracledb.DatabaseError) as error:
        collection.getDataGuide()
    assert code(error) == "ORA-40582"
    collection.createIndex({"name": "guide_ix", "dataguide": "on"})
    assert collection.getDataGuide() is None
    collection.insertOne({"team": "backend", "members": [{"tester": "Mark"}, {"developer": "Joseph"}]})
    properties = collection.getDataGuide().getContent()["properties"]
    assert properties["_id"]["type"] == "id"
    assert properties["team"]["type"] == "string"
    members = properties["members"]["items"]["properties"]
    assert (members["tester"]["o:length"], members["developer"]["o:length"]) == (4, 8)


def test_closed_connection_cannot_be_used(connection, database):
    if "oracledb" in type(connection).__module__:
        pytest.skip("the fixture still needs the connection")
    collection = database.createCollection("Closed")
    connection.commit()
    with type(connection)(connection.catalog) as another:
        opened = another.getSodaDatabase().openCollection("Closed")
        another._give_back = lambda catalog: None
    for use in (another.commit, lambda: another.autocommit, opened.find().count, another.close):
        with pytest.raises(oracledb.InterfaceError) as error:
            use()
        assert code(error) == "DPY-1001"
    assert collection.find().count() == 0
