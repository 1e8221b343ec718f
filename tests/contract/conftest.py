"""Connections on which the SODA contract is checked: the local one always, a real database where one is
named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oracledb
import pytest

import local.emulators.soda

ORACLE_DSN = os.environ.get("DATASYNC_TEST_DSN")


@pytest.fixture(params=["local", *(["oracle"] if ORACLE_DSN else [])])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A connection, autocommit off; collections that are made over it are dropped."""
    if request.param == "local":
        opened: Any = local.emulators.soda.connect(tmp_path / "soda.db")
    else:
        oracledb.init_oracle_client()
        opened = oracledb.connect(
            dsn=ORACLE_DSN,
            user=os.environ["DATASYNC_TEST_USER"],
            password=os.environ["DATASYNC_TEST_PASSWORD"],
        )
    database = opened.getSodaDatabase()
    there = set(database.getCollectionNames())  # somebody's records: a test takes back only what it made
    yield opened
    opened.rollback()
    for name in set(database.getCollectionNames()) - there:
        database.openCollection(name).drop()
    opened.close()


@pytest.fixture
def database(connection: Any) -> oracledb.SodaDatabase:
    return connection.getSodaDatabase()


@pytest.fixture
def collection(connection: Any, database: oracledb.SodaDatabase) -> oracledb.SodaCollection:
    """An empty native collection; every operation commits."""
    connection.autocommit = True
    return database.createCollection("ContractTest")
