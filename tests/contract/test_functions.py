"""The runner keeps the promises of OCI Functions, with real FDK processes."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.emulators.functions import MAX_BODY_BYTES, Function, FunctionRunner, pool
from local.emulators.functions.process import FunctionProcess
from tests.contract.gateway_server import until

FUNCTIONS = Path(__file__).parent / "functions"
CHECKOUT = Path(__file__).resolve().parents[2]


def function(name="echo", **settings):
    return Function(name, FUNCTIONS / name, f"ocid1.fnfunc.oc1.local.{name}", **settings)


@pytest.fixture
async def runner(tmp_path):
    echo = function(config={"GREETING": "hello", "FN_MEMORY": "forged"}, max_processes=2)
    async with FunctionRunner(
        [echo, function("plain", max_processes=3)], tmp_path, {"SHARED": "yes"}
    ) as running:
        yield running


def gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.rpartition(")")[2].split()[0] == "Z"


async def seen(runner, sent=(), **wish):
    reply = await runner.call_http("echo", "POST", "/store?a=b", sent, json.dumps(wish).encode())
    return reply, json.loads(reply.body)


async def invoked(runner, **wish):
    return await runner.invoke("echo", json.dumps(wish).encode())


async def test_calls_at_once_use_as_many_processes_as_allowed_and_never_share_one(runner, tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"
    begun.mkdir()
    wishes = [json.dumps({"begin": str(begun / str(n)), "await": str(go)}).encode() for n in range(6)]
    calls = [asyncio.create_task(runner.invoke("plain", wish)) for wish in wishes]
    await until(lambda: len(list(begun.iterdir())) >= 3)
    assert len(runner.processes("plain")) == len(list(begun.iterdir())) == 3
    go.touch()
    assert [(await call).body for call in calls] == [b"done"] * 6
    assert len(runner.processes("plain")) == 3


async def test_a_coroutine_handler_gets_one_call_at_a_time_too(runner):
    for _ in range(2):
        calls = await asyncio.gather(*(seen(runner, sleep=0.1) for _ in range(2)))
        assert {call["pid"] for _, call in calls} == set(runner.processes("echo"))
        assert len(runner.processes("echo")) == 2


async def test_an_idle_process_is_used_again(runner):
    assert (await seen(runner))[1]["pid"] == (await seen(runner))[1]["pid"]


async def test_waiting_callers_are_served_in_the_order_they_came(tmp_path):
    async with FunctionRunner([function("plain")], tmp_path) as runner:
        order = []

        async def call(number):
            await runner.invoke("plain", b"0.02")
            order.append(number)

        await asyncio.gather(*(call(number) for number in range(8)))
    assert order == list(range(8))


async def test_a_full_queue_answers_429(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "WAITING_PER_PROCESS", 1)
    async with FunctionRunner([function("plain")], tmp_path) as runner:
        replies = await asyncio.gather(*(runner.invoke("plain", b"0.2") for _ in range(3)))
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert json.loads(replies[2].body)["code"] == "TooManyRequests"
    assert replies[2].header("Retry-After") == "1"


async def test_a_process_that_dies_in_a_call_fails_that_call_only(runner):
    victim = (await seen(runner))[1]["pid"]
    reply, _ = await seen(runner, die=True)
    assert reply.status == 502
    assert json.loads(reply.body)["code"] == "FunctionInvokeExecutionFailed"
    reply, after = await seen(runner)
    assert reply.status == 200
    assert after["pid"] != victim


@pytest.mark.parametrize("noticed", [True, False])
async def test_callers_do_not_see_that_idle_processes_were_killed(runner, monkeypatch, noticed):
    await asyncio.gather(*(invoked(runner, sleep=0.1) for _ in range(2)))
    victims = runner.processes("echo")
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: all(gone(pid) for pid in victims))
    if not noticed:
        monkeypatch.setattr(FunctionProcess, "alive", True)
    reply, after = await seen(runner)
    assert reply.status == 200
    assert after["pid"] not in victims


async def test_a_process_is_killed_at_its_deadline(tmp_path):
    async with FunctionRunner([function("plain", timeout=3)], tmp_path) as runner:
        assert (await runner.invoke("plain", b"0")).status == 200
        (pid,) = runner.processes("plain")
        begun = time.perf_counter()
        reply = await runner.invoke("plain", b"600")
        assert time.perf_counter() - begun >= 3
        assert reply.status == 504
        assert gone(pid)
        assert (await runner.invoke("plain", b"0")).status == 200
        assert len(list(runner._sockets.iterdir())) == 1


async def test_the_deadline_is_told_in_whole_seconds(runner):
    before = datetime.now(UTC)
    _, call = await seen(runner)
    deadline = datetime.strptime(call["deadline"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert before + timedelta(seconds=29) < deadline <= datetime.now(UTC) + timedelta(seconds=30)


async def test_a_function_sees_its_configuration_and_the_platform_but_not_the_callers_environment(
    runner, monkeypatch
):
    monkeypatch.setenv("CALLERS_SECRET", "s3cret")
    environment = (await seen(runner))[1]["environment"]
    assert environment["GREETING"] == "hello"
    assert environment["SHARED"] == "yes"
    assert environment["FN_MEMORY"] == "256"
    assert environment["FN_FN_NAME"] == "echo"
    assert environment["FN_FN_ID"] == "ocid1.fnfunc.oc1.local.echo"
    assert "CALLERS_SECRET" not in environment


async def test_an_http_call_shows_method_url_and_headers_as_the_gateway_gives_them(runner):
    sent = [("X-One", "1"), ("Content-Type", "application/json"), ("Connection", "X-Hop"), ("X-Hop", "no")]
    _, call = await seen(runner, sent)
    assert (call["method"], call["url"]) == ("POST", "/store?a=b")
    assert call["http_headers"] == {"x-one": "1", "content-type": "application/json"}
    assert call["headers"]["fn-intent"] == "httprequest"


async def test_a_call_without_a_content_type_arrives_as_octets(runner):
    _, call = await seen(runner)
    assert call["http_headers"]["content-type"] == "application/octet-stream"


async def test_a_clients_own_platform_headers_stay_the_clients(runner):
    forged = [("Fn-Deadline", "2000-01-01T00:00:00Z"), ("Fn-Http-Method", "DELETE"), ("Fn-Intent", "forged")]
    _, call = await seen(runner, forged)
    assert call["method"] == "POST"
    assert not call["deadline"].startswith("2000")
    assert call["http_headers"]["fn-deadline"] == "2000-01-01T00:00:00Z"


async def test_of_a_repeated_header_the_function_sees_the_last(runner):
    _, call = await seen(runner, [("X-Many", "one"), ("X-Many", "two")])
    assert call["http_headers"]["x-many"] == "two"


async def test_header_bytes_that_are_not_utf_8_reach_the_function(runner):
    cafe = b"caf\xe9".decode("utf-8", "surrogateescape")
    _, call = await seen(runner, [("X-Name", cafe), ("Content-Type", cafe)])
    assert call["http_headers"] == {"x-name": "café", "content-type": "café"}


async def test_status_and_headers_of_the_function_reach_an_http_client(runner):
    reply, _ = await seen(runner, status=418, headers={"X-Out": "yes", "Content-Type": "application/x+json"})
    assert reply.status == 418
    assert dict(reply.headers) == {"X-Out": "yes", "Content-Type": "application/x+json"}


@pytest.mark.parametrize("status", [409, 500, 503])
async def test_error_statuses_of_the_function_are_the_clients(runner, status):
    assert (await seen(runner, status=status))[0].status == status


@pytest.mark.parametrize("status", [0, 99, 600])
async def test_a_status_that_http_does_not_know_is_a_failure(runner, status):
    assert (await seen(runner, status=status))[0].status == 502


async def test_the_text_of_an_exception_goes_to_the_log_and_not_to_the_caller(runner, tmp_path):
    for reply in (await seen(runner, **{"raise": "s3cret"}))[0], await invoked(runner, **{"raise": "s3cret"}):
        assert reply.status == 502
        assert b"s3cret" not in reply.body
        assert reply.header("Content-Type") == "application/problem+json"
    assert "s3cret" in (tmp_path / "logs/echo.log").read_text()


async def test_a_direct_invoke_has_no_gateway_headers_and_can_forge_none(runner):
    reply = await runner.invoke("echo", b"{}", [("Fn-Intent", "httprequest"), ("X-Own", "1")])
    call = json.loads(reply.body)
    assert call["url"] is None
    assert call["http_headers"] == {}
    assert "fn-intent" not in call["headers"]
    assert call["headers"]["x-own"] == "1"
    assert call["headers"]["content-type"] == "application/json"
    assert call["headers"]["fn-call-id"] == reply.header("Fn-Call-Id")


@pytest.mark.parametrize("status", [0, 202, 307, 400, 409, 413, 422, 429, 500, 501, 503, 505, 599])
async def test_a_direct_invoke_answers_200_whatever_status_the_function_set(runner, status):
    reply = await invoked(runner, status=status)
    assert reply.status == 200
    assert json.loads(reply.body)["url"] is None  # the function's own answer


@pytest.mark.parametrize("status", [502, 504])
async def test_of_a_direct_invoke_502_and_504_are_failures_and_lose_their_body(runner, status):
    reply = await invoked(runner, status=status)
    assert reply.status == status
    assert json.loads(reply.body)["status"] == status


async def test_a_function_can_be_invoked_by_its_ocid(runner):
    assert (await runner.invoke("ocid1.fnfunc.oc1.local.echo", b"{}")).status == 200


async def test_an_unknown_function_is_404(runner):
    assert (await runner.invoke("nobody")).status == 404


async def test_a_detached_invoke_is_answered_at_once_and_runs(tmp_path):
    """Also for longer than another call may take."""
    patient = function(timeout=0.1, detached_timeout=300)
    async with FunctionRunner([patient], tmp_path) as runner:
        go, ran = tmp_path / "go", tmp_path / "ran"
        body = json.dumps({"sleep": 0.3, "await": str(go), "touch": str(ran)}).encode()
        reply = await runner.invoke("echo", body, detached=True)
        assert reply.status == 202
        assert not ran.exists()
        go.touch()
        await until(ran.exists)


async def test_a_call_runs_to_its_end_without_its_caller(runner, tmp_path):
    begun, go, ran = (tmp_path / name for name in ("begun", "go", "ran"))
    wish = {"begin": str(begun), "await": str(go), "touch": str(ran)}
    caller = asyncio.create_task(invoked(runner, **wish))
    await until(begun.exists)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.touch()
    await until(ran.exists)


async def test_a_body_of_six_megabytes_comes_back_byte_by_byte(runner):
    body = os.urandom(MAX_BODY_BYTES)
    reply = await runner.call_http("echo", "POST", "/store", (), body)
    assert reply.body == body


async def test_a_body_over_six_megabytes_is_413(runner):
    assert (await runner.invoke("echo", bytes(MAX_BODY_BYTES + 1))).status == 413


async def test_an_answer_over_six_megabytes_is_502(runner):
    assert (await runner.invoke("echo", json.dumps({"body_size": MAX_BODY_BYTES + 1}).encode())).status == 502


async def test_a_function_that_does_not_start_is_502(tmp_path):
    missing = Function("missing", tmp_path, "ocid1.fnfunc.oc1.local.missing")
    async with FunctionRunner([missing], tmp_path) as runner:
        reply = await runner.invoke("missing")
        assert runner.processes("missing") == []
    assert reply.status == 502
    assert json.loads(reply.body)["code"] == "FunctionInvokeContainerInitFail"
    assert "doesn't exist" in (tmp_path / "logs/missing.log").read_text()


async def test_stop_leaves_no_process_and_no_file_and_answers_the_callers(tmp_path):
    runner = FunctionRunner([function("plain", max_processes=2)], tmp_path)
    await runner.start()
    calls = [asyncio.create_task(runner.invoke("plain", b"30")) for _ in range(3)]
    await until(lambda: len(runner.processes("plain")) == 2)
    pids, sockets = runner.processes("plain"), runner._sockets
    assert list(sockets.glob("*/lsnr.sock"))
    await runner.stop()
    assert [(await call).status for call in calls] == [503] * 3
    assert all(gone(pid) for pid in pids)
    assert not sockets.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_runner_killed_with_signal_9_leaves_no_function_process(tmp_path):
    script = f"""
import asyncio
from pathlib import Path
from local.emulators.functions import Function, FunctionRunner

async def main():
    plain = Function("plain", Path({str(FUNCTIONS / "plain")!r}), "ocid1.fnfunc.oc1.local.plain")
    async with FunctionRunner([plain], Path({str(tmp_path)!r})) as runner:
        await runner.invoke("plain")
        print(runner.processes("plain")[0], runner._sockets, flush=True)
        await runner.invoke("plain", b"25")

asyncio.run(main())
"""
    running = subprocess.Popen(
        [sys.executable, "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    pid, sockets = running.stdout.readline().split()
    assert not gone(int(pid))
    running.kill()
    running.communicate()
    deadline = time.monotonic() + 120
    while not gone(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    shutil.rmtree(sockets)
    assert gone(int(pid))
