"""Connections: which driver a DSN gets, and what its errors become."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import oracledb
import pytest

from shared.drivers import database as module
from shared.drivers.database import CollectionSpec, Database, Taken
from shared.model.errors import DependencyDown, Misconfigured

UNIQUE = {
    "name": "things_id",
    "unique": True,
    "fields": [{"path": "id", "datatype": "varchar2", "maxLength": 36, "order": "asc"}],
}
SPEC = CollectionSpec("things", (UNIQUE,))


def oracle() -> Database:
    return Database("tcps:erp.example.com:1522/db_high", "datasync", lambda: "password")


def driver_error(code: str) -> oracledb.Error:
    """An error as the driver raises it."""
    return oracledb.DatabaseError(SimpleNamespace(full_code=code, message=f"{code}: host 10.0.0.7"))


@contextmanager
def driver_raising(error: Exception, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """An Oracle driver whose pool can be made, and gives no connection."""
    pools: list[dict[str, Any]] = []

    def acquire() -> None:
        raise error

    def create_pool(**options: Any) -> Any:
        pools.append(options)
        return SimpleNamespace(acquire=acquire)

    monkeypatch.setattr(oracledb, "init_oracle_client", lambda: None)
    monkeypatch.setattr(oracledb, "create_pool", create_pool)
    yield pools


def test_an_oracle_dsn_gets_a_small_pool_that_pings_and_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with driver_raising(driver_error("DPI-1010"), monkeypatch) as pools:
        database = oracle()
        for _ in range(2):
            with pytest.raises(DependencyDown), database.collection(SPEC):
                pass
    (options,) = pools  # one pool, however often it is used
    assert (options["dsn"], options["user"], options["password"]) == (
        "tcps:erp.example.com:1522/db_high",
        "datasync",
        "password",
    )
    assert options["min"] == 0
    assert options["max"] <= 10
    assert options["getmode"] == oracledb.POOL_GETMODE_TIMEDWAIT
    assert options["wait_timeout"] > 0
    assert options["ping_interval"] >= 0
    connection = SimpleNamespace(call_timeout=0)
    options["session_callback"](connection, "")
    assert connection.call_timeout > 0


@pytest.mark.parametrize("code", ["DPI-1010", "DPY-4011", "ORA-03113", "ORA-12514", "ORA-00018", "ORA-01017"])
def test_a_database_that_can_not_be_used_is_a_dependency_that_is_down(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    with (
        driver_raising(driver_error(code), monkeypatch),
        pytest.raises(DependencyDown) as caught,
        oracle().collection(SPEC),
    ):
        pass
    assert "10.0.0.7" not in caught.value.detail
    assert caught.value.headers["Retry-After"]
    assert caught.value.__cause__ is None


def test_a_password_that_was_changed_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = iter(("old", "new"))
    with driver_raising(driver_error("ORA-01017"), monkeypatch) as pools:
        database = Database("tcps:erp.example.com:1522/db_high", "datasync", lambda: next(passwords))
        for _ in range(2):
            with pytest.raises(DependencyDown), database.collection(SPEC):
                pass
    assert [options["password"] for options in pools] == ["old", "new"]


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
        seen.append((options["user"], options["password"], options["dsn"]))
        yield SimpleNamespace(cursor=lambda: SimpleNamespace(execute=execute))

    monkeypatch.setattr(oracledb, "init_oracle_client", lambda: None)
    monkeypatch.setattr(oracledb, "connect", connect)
    yield seen


def test_a_block_is_run_as_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    with sessions(monkeypatch) as seen:
        oracle().run_as("ADMIN", lambda: "a password", "begin null; end;", lambda: {"a": "b"})
    assert seen == [
        ("ADMIN", "a password", "tcps:erp.example.com:1522/db_high"),
        ("begin null; end;", {"a": "b"}),
    ]


def test_a_block_that_fails_is_a_dependency_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with sessions(monkeypatch, "ORA-01031"), pytest.raises(DependencyDown) as caught:
        oracle().run_as("ADMIN", lambda: "a password", "begin null; end;", dict)
    assert "10.0.0.7" not in caught.value.detail


def test_another_password_is_no_outage_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with sessions(monkeypatch, "ORA-01017"), pytest.raises(Misconfigured, match="password of ADMIN"):
        oracle().run_as("ADMIN", lambda: "a password", "begin null; end;", dict)


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
        oracle().collection(SPEC),
    ):
        pass


def test_a_machine_without_instant_client_is_told_so_once_and_clearly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise driver_error("DPI-1047")

    monkeypatch.setattr(oracledb, "init_oracle_client", missing)
    with pytest.raises(Misconfigured, match="Instant Client is missing"), oracle().collection(SPEC):
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
            for collection in opened if isinstance(opened, list) else [opened]:
                collection.insertOne({"id": "a"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail(database.transaction(SPEC, others))
    with pytest.raises(ZeroDivisionError):
        insert_and_fail(database.collection(SPEC))
    with database.transaction(SPEC, others) as (things, beside):
        assert (things.find().count(), beside.find().count()) == (1, 0)


def test_a_closed_database_opens_again_when_it_is_used(tmp_path: Path) -> None:
    database = Database(f"sqlite:{tmp_path / 'things.db'}", "", str)
    for _ in range(2):
        with database.collection(SPEC) as collection:
            assert collection.name == "things"
        database.close()


def test_only_this_module_knows_the_driver() -> None:
    library = Path(module.__file__).parent
    assert [path.name for path in library.glob("*.py") if "import oracledb" in path.read_text()] == [
        "database.py"
    ]
