"""The plans that an Oracle Database makes of our queries, asked of the database itself, where one is named.

Run with DATASYNC_TEST_DSN, DATASYNC_TEST_USER and DATASYNC_TEST_PASSWORD; docs/oracle_database.md says how.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import oracledb
import pytest

from shared.drivers.database import Database
from shared.model import record
from shared.storage.failure_queries import FailureQuery
from shared.storage.listing import Listing
from shared.storage.queries import FAILED, REPLAY, Query, due
from shared.storage.records import Records
from tests.contract.oracle_plans import parsed, plans

COLLECTION = "datasync_plans"
DSN = os.environ.get("DATASYNC_TEST_DSN", "")
RECORDS = 5_000

# [Database PL/SQL Packages and Types Reference, DBMS_XPLAN, DISPLAY_CURSOR]
PRINTED = """
EXPLAINED SQL STATEMENT:
------------------------
select * from emp e, dept d where e.deptno = d.deptno and e.empno=7369

Plan hash value: 3693697075

---------------------------------------------------
| Id  | Operation                    | Name      |
---------------------------------------------------
|   0 | SELECT STATEMENT             |           |
|   1 |  HASH JOIN                   |           |
|*  2 |   TABLE ACCESS BY INDEX ROWID| EMP       |
|*  3 |    INDEX UNIQUE SCAN         | PK_EMP    |
|   4 |   TABLE ACCESS FULL          | DEPT      |
---------------------------------------------------
"""


def test_a_printed_plan_is_read() -> None:
    assert parsed(PRINTED) == (
        ("SELECT STATEMENT", ""),
        ("HASH JOIN", ""),
        ("TABLE ACCESS BY INDEX ROWID", "EMP"),
        ("INDEX UNIQUE SCAN", "PK_EMP"),
        ("TABLE ACCESS FULL", "DEPT"),
    )


@pytest.fixture
def database() -> Iterator[Database]:
    if not DSN:
        pytest.skip("needs an Oracle Database, which DATASYNC_TEST_DSN names (docs/oracle_database.md)")
    user, password = os.environ["DATASYNC_TEST_USER"], os.environ["DATASYNC_TEST_PASSWORD"]
    yield Database(DSN, user, lambda: password, seconds=240)
    with oracledb.connect(dsn=DSN, user=user, password=password) as connection, suppress(oracledb.Error):
        connection.getSodaDatabase().openCollection(COLLECTION).drop()


def test_every_query_of_the_library_is_served_by_an_index(database: Database) -> None:
    records, now = Records(database, COLLECTION), datetime.now(UTC)
    url = "https://erp.example.com/orders"
    made = [
        record.new({"targetRestApi": url, "targetRestApiOperation": "DELETE", "streamKey": f"k{number % 99}"})
        for number in range(RECORDS)
    ]
    for start in range(0, RECORDS, 1000):
        records.insert(made[start : start + 1000])
    keys = [record.key_digest(one) for one in made[:5]]
    uses: list[Callable[[], object]] = [
        lambda: records.get(made[0]["id"]),
        lambda: records.page(due(now), 10),
        lambda: records.page(replace(due(now), partitions=frozenset((1, 2))), 10),
        lambda: records.page(Query(FAILED), 10),
        lambda: records.page(Query(REPLAY), 10),
        lambda: records.holding_back(keys),
        lambda: records.with_ids([one["id"] for one in made[:5]]),
        lambda: Listing(database, COLLECTION).failures(FailureQuery(), 10),
        lambda: records.finished(now - timedelta(days=1), "", 10),
    ]
    for use in uses:
        use()
    with oracledb.connect(
        dsn=DSN, user=os.environ["DATASYNC_TEST_USER"], password=os.environ["DATASYNC_TEST_PASSWORD"]
    ) as connection:
        try:
            found = plans(connection, COLLECTION)
        except oracledb.DatabaseError:
            pytest.skip("the user may not read V$SQL: grant it SELECT_CATALOG_ROLE to have plans looked at")
    assert found, "the database remembers none of the statements"
    assert [plan.statement for plan in found if plan.reads_all] == []
