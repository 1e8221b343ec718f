"""The file behind the local SODA: several processes, crashes, time-outs, files that go and come back; and the
file."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import oracledb
import pytest

import local.emulators.soda

ROOT = Path(__file__).resolve().parents[2]

COUNT_UP = """
import sys, local.emulators.soda
connection = local.emulators.soda.connect(sys.argv[1]); connection.autocommit = True
counter = connection.getSodaDatabase().openCollection("counter")
left = int(sys.argv[2])
while left:
    document = counter.find().filter({"name": "c"}).getOne()
    content = document.getContent()
    content["n"] += 1
    left -= counter.find().key(document.key).version(document.version).replaceOne(content)
"""

WRITE_FOREVER = """
import sys, local.emulators.soda
connection = local.emulators.soda.connect(sys.argv[1])
collection = connection.getSodaDatabase().openCollection("c")
for batch in range(10**6):
    collection.insertMany([{"batch": batch, "n": n, "pad": "x" * 2000} for n in range(10)])
    connection.commit()
    print(batch, flush=True)
"""


def code(error: pytest.ExceptionInfo[oracledb.Error]) -> str:
    return error.value.args[0].full_code


def start(script: str, *arguments: object, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "soda.db"


def opened(path, name="c", **options):
    connection = local.emulators.soda.connect(path, **options)
    connection.autocommit = True
    return connection, connection.getSodaDatabase().createCollection(name)


def test_no_update_is_lost_between_processes(path):
    connection, counter = opened(path, "counter")
    counter.createIndex({"name": "by_name", "fields": [{"path": "name"}]})
    counter.insertOne({"name": "c", "n": 0})
    processes = [start(COUNT_UP, path, 50) for _ in range(4)]
    assert [process.wait(300) for process in processes] == [0] * 4
    assert counter.find().getOne().getContent()["n"] == 200
    connection.close()


def test_one_of_two_connections_wins_a_version(path):
    one, mine = opened(path)
    two, theirs = opened(path)
    key, version = (document := mine.insertOneAndGet({"n": 0})).key, document.version
    results = [
        collection.find().key(key).version(version).replaceOne({"n": 1}) for collection in (theirs, mine)
    ]
    assert results == [True, False]
    one.close()
    two.close()


def test_killed_writer_leaves_whole_transactions(path):
    connection, collection = opened(path)
    for _ in range(3):
        writer = start(WRITE_FOREVER, path, stdout=subprocess.PIPE, text=True)
        for _ in range(5):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        last = max([last, *map(int, writer.stdout.read().split("\n")[:-1])])
        writer.stdout.close()
        assert collection.find().filter({"batch": {"$lte": last}}).count() == 10 * (last + 1)
        assert collection.find().count() % 10 == 0
        collection.truncate()
    connection.close()
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_index_that_another_connection_has_just_created_holds_what_is_written_next(path):
    one, mine = opened(path)
    two, theirs = opened(path)
    mine.insertOne({"a": 1})
    replaced = theirs.insertOneAndGet({"a": 2})
    mine.createIndex({"name": "by_a", "fields": [{"path": "a", "datatype": "number"}]})
    theirs.insertMany([{"a": 3}, {"a": 4}])
    theirs.find().key(replaced.key).replaceOne({"a": 5})
    assert [mine.find().filter({"a": number}).count() for number in range(1, 6)] == [1, 0, 1, 1, 1]
    one.close()
    two.close()


def test_write_that_waits_too_long_for_another_transaction_says_so(path):
    one, mine = opened(path)
    two, theirs = opened(path, timeout=0.2)
    one.autocommit = False
    mine.insertOne({"a": 1})
    began = time.monotonic()
    with pytest.raises(oracledb.OperationalError) as error:
        theirs.insertOne({"a": 2})
    assert code(error) == "ORA-00054"
    assert time.monotonic() - began > 0.15
    assert theirs.find().count() == 0
    one.commit()
    theirs.insertOne({"a": 2})
    assert theirs.find().count() == 2
    one.close()
    two.close()


def test_lock_keeps_other_writers_out_until_the_transaction_ends(path):
    one, mine = opened(path)
    two, theirs = opened(path, timeout=0.1)
    mine.insertOne({"a": 1})
    one.autocommit = False
    (document,) = mine.find().lock().getDocuments()
    with pytest.raises(oracledb.OperationalError):
        theirs.find().key(document.key).replaceOne({"a": 2})
    one.rollback()
    assert theirs.find().key(document.key).replaceOne({"a": 2})
    one.close()
    two.close()


def test_uncommitted_changes_are_seen_by_their_connection_only(path):
    one, mine = opened(path)
    two, theirs = opened(path)
    one.autocommit = False
    mine.insertOne({"a": 1})
    assert (mine.find().count(), theirs.find().count()) == (1, 0)
    one.commit()
    assert theirs.find().count() == 1
    one.close()
    two.close()


def test_cursor_that_is_left_open_holds_nothing(path):
    one, mine = opened(path)
    mine.insertMany([{"n": n} for n in range(10)])
    cursor = mine.find().getCursor()
    next(cursor)
    two, theirs = opened(path, timeout=0.2)
    theirs.truncate()
    assert len(list(cursor)) == 9
    one.close()
    two.close()


def test_many_processes_may_open_a_new_file_at_once(path):
    script = (
        "import sys, local.emulators.soda; connection = local.emulators.soda.connect(sys.argv[1]);"
        "connection.getSodaDatabase().createCollection('c').insertOne({})"
    )
    processes = [start(script, path) for _ in range(4)]
    assert [process.wait(300) for process in processes] == [0] * 4


# ---- files that go ----


def _move(path, to):
    for suffix in ("", "-wal", "-shm"):
        if Path(f"{path}{suffix}").exists():
            Path(f"{path}{suffix}").rename(f"{to}{suffix}")


def test_file_that_is_away_is_an_error_and_one_that_is_back_is_not(path):
    dsn = f"sqlite:{path}?mode=rw"
    connection, collection = opened(path)
    collection.insertOne({"a": 1})
    connection.commit()
    assert connection.is_healthy()
    _move(path, f"{path}.away")
    assert not connection.is_healthy()
    for use in (connection.ping, lambda: local.emulators.soda.connect(dsn)):
        with pytest.raises(oracledb.OperationalError) as error:
            use()
        assert error.value.args[0].isrecoverable
        assert not path.exists()
    _move(f"{path}.away", path)
    assert connection.is_healthy()
    with local.emulators.soda.connect(dsn) as another:
        assert another.getSodaDatabase().openCollection("c").find().count() == 1
    connection.close()


def test_write_to_a_file_that_was_replaced_is_an_error(path, tmp_path):
    connection, collection = opened(path)
    other, _ = opened(tmp_path / "other.db")
    other.close()
    _move(path, tmp_path / "old.db")
    _move(tmp_path / "other.db", path)
    with pytest.raises(oracledb.OperationalError):
        collection.insertOne({"a": 1})
    connection.close()


@pytest.mark.parametrize(
    "dsn", ["sqlite:{0}/missing.db?mode=rw", "sqlite:{0}/no/folder/x.db", "sqlite:{0}/text.db", "sqlite:{0}"]
)
def test_what_is_no_database_file_is_an_operational_error(tmp_path, dsn):
    (tmp_path / "text.db").write_text("this is not a database " * 100)
    with pytest.raises(oracledb.OperationalError):
        local.emulators.soda.connect(dsn.format(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.db"]


@pytest.mark.parametrize(
    "dsn",
    [
        "sqlite:",
        "sqlite:x.db?mode=ro",
        "sqlite:x.db?cache=shared",
        "sqlite:x.db?round_trip_ms=fast",
        "sqlite:x.db?round_trip_ms=-1",
    ],
)
def test_dsn_that_is_not_understood_is_refused(dsn):
    with pytest.raises(oracledb.DatabaseError) as error:
        local.emulators.soda.connect(dsn)
    assert code(error) == "ORA-12154"


def test_damaged_file_is_an_operational_error(path):
    connection, collection = opened(path)
    collection.insertMany([{"pad": "x" * 1000} for _ in range(200)])
    connection.close()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (path.stat().st_size - 8192))
    with local.emulators.soda.connect(path) as connection, pytest.raises(oracledb.OperationalError):
        connection.getSodaDatabase().openCollection("c").find().getDocuments()
