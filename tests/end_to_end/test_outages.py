"""Database, Vault and processes that fail: a 503 and nothing lost, then recovery without a restart."""

import base64
import json
import os
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import oci
import pytest
import requests

from local.emulators.identity import PROCESS_DATA_FUNCTION_OCID, STORE_DATA_FUNCTION_OCID
from tests.contract.oci_server import signer
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import TOKEN, Bundle, eventually


def assert_unavailable(response: requests.Response) -> None:
    assert response.status_code == 503, response.text
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Content-Type"] == "application/problem+json"


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the database's write lock, as a transaction does that somebody forgot to end."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.rollback()


@contextmanager
def gone(database: Path) -> Iterator[None]:
    """Take the database away, as a network that fails does."""
    files = [database.with_name(database.name + suffix) for suffix in ("", "-wal", "-shm")]
    there = [file for file in files if file.exists()]
    for file in there:
        file.rename(file.with_name("away-" + file.name))
    database.mkdir()  # so that nobody makes a new one
    yield
    database.rmdir()
    for file in there:
        file.with_name("away-" + file.name).rename(file)


@pytest.mark.parametrize("outage", [locked, gone])
def test_the_database_is_away_and_comes_back(bundle: Bundle, outage: object) -> None:
    kept = bundle.stored("/ok/before")
    before = len(bundle.documents())
    with outage(bundle.database):  # type: ignore[operator]
        assert_unavailable(bundle.call("POST", "/store", bundle.record()))
        assert_unavailable(bundle.call("POST", "/process"))
        if outage is gone:  # a reader does not mind a lock
            assert_unavailable(bundle.call("POST", "/process/retry"))
            assert_unavailable(bundle.call("GET", f"/store/{kept}"))
    assert bundle.received() == []
    assert len(bundle.documents()) == before
    after = bundle.stored("/ok/after")
    assert bundle.process()["processedmessages"] == 2
    assert {bundle.state(one)["status"] for one in (kept, after)} == {"success"}


def test_a_lock_of_a_moment_is_waited_for(bundle: Bundle) -> None:
    with ThreadPoolExecutor(1) as pool:
        with locked(bundle.database):
            call = pool.submit(bundle.call, "POST", "/store", bundle.record())
            time.sleep(0.5)  # that moment
        assert call.result().status_code == 202


@pytest.mark.parametrize("outage", [locked, gone])
def test_an_outcome_is_written_when_the_database_comes_back_in_time(bundle: Bundle, outage: object) -> None:
    """The target has answered: the worker keeps its lease and writes as soon as it can."""
    kept = bundle.stored("/slow/500")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(bundle.process)
        eventually(bundle.received)
        with outage(bundle.database):  # type: ignore[operator]
            eventually(lambda: bundle.received()[0]["finished"])
            time.sleep(1)  # so long it lasts after the answer
        assert call.result()["processedmessages"] == 1
    assert bundle.state(kept)["status"] == "success"
    assert len(bundle.received()) == 1


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 500}, {"status": 429}, {"drop": "before"}], ids=str
)
def test_vault_is_down_on_store(bundle: Bundle, fault: dict[str, object]) -> None:
    record = bundle.record(vaultSecretName=f"erp-{uuid.uuid4().hex}")
    bundle.fault("*", **fault)
    assert_unavailable(bundle.call("POST", "/store", record, Authorization=TOKEN))
    assert bundle.documents() == []
    bundle.clear_oci()
    bundle.store(record, TOKEN)
    assert bundle.process()["processedmessages"] == 1


def test_vault_hangs_on_store(bundle: Bundle) -> None:
    record = bundle.record(vaultSecretName=f"erp-{uuid.uuid4().hex}")
    bundle.fault("secrets", delay=60)
    assert_unavailable(bundle.call("POST", "/store", record, Authorization=TOKEN))  # no 504: it was in time
    bundle.clear_oci()


def test_the_answer_of_vault_is_lost_after_it_kept_the_token(bundle: Bundle) -> None:
    """The SDK repeats the call with the same retry token, or finds the name taken by its own token."""
    record = bundle.record("/echo/200", vaultSecretName=f"erp-{uuid.uuid4().hex}")
    bundle.fault("vault.create_secret", drop="after", times=1)
    first = bundle.call("POST", "/store", record, Authorization=TOKEN)
    assert first.status_code in (202, 503)
    bundle.store(record, TOKEN)
    bundle.process()
    assert {one["header"]["authorization"] for one in bundle.received()} == {TOKEN}


def test_vault_is_down_on_process(bundle: Bundle) -> None:
    """Records without a token go on; the others wait, and no attempt is counted."""
    named = bundle.stored(token=TOKEN, vaultSecretName=f"erp-{uuid.uuid4().hex}")
    plain = bundle.stored("/ok/plain")
    bundle.fault("secrets", status=503)
    answer = bundle.process()
    assert (answer["processedmessages"], answer["failedMessages"], answer["endOfStream"]) == (1, 0, False)
    assert bundle.state(plain)["status"] == "success"
    assert bundle.state(named)["status"] == "not_processed"
    assert_unavailable(bundle.call("POST", "/process"))
    bundle.clear_oci()
    assert bundle.process()["processedmessages"] == 1
    assert bundle.state(named)["retry_attempts"] == 0


def test_a_token_in_the_cache_outlives_an_outage_of_vault(bundle: Bundle) -> None:
    name = f"erp-{uuid.uuid4().hex}"
    bundle.stored(token=TOKEN, vaultSecretName=name)
    bundle.process()
    bundle.fault("*", status=503)
    bundle.stored(token=TOKEN, vaultSecretName=name)
    assert bundle.process()["processedmessages"] == 1


