"""However the database fails to answer, every route answers within ten seconds: a 503, and nothing is stored.

The network is played by listeners of the tests' own, to which the driver connects for real: in its Thin mode,
since Thick mode needs Oracle's client. A database that hangs after the login is the local one.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import requests

from local.emulators.oci.secret_store import put_secret
from local.emulators.private_files import private_folder
from tests.contract.oci_server import copy_keys
from tests.end_to_end.bundle import Bundle, eventually, running

ANSWER_SECONDS = 10.0
SERVE = ("-m", "tests.faults.serve")
ROUTES = [
    ("POST", "/store"),
    ("GET", "/store/01a20b76-df29-7055-b3ec-dc7ab6212dc5"),
    ("GET", "/process"),
    ("POST", "/process"),
    ("POST", "/process/retry"),
]


@contextmanager
def refusing() -> Iterator[int]:
    """A port on which nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
    yield port


@contextmanager
def silent() -> Iterator[int]:
    """A listener that accepts every connection, and never says a word."""
    with ExitStack() as accepted, socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    accepted.enter_context(closing(listener.accept()[0]))
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def unreachable() -> Iterator[int]:
    """A port to which no connection comes about: its queue is full, so the system drops each SYN."""
    with ExitStack() as opened, socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        for _ in range(8):
            waiting = opened.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def autonomous(protocol: str, port: int) -> str:
    """A connect string as Autonomous Databases give it."""
    return (
        f"(description=(retry_count=20)(retry_delay=3)(address=(protocol={protocol})(port={port})(host=127.0.0.1))"
        "(connect_data=(service_name=x_high.adb.oraclecloud.com))(security=(ssl_server_dn_match=yes)))"
    )


def answers(bundle: Bundle) -> list[tuple[requests.Response, float]]:
    """What every route answers, asked at once, and how many seconds each took."""

    def ask(route: tuple[str, str]) -> tuple[requests.Response, float]:
        method, path = route
        body = bundle.record() if path == "/store" else {} if method == "POST" else None
        started = time.monotonic()
        response = bundle.call(method, path, body)
        return response, time.monotonic() - started

    with ThreadPoolExecutor(len(ROUTES)) as callers:
        return list(callers.map(ask, ROUTES))


def assert_unavailable_in_time(bundle: Bundle) -> None:
    for (method, path), (response, seconds) in zip(ROUTES, answers(bundle), strict=True):
        assert response.status_code == 503, (method, path, response.text)
        assert int(response.headers["Retry-After"]) >= 1
        assert seconds < ANSWER_SECONDS, (method, path)


@pytest.mark.parametrize("fault", [refusing, silent, unreachable])
@pytest.mark.parametrize("protocol", ["tcp", "tcps"])
def test_an_oracle_database_that_gives_no_session_is_answered_within_ten_seconds(
    tmp_path: Path, fault: object, protocol: str
) -> None:
    home = tmp_path / "home"
    with fault() as port:  # type: ignore[operator]
        settings = {
            "DATABASE_DSN": autonomous(protocol, port),
            "DATABASE_USER": "datasync",
            "FAULTS": json.dumps({"THIN": "1"}),
        }
        ocid = password(home)
        with running(home, program=SERVE, DATABASE_PASSWORD_SECRET_OCID=ocid, **settings) as bundle:
            for _ in range(2):  # the second time with attempts behind that nobody waits for
                assert_unavailable_in_time(bundle)


def test_a_database_that_hangs_after_the_login_is_answered_within_ten_seconds(tmp_path: Path) -> None:
    home, hanging = tmp_path / "home", tmp_path / "hanging"
    dsn = f"sqlite:{home / 'datasync.db'}?hanging={hanging}"
    with running(home, DATABASE_DSN=dsn) as bundle:
        before = [bundle.stored("/ok"), bundle.stored("/ok")]
        hanging.touch()
        for _ in range(2):
            assert_unavailable_in_time(bundle)
        hanging.unlink()
        after = bundle.stored("/ok")
        eventually(lambda: bundle.process()["endOfStream"])
        received = [one["idempotencyKey"] for one in bundle.received()]
        assert sorted(received) == sorted([*before, after])  # nothing of what was answered with a 503


def test_a_database_that_hangs_while_records_are_delivered_loses_and_doubles_none(tmp_path: Path) -> None:
    home, hanging = tmp_path / "home", tmp_path / "hanging"
    dsn = f"sqlite:{home / 'datasync.db'}?hanging={hanging}"
    with running(home, DATABASE_DSN=dsn) as bundle, ThreadPoolExecutor(1) as caller:
        ids = [one["id"] for one in bundle.store([bundle.record("/slow/100") for _ in range(50)])["records"]]
        call = caller.submit(bundle.call, "POST", "/process")
        eventually(bundle.received)
        hanging.touch()
        eventually(lambda: len(bundle.received()) >= 32)
        hanging.unlink()
        call.result()
        eventually(lambda: bundle.process()["endOfStream"])
        assert sorted(one["idempotencyKey"] for one in bundle.received()) == sorted(ids)


def password(home: Path) -> str:
    """The OCID of a secret with the database's password, kept before anything runs."""
    copy_keys(private_folder(home))
    return put_secret(home, "datasync-database", "s3cr3t-of-the-database")
