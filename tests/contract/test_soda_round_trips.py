"""Round trips: how many the real driver would make for what is done here, and that each takes its time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import oracledb
import pytest

import local.emulators.soda

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "trips"


@pytest.fixture
def dsn(tmp_path, log):
    return f"sqlite:{tmp_path / 'soda.db'}?round_trips={log}"


def made(log) -> dict[str, int]:
    """The round trips since this was last asked."""
    found = local.emulators.soda.round_trips(log)
    log.unlink(missing_ok=True)
    return dict(found)


@pytest.fixture
def collection(dsn, log):
    with local.emulators.soda.connect(dsn) as connection:
        connection.autocommit = True
        database = connection.getSodaDatabase()
        database.createCollection("c")
        opened = database.openCollection("c")
        opened.createIndex({"name": "by_n", "unique": True, "fields": [{"path": "n", "datatype": "number"}]})
        opened.listIndexes()
        opened.insertMany([{"n": number} for number in range(10)])
        expected = Counter(["createCollection", "openCollection", "createIndex", "listIndexes", "insertMany"])
        assert made(log) == {**expected, "connect": 2}
        yield opened


@pytest.mark.parametrize(
    ("use", "trips"),
    [
        (lambda c: c.insertOne({}), {"insertOne": 1}),
        (lambda c: c.insertOneAndGet({}), {"insertOne": 1}),
        (lambda c: c.insertMany([{"n": number} for number in range(100, 1100)]), {"insertMany": 1}),
        (lambda c: c.insertManyAndGet([{}, {}]), {"insertMany": 1}),
        (lambda c: c.find().count(), {"count": 1}),
        (lambda c: c.find().filter({"n": 3}).getOne(), {"getOne": 1}),
        (lambda c: c.find().filter({"n": 3}).remove(), {"remove": 1}),
        (lambda c: c.find().key("ab").replaceOne({}), {"replaceOne": 1}),
        (lambda c: c.find().key("ab").replaceOneAndGet({}), {"replaceOne": 1}),
        (lambda c: c.find().getDocuments(), {"getCursor": 1}),
        (lambda c: c.find().fetchArraySize(4).getDocuments(), {"getCursor": 1, "fetch": 2}),
        (lambda c: c.find().fetchArraySize(5).getDocuments(), {"getCursor": 1, "fetch": 2}),
        (lambda c: c.find().fetchArraySize(5).limit(5).getDocuments(), {"getCursor": 1, "fetch": 1}),
        (lambda c: c.find().filter({"n": 99}).fetchArraySize(1).getDocuments(), {"getCursor": 1}),
        (lambda c: next(c.find().fetchArraySize(4).getCursor()), {"getCursor": 1}),
        (lambda c: c.truncate(), {"truncate": 1}),
        (lambda c: c.drop(), {"drop": 1}),
    ],
)
def test_an_operation_is_one_round_trip_and_a_cursor_one_for_each_array(collection, log, use, trips):
    use(collection)
    assert made(log) == trips


def test_what_the_driver_refuses_by_itself_costs_none(collection, log):
    with pytest.raises(oracledb.DatabaseError):
        collection.insertMany([])
    with pytest.raises(oracledb.DatabaseError):
        collection.find().limit(1).count()
    assert made(log) == {}


def test_commit_is_one_whether_there_is_something_to_commit_or_not(dsn, log):
    with local.emulators.soda.connect(dsn) as connection:
        connection.getSodaDatabase().createCollection("c").insertOne({})
        connection.commit()
        connection.commit()
        connection.rollback()
    assert made(log) == {"connect": 2, "createCollection": 1, "insertOne": 1, "commit": 2, "rollback": 1}


def test_a_ping_is_one(dsn, log):
    with local.emulators.soda.connect(dsn) as connection:
        assert connection.is_healthy()
        connection.ping()
    assert made(log) == {"connect": 2, "ping": 1}


def test_a_database_that_hangs_answers_nothing_until_the_call_times_out(dsn, tmp_path):
    hanging = tmp_path / "hanging"
    with local.emulators.soda.connect(f"{dsn}&hanging={hanging}") as connection:
        collection = connection.getSodaDatabase().createCollection("c")
        hanging.touch()
        connection.call_timeout = 50
        with pytest.raises(oracledb.DatabaseError) as error:
            collection.insertOne({})
        assert error.value.args[0].full_code == "DPY-4024"
        threading.Timer(0.05, hanging.unlink).start()
        connection.call_timeout = 60_000
        collection.insertOne({})
        assert collection.find().count() == 1


COUNT = """
import sys, local.emulators.soda
with local.emulators.soda.connect(sys.argv[1]) as connection:
    connection.getSodaDatabase().openCollection("c").find().count()
"""


def test_the_round_trips_of_all_processes_are_counted(collection, log, tmp_path):
    dsn = f"sqlite:{tmp_path / 'soda.db'}?round_trips={log}"
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, dsn], cwd=ROOT) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    assert made(log) == {"connect": 4, "openCollection": 2, "count": 2}


def test_every_round_trip_takes_the_time_that_the_dsn_says(tmp_path, log, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    dsn = f"sqlite:{tmp_path / 'soda.db'}?round_trip_ms=2.5&round_trips={log}"
    with local.emulators.soda.connect(dsn) as connection:
        collection = connection.getSodaDatabase().createCollection("c")
        collection.insertMany([{"n": number} for number in range(5)])
        connection.commit()
        collection.find().fetchArraySize(2).getDocuments()
    assert sum(made(log).values()) == 8
    assert sum(slept) == pytest.approx(8 * 0.0025)