def test_a_process_killed_in_the_middle_of_a_call_loses_nothing(home: Path) -> None:
    with bundles.running(home, **bundles.SHORT_LEASE) as bundle:
        paths = ["/stall/1", *(f"/slow/150/{n}" for n in range(199))]  # the first keeps the call from ending
        ids = [one["id"] for one in bundle.store([bundle.record(path) for path in paths])["records"]]
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(bundle.call, "POST", "/process")
            eventually(lambda: len(bundle.received()) > 40)
            for pid in bundle.pids("process-data"):
                os.kill(pid, signal.SIGKILL)
            assert call.result().status_code == 502
        drain(bundle)
        assert all(bundle.state(one)["status"] == "success" for one in ids)
        sent = [one["header"]["idempotency-key"] for one in bundle.received()]
        assert set(sent) == set(ids)
        # Twice went only what was on its way, or answered and not yet written, when the process died.
        assert len(sent) - len(ids) <= 128 + 64


def drain(bundle: Bundle) -> None:
    """Call /process until nothing is left."""
    eventually(lambda: bundle.process()["endOfStream"], pause=0.5)


def test_a_store_process_killed_in_the_middle_keeps_whole_arrays_or_nothing(bundle: Bundle) -> None:
    array = [bundle.record(number=number, targetRestApiPayload="x" * 500) for number in range(500)]
    stop = threading.Event()

    def kill_now_and_then() -> None:
        while not stop.wait(0.15):
            for pid in bundle.pids("store-data"):
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        statuses = [bundle.call("POST", "/store", array).status_code for _ in range(12)]
    finally:
        stop.set()
        killer.join()
    assert set(statuses) <= {202, 502}
    stored = len(bundle.documents())
    assert stored % len(array) == 0
    assert stored // len(array) >= statuses.count(202)


def test_everything_killed_at_once_goes_on_where_it_was(home: Path) -> None:
    with bundles.target() as url:
        where = {"ALLOWED_TARGETS": url, **bundles.SHORT_LEASE}
        with bundles.running(home, **where) as first:
            paths = ["/stall/1", *(f"/slow/200/{number}" for number in range(99))]
            ids = [one["id"] for one in first.store([first.record(url + path) for path in paths])["records"]]
            named = first.stored(f"{url}/auth/bearer", token=TOKEN, vaultSecretName="kept")
            with ThreadPoolExecutor(1) as pool:
                call = pool.submit(first.process)
                eventually(lambda: bundles.count(url) > 20)
                first.kill()
                with pytest.raises(requests.ConnectionError):
                    call.result()
        with bundles.running(home, **where) as second:
            drain(second)
            assert all(second.state(one)["status"] == "success" for one in [*ids, named])
        received = requests.get(f"{url}/_received", timeout=bundles.PATIENCE).json()["requests"]
        assert {one["idempotencyKey"] for one in received} == {*ids, named}


def test_a_schedule_and_a_connector_see_success_502_or_504_only(bundle: Bundle) -> None:
    """Through the Functions service, with OCI's SDK: what must be invoked again is no success."""
    message = {"stream": "s", "partition": "0", "key": None, "offset": 1, "timestamp": 1}
    record = json.dumps(bundle.record()["streamMessage"]).encode()
    batch = [message | {"value": base64.b64encode(record).decode()}]
    calls = [(STORE_DATA_FUNCTION_OCID, batch), (PROCESS_DATA_FUNCTION_OCID, {})]
    with gone(bundle.database):
        assert [invoked(bundle, *call) for call in calls] == [502, 502]
    assert [invoked(bundle, *call) for call in calls] == [200, 200]
    assert [one["status"] for one in bundle.documents()] == ["success"]
    mistakes: list[tuple[str, object]] = [
        (STORE_DATA_FUNCTION_OCID, [{}]),
        (PROCESS_DATA_FUNCTION_OCID, {"task": "dance"}),
    ]
    assert [invoked(bundle, *call) for call in mistakes] == [200, 200]


def invoked(bundle: Bundle, function: str, body: object) -> int:
    """Invoke a function as OCI's services do; the status that they see."""
    client = oci.functions.FunctionsInvokeClient(
        {}, service_endpoint=bundle.oci_url, signer=signer(bundle.home), timeout=bundles.PATIENCE
    )
    try:
        answer = client.invoke_function(
            function,
            invoke_function_body=json.dumps(body),
            retry_strategy=oci.retry.NoneRetryStrategy(),
        )
    except oci.exceptions.ServiceError as error:
        status: int = error.status
        return status
    return int(answer.status)


def test_a_setting_that_is_wrong_is_named_to_the_operator_and_stores_nothing(home: Path) -> None:
    """In the cloud nobody looks at them before the first call."""
    with bundles.running(home, program=bundles.UNCHECKED, LEASE="1s", RETRY_LIMIT="many") as bundle:
        for path in ("/store", "/process"):
            body = bundle.record() if path == "/store" else {}
            response = bundle.call("POST", path, body)
            assert response.status_code == 500
            assert {one["pointer"] for one in response.json()["errors"]} == {"LEASE", "RETRY_LIMIT"}
        for function in (STORE_DATA_FUNCTION_OCID, PROCESS_DATA_FUNCTION_OCID):
            assert invoked(bundle, function, {}) == 502
