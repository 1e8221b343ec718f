"""Connections: which driver a DSN gets, and what its errors become."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import oracledb
import pytest

import shared
from shared.drivers import database as module
from shared.drivers import oracle
from shared.drivers.database import CollectionSpec, Database, Taken, Transaction
from shared.model.errors import DependencyDown, Misconfigured

UNIQUE = {
    "name": "things_id",
    "unique": True,
    "fields": [{"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}],
}
SPEC = CollectionSpec("things", (UNIQUE,))
DSN = "tcps:erp.example.com:1522/db_high"


def oracle_database() -> Database:
    return Database(DSN, "datasync", lambda: "password")


def driver_error(code: str) -> oracledb.Error:
    """An error as the driver raises it."""
    return oracledb.DatabaseError(SimpleNamespace(full_code=code, message=f"{code}: host 10.0.0.7"))


@contextmanager
def driver_raising(error: Exception, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """An Oracle driver that gives no connection."""
    attempts: list[dict[str, Any]] = []

    def connect(**options: Any) -> Any:
        attempts.append(options)
        raise error

    monkeypatch.setattr(oracledb, "init_oracle_client", lambda: None)
    monkeypatch.setattr(oracledb, "connect", connect)
    yield attempts


def refused(database: Database, error: type[Exception]) -> Any:
    with pytest.raises(error) as caught, database.collection(SPEC):
        pass
    return caught.value


@pytest.mark.parametrize("code", ["DPI-1010", "DPY-4011", "ORA-03113", "ORA-12514", "ORA-00018", "ORA-12541"])
def test_a_database_that_can_not_be_used_is_a_dependency_that_is_down(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    with driver_raising(driver_error(code), monkeypatch) as attempts:
        error = refused(oracle_database(), DependencyDown)
    assert len(attempts) == 1
    assert "10.0.0.7" not in error.detail
    assert error.headers["Retry-After"]
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("DPI-1047", "Instant Client is missing"),
        ("DPI-1050", "too old"),
        ("ORA-00942", "a table of the collections is missing"),
        ("ORA-01031", "lacks a right"),
        ("ORA-01045", "CREATE SESSION"),
        ("ORA-01653", "no space"),
        ("ORA-01688", "no space"),
        ("ORA-12953", "no space"),
        ("ORA-01950", "no quota"),
        ("DPI-1072", "too old"),
        ("ORA-12504", "DATABASE_DSN can't be read"),
        ("ORA-29003", "certificate"),
        ("ORA-01691", "no space"),
        ("ORA-12154", "DATABASE_DSN can't be read"),
        ("ORA-28000", "locked"),
        ("ORA-28759", "wallet"),
        ("ORA-29024", "certificate"),
    ],
)
def test_what_no_waiting_heals_is_the_operators_mistake_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: str, words: str
) -> None:
    monkeypatch.setattr(oracle, "_logged", set())
    with driver_raising(driver_error(code), monkeypatch):
        database = oracle_database()
        for _ in range(2):
            error = refused(database, Misconfigured)
            assert (error.status, words in error.detail, code in error.detail) == (500, True, True)
            assert "10.0.0.7" not in error.detail
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_password_that_was_changed_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = iter(("old", "new", "new"))
    with driver_raising(driver_error("ORA-01017"), monkeypatch) as attempts:
        database = Database(DSN, "datasync", lambda: next(passwords))
        assert "refuses user or password" in refused(database, Misconfigured).detail
    assert [options["password"] for options in attempts] == ["old", "new"]


def test_a_refused_password_is_not_tried_again_at_once_since_that_would_lock_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with driver_raising(driver_error("ORA-01017"), monkeypatch) as attempts:
        database = oracle_database()
        for _ in range(20):
            refused(database, Misconfigured)
    assert len(attempts) == 1


def test_the_database_is_asked_again_once_its_password_may_have_been_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_REFUSED_SECONDS", 0.0)
    with driver_raising(driver_error("ORA-01017"), monkeypatch) as attempts:
        database = oracle_database()
        for _ in range(2):
            refused(database, Misconfigured)
    assert len(attempts) == 2


@pytest.mark.parametrize(
    "dsn",
    [
        "(description=(retry_count=20)(retry_delay=3)(address=(protocol=tcps)(port=1521)(host=adb.example.com))"
        "(connect_data=(service_name=x_high.adb.oraclecloud.com))(security=(ssl_server_dn_match=yes)))",
        "(DESCRIPTION = (CONNECT_TIMEOUT=120)(Retry_Count = 20) (ADDRESS = (PROTOCOL=TCPS)(HOST=db)))",
        "(description_list=(description=(retry_count=9)(address=(host=a)))(description=(address=(host=b))))",
        "tcps:adb.example.com:1521/x_high.adb.oraclecloud.com?retry_count=20&retry_delay=3",
        "tcps://adb.example.com:1521/x_high?ssl_server_dn_match=on&connect_timeout=90",
        "adb.example.com/x_high",
    ],
)
def test_every_connect_string_gives_up_within_seconds(dsn: str) -> None:
    bounded = oracle.bounded(dsn).lower()
    descriptions = max(1, len(re.findall(r"description\s*=", bounded)))
    for name, seconds in (("connect_timeout", 5), ("transport_connect_timeout", 3), ("retry_count", 0)):
        assert re.findall(rf"(?<![a-z_]){name}\s*=\s*(\d+)", bounded) == [str(seconds)] * descriptions
    assert "retry_delay" not in bounded
    for kept in ("adb.example.com", "service_name", "ssl_server_dn_match", "address"):
        assert (kept in bounded) == (kept in dsn.lower())
    assert bounded.count("(") == bounded.count(")")
    if not dsn.startswith("tcps:adb"):  # as Autonomous Databases write it, which only Instant Client reads
        oracledb.ConnectParams().parse_connect_string(oracle.bounded(dsn))


def test_a_name_that_the_client_looks_up_stays_as_it_is() -> None:
    assert oracle.bounded("orders_high") == "orders_high"


@contextmanager
def sessions(monkeypatch: pytest.MonkeyPatch, failure: str = "") -> Iterator[list[tuple[Any, ...]]]:
    """An Oracle driver that connects once, and notes as whom and what is executed."""
    seen: list[tuple[Any, ...]] = []

    def execute(block: str, binds: dict[str, str]) -> None:
        seen.append((block, binds))
        if failure:
            raise driver_error(failure)

    @contextmanager
    def connect(**options: str) -> Iterator[Any]:
        seen.append((options["user"], options["password"]))
        yield SimpleNamespace(cursor=lambda: SimpleNamespace(execute=execute))

    monkeypatch.setattr(oracledb, "init_oracle_client", lambda: None)
    monkeypatch.setattr(oracledb, "connect", connect)
    yield seen


def test_a_block_is_run_as_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    with sessions(monkeypatch) as seen:
        oracle_database().run_as("ADMIN", lambda: "a password", "begin null; end;", lambda: {"a": "b"})
    assert seen == [
        ("ADMIN", "a password"),
        ("begin null; end;", {"a": "b"}),
    ]


def test_a_block_that_fails_is_a_dependency_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with sessions(monkeypatch, "ORA-03113"), pytest.raises(DependencyDown) as caught:
        oracle_database().run_as("ADMIN", lambda: "a password", "begin null; end;", dict)
    assert "10.0.0.7" not in caught.value.detail


def test_another_password_is_no_outage_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with sessions(monkeypatch, "ORA-01017"), pytest.raises(Misconfigured, match="password of ADMIN"):
        oracle_database().run_as("ADMIN", lambda: "a password", "begin null; end;", dict)


def test_a_file_has_no_users(tmp_path: Path) -> None:
    def password() -> str:
        raise AssertionError("no password is read")

    Database(f"sqlite:{tmp_path / 'things.db'}", "", str).run_as("ADMIN", password, "", dict)


def test_a_complaint_of_soda_is_a_defect_of_ours_and_stays_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        driver_raising(driver_error("ORA-40676"), monkeypatch),
        pytest.raises(oracledb.DatabaseError),
        oracle_database().collection(SPEC),
    ):
        pass


def test_a_collection_and_its_indexes_are_made_on_first_use_and_found_later(tmp_path: Path) -> None:
    dsn = f"sqlite:{tmp_path / 'things.db'}"
    for _ in range(2):
        with Database(dsn, "", str).collection(SPEC) as collection:
            assert [index["name"] for index in collection.listIndexes()] == ["things_id"]


def test_an_index_that_a_newer_version_needs_is_added_to_a_collection_that_is_there(tmp_path: Path) -> None:
    dsn = f"sqlite:{tmp_path / 'things.db'}"
    with Database(dsn, "", str).collection(CollectionSpec("things", ())) as collection:
        collection.insertOne({"id": "a"})
    with Database(dsn, "", str).collection(SPEC) as collection:
        assert [index["name"] for index in collection.listIndexes()] == ["things_id"]


def test_what_a_unique_index_refuses_is_taken(tmp_path: Path) -> None:
    database = Database(f"sqlite:{tmp_path / 'things.db'}", "", str)
    with database.collection(SPEC) as collection:
        collection.insertOne({"id": "a"})
    with pytest.raises(Taken), database.collection(SPEC) as collection:
        collection.insertOne({"id": "a"})


def test_what_is_done_together_is_kept_together_or_not_at_all(tmp_path: Path) -> None:
    database = Database(f"sqlite:{tmp_path / 'things.db'}", "", str)
    others = CollectionSpec("others", ())

    def insert_and_fail(where: AbstractContextManager[Any]) -> None:
        with where as opened:
            for collection in opened.collections if isinstance(opened, Transaction) else [opened]:
                collection.insertOne({"id": "a"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail(database.transaction(SPEC, others))
    with pytest.raises(ZeroDivisionError):
        insert_and_fail(database.collection(SPEC))
    with database.transaction(SPEC, others) as transaction:
        things, beside = transaction.collections
        assert (things.find().count(), beside.find().count()) == (1, 0)


def test_a_closed_database_opens_again_when_it_is_used(tmp_path: Path) -> None:
    database = Database(f"sqlite:{tmp_path / 'things.db'}", "", str)
    for _ in range(2):
        with database.collection(SPEC) as collection:
            assert collection.name == "things"
        database.close()


def test_few_modules_know_the_driver() -> None:
    library = Path(shared.__file__).parent
    knowing = {path.name for path in library.rglob("*.py") if "import oracledb" in path.read_text()}
    assert knowing == {"database.py", "connections.py", "oracle.py"}


def test_an_index_may_take_minutes_to_make_and_nothing_else(tmp_path: Path) -> None:
    database = Database(f"sqlite:{tmp_path / 'things.db'}", "", str)
    with database.collection(CollectionSpec("things", ())):
        pass
    bounds: list[int] = []
    with database._connections.use() as opened:
        soda = opened.connection.getSodaDatabase()
        original = oracledb.SodaCollection.createIndex

        def create(collection: Any, index: Any) -> None:
            bounds.append(opened.connection.call_timeout)
            original(collection, index)

        opened.connection.autocommit = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(oracledb.SodaCollection, "createIndex", create)
            module._created(opened.connection, soda, SPEC)
        assert bounds == [240_000]
        assert opened.connection.call_timeout <= 8_000
