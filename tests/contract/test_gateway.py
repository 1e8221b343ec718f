"""The gateway answers as OCI API Gateway does, with real FDK processes behind it."""

import asyncio
import json

import pytest
import pytest_asyncio
from yarl import URL

from local.emulators.functions import MAX_BODY_BYTES
from tests.contract.gateway_server import call, is_problem, raw, serving, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("api")) as session:
        yield session


async def test_a_request_reaches_the_function_with_path_and_query_as_sent(api):
    target = URL("/v1/store?a=%2Fb&c=%C3%A9&a=2", encoded=True)
    response, seen = await call(api, path=target, headers={"Content-Type": "application/json", "X-One": "1"})
    assert response.status == 200
    assert (seen["method"], seen["url"]) == ("POST", str(target))
    assert seen["http_headers"]["x-one"] == "1"
    assert seen["http_headers"]["content-type"] == "application/json"
    assert seen["http_headers"]["host"].startswith("127.0.0.1:")


async def test_a_path_parameter_takes_one_segment(api):
    response, _ = await call(api, "GET", "/v1/store/0193-abc")
    assert response.status != 404
    for path in "/v1/store/", "/v1/store/a/b", "/store", "/v1", "/v1/stores", "/v1/%0A/a%0D", "/%00":
        response, body = await call(api, "GET", URL(path, encoded=True))
        assert is_problem(response, body, 404, "NotFound")


@pytest.mark.parametrize(("path", "allow"), [("/v1/store", "GET, POST"), ("/v1/store/7", "GET")])
@pytest.mark.parametrize("method", ["DELETE", "OPTIONS"])
async def test_another_method_on_a_known_path_is_405(api, path, allow, method):
    response, body = await call(api, method, path)
    assert is_problem(response, body, 405, "MethodNotAllowed")
    assert response.headers["Allow"] == allow


async def test_head_is_405_without_a_body_where_no_route_has_it(api):
    response, body = await call(api, "HEAD")
    assert response.status == 405
    assert body is None


async def test_status_and_headers_of_the_function_reach_the_client(api):
    wish = {"status": 422, "headers": {"X-Out": "yes", "Connection": "close", "Content-Length": "1"}}
    response, _ = await call(api, wish=wish)
    assert response.status == 422
    assert response.headers["X-Out"] == "yes"
    assert response.headers["Content-Type"] == "application/json"
    assert not [name for name in response.headers if name.lower().startswith("fn-")]


async def test_a_status_without_a_body_has_none(api):
    async with api.post("/v1/store", data=json.dumps({"status": 204})) as response:
        assert response.status == 204
        assert await response.read() == b""


async def test_hop_by_hop_headers_stay_behind(api):
    headers = {"Connection": "X-Hop", "X-Hop": "1", "Te": "trailers", "X-End": "2"}
    _, seen = await call(api, headers=headers)
    assert not {"connection", "x-hop", "te"} & seen["http_headers"].keys()
    assert seen["http_headers"]["x-end"] == "2"


async def test_the_function_learns_the_client_after_the_proxies_before_it(api):
    headers = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "192.0.2.2"), ("X-Real-Ip", "192.0.2.9")]
    _, seen = await call(api, headers=headers)
    assert seen["http_headers"]["x-forwarded-for"] == "192.0.2.1, 192.0.2.2, 127.0.0.1"
    assert seen["http_headers"]["forwarded"] == "for=127.0.0.1"
    assert seen["http_headers"]["x-real-ip"] == "127.0.0.1"


async def test_a_request_id_keeps_its_first_two_parts_and_gets_a_span(api):
    response, seen = await call(api, headers={"Opc-Request-Id": "customer/trace/span"})
    assert seen["headers"]["opc-request-id"] == "customer/trace"
    customer, trace, span = response.headers["Opc-Request-Id"].split("/")
    assert (customer, trace) == ("customer", "trace")
    assert span not in ("", "span")


@pytest.mark.parametrize("given", [None, "", "x" * 500, "bad id/{trace}"])
async def test_a_request_without_a_usable_id_gets_one(api, given):
    response, seen = await call(api, headers={} if given is None else {"Opc-Request-Id": given})
    _, trace, span = response.headers["Opc-Request-Id"].split("/")
    assert len(trace) == len(span) == 32
    assert seen["headers"]["opc-request-id"].endswith(trace)


async def test_errors_of_the_gateway_carry_a_request_id_too(api):
    response, _ = await call(api, "GET", "/nowhere")
    assert response.headers["Opc-Request-Id"]


async def test_a_failing_function_is_502_without_its_text(api):
    response, body = await call(api, wish={"raise": "s3cret"})
    assert is_problem(response, body, 502, "FunctionInvokeExecutionFailed")
    assert "s3cret" not in json.dumps(body)


async def test_a_function_that_dies_is_502_and_the_next_call_works(api):
    response, body = await call(api, wish={"die": True})
    assert is_problem(response, body, 502, "FunctionInvokeExecutionFailed")
    assert (await call(api))[0].status == 200


async def test_a_route_to_a_missing_function_is_404(api):
    response, body = await call(api, "GET", "/v1/gone")
    assert is_problem(response, body, 404, "NotAuthorizedOrNotFound")


async def test_six_megabytes_pass_and_one_byte_more_is_413(api):
    body = bytes(MAX_BODY_BYTES)
    async with api.post("/v1/store", data=body) as response:
        assert await response.read() == body
    response, answer = await call(api, data=body + b"x")
    assert is_problem(response, answer, 413, "RequestBodyTooLarge")


async def test_a_body_of_undeclared_length_is_bounded_too(api):
    async def endless():
        for _ in range(7):
            yield bytes(1024 * 1024)

    response, answer = await call(api, data=endless())
    assert is_problem(response, answer, 413, "RequestBodyTooLarge")


@pytest.mark.parametrize("headers", [{"X-Long": "x" * 8100}, {f"X-{n}": "x" * 90 for n in range(200)}])
async def test_more_than_eight_kilobytes_of_headers_are_431(api, headers):
    response, answer = await call(api, headers=headers)
    assert is_problem(response, answer, 431, "RequestHeaderFieldsTooLarge")
    assert (await call(api, headers={"X-Long": "x" * 7500}))[0].status == 200


async def test_a_call_runs_to_its_end_when_the_client_hangs_up(api, tmp_path):
    begun, go, ran = (tmp_path / name for name in ("begun", "go", "ran"))
    body = json.dumps({"begin": str(begun), "await": str(go), "touch": str(ran)})
    calling = asyncio.create_task(call(api, data=body))
    await until(begun.exists)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await call(api)  # by the end of another call the gateway has seen the first client leave
    assert not ran.exists()
    go.touch()
    await until(ran.exists)


async def test_an_absolute_request_target_is_reduced_to_path_and_query(api):
    _, seen = await raw(api, "Host: 127.0.0.1:PORT", target="http://localhost:PORT/v1/store?a=b")
    assert seen["url"] == "/v1/store?a=b"


async def test_a_request_that_is_no_http_is_logged_without_its_headers(api, caplog):
    base = URL(str(api._base_url))
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(b"GET /v1/store HTTP/1.1\r\nAuthorization: Bearer s3cret\x00\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert "BadHttpMessage" in caplog.text
    assert "s3cret" not in caplog.text
    assert "Traceback" not in caplog.text
