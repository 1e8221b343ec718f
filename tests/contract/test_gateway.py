"""The gateway answers as OCI API Gateway does, with real FDK processes behind it."""

import asyncio
import json
import time
from http.client import HTTPConnection
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from local.emulators import gateway
from local.emulators.functions import MAX_BODY_BYTES, Function, FunctionRunner

FUNCTIONS = Path(__file__).parent / "functions"
ROUTES = {
    "path_prefix": "/v1/",
    "routes": [
        {"path": "/store", "methods": ["POST", "GET"], "callers": ["source"], "function": "echo"},
        {"path": "/store/{id}", "methods": ["GET"], "callers": ["source"], "function": "echo"},
        {"path": "/gone", "methods": ["GET"], "callers": ["source"], "function": "missing"},
    ],
}


def written(folder, routes):
    path = folder / "routes.json"
    path.write_text(json.dumps(routes))
    return path


@pytest.fixture
async def api(tmp_path):
    echo = Function("echo", FUNCTIONS / "echo", "ocid1.fnfunc.oc1.local.echo", timeout=5, max_processes=2)
    routes = gateway.load_routes(written(tmp_path, ROUTES))
    async with FunctionRunner([echo], tmp_path) as runner, gateway.serve(routes, runner) as url:
        skip = ("Content-Type", "User-Agent")
        async with aiohttp.ClientSession(url, skip_auto_headers=skip) as session:
            yield session


def is_problem(response, body, status, code):
    assert response.status == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"]
    assert body["detail"] == body["message"]
    return True


async def call(api, method="POST", path="/v1/store", *, wish=None, **options):
    options.setdefault("data", None if method == "GET" else json.dumps(wish or {}))
    async with api.request(method, path, **options) as response:
        return response, json.loads(await response.read() or "null")


def test_the_routes_that_terraform_deploys_can_be_read():
    routes = {
        (route.pattern.pattern, route.methods): (route.function, route.callers)
        for route in gateway.load_routes()
    }
    assert routes == {
        ("/store", ("POST",)): ("store-data", ("source",)),
        ("/store/[^/]+", ("GET",)): ("store-data", ("source", "operator")),
        ("/process", ("GET",)): ("process-data", ("operator",)),
        ("/process", ("POST",)): ("process-data", ("operator",)),
        ("/process/retry", ("POST",)): ("process-data", ("operator",)),
    }


@pytest.mark.parametrize("path", ["store", "/store/", "/store/{id*}", "/store/{a-b}", "/a//b", "/a b"])
def test_a_route_path_of_another_form_is_refused(tmp_path, path):
    routes = {"path_prefix": "/", "routes": [{"path": path, "methods": ["GET"], "function": "echo"}]}
    with pytest.raises(ValueError, match="Route path"):
        gateway.load_routes(written(tmp_path, routes))


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
    mark = tmp_path / "ran"
    await call(api)
    body = json.dumps({"sleep": 0.3, "touch": str(mark)})
    with pytest.raises(TimeoutError):
        await call(api, data=body, timeout=aiohttp.ClientTimeout(total=0.1))
    assert not mark.exists()
    await asyncio.sleep(0.5)
    assert mark.exists()


def ask(host, port, target):
    connection = HTTPConnection(host, port, timeout=5)
    connection.putrequest("POST", target, skip_accept_encoding=True)
    connection.putheader("Content-Length", "2")
    connection.endheaders(b"{}")
    return json.loads(connection.getresponse().read())


async def test_an_absolute_request_target_is_reduced_to_path_and_query(api):
    url = api._base_url
    seen = await asyncio.to_thread(ask, url.host, url.port, "http://elsewhere.example/v1/store?a=b")
    assert seen["url"] == "/v1/store?a=b"


async def test_a_warm_call_costs_a_few_milliseconds_at_most(api):
    took = []
    for _ in range(50):
        begun = time.perf_counter()
        async with api.post("/v1/store", data=b"echo") as response:
            assert await response.read() == b"echo"
        took.append(time.perf_counter() - begun)
    assert sorted(took)[25] < 0.02  # about 0.0015 on an idle machine


async def test_a_request_that_is_no_http_is_logged_without_its_headers(api, caplog):
    base = URL(str(api._base_url))
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(b"GET /v1/store HTTP/1.1\r\nAuthorization: Bearer s3cret\x00\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert "BadHttpMessage" in caplog.text
    assert "s3cret" not in caplog.text
    assert "Traceback" not in caplog.text
