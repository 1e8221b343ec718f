"""An invocation as a request, what is checked of it, and the answer that reaches whoever made it."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.drivers import fdk, responses
from shared.drivers.request import Request
from shared.drivers.responses import Response
from shared.model.errors import (
    CallerError,
    Conflict,
    DependencyDown,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    Misconfigured,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)
from tests.unit.invocations import answered, context, directly, through_the_gateway

JSON = "application/json"


def request(
    method: str = "POST", path: str | None = "/process", body: bytes = b"", **headers: str
) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, named, body, {}, 0.0)


def answers(value: Any = None) -> Callable[[Any, Any], Any]:
    return lambda context, data: fdk.respond(context, data, lambda _: responses.ok(value))


def raises(error: Exception) -> Callable[[Any, Any], Any]:
    def handle(_: Request) -> Response:
        raise error

    return lambda context, data: fdk.respond(context, data, handle)


# The request


def test_a_request_through_the_gateway_is_read_with_the_clients_headers() -> None:
    made = context(
        "PUT", "/a%20b/store?x=1&y=", {"Content-Type": JSON, "X-Own": "1", "Authorization": "Bearer x"}
    )
    read = Request.of(made, io.BytesIO(b"{}"))
    assert (read.method, read.path, read.body, read.query) == (
        "PUT",
        "/a b/store",
        b"{}",
        {"x": "1", "y": ""},
    )
    assert read.headers == {"content-type": JSON, "x-own": "1", "authorization": "Bearer x"}
    assert not read.is_direct


def test_a_direct_invocation_has_no_path_and_none_of_its_headers_count() -> None:
    read = Request.of(
        context(headers={"x-datasync-caller": "a", "authorization": "Bearer x"}), io.BytesIO(b"{}")
    )
    assert (read.method, read.path, read.headers) == ("POST", None, {"content-type": JSON})
    assert read.is_direct


def test_of_a_repeated_header_the_last_counts() -> None:
    made = context("GET", "/store/7", {"X-Own": ["first", "last"]})  # type: ignore[dict-item]
    assert Request.of(made, None).headers["x-own"] == "last"


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/store", []),
        ("/store/", []),
        ("/store/7", ["7"]),
        ("/prefix/store/7", ["7"]),
        ("/store/store/7", ["7"]),
        ("/store//7/b", ["7", "b"]),
        (None, []),
    ],
)
def test_a_route_is_what_follows_the_functions_name(path: str | None, segments: list[str]) -> None:
    assert request(path=path).segments_after("store") == segments


@pytest.mark.parametrize("path", ["/", "/stored", "/process"])
def test_a_path_without_the_functions_name_is_no_route(path: str) -> None:
    with pytest.raises(NotFound):
        request(path=path).segments_after("store")


@pytest.mark.parametrize(
    ("accept", "prefers"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=x, application/json", False),
    ],
)
def test_a_browser_prefers_a_page(accept: str, prefers: bool) -> None:
    assert request("GET", accept=accept).prefers_html() is prefers


def test_another_method_is_refused_with_those_that_are_allowed() -> None:
    request("GET").expect_method("POST", "GET")
    with pytest.raises(MethodNotAllowed):
        request("DELETE").expect_method("POST", "GET")


# Who calls


def test_the_caller_is_who_the_gateway_says() -> None:
    assert request(x_datasync_caller=" mobile ").caller == "mobile"
    assert request().caller == ""
    with pytest.raises(Forbidden):
        _ = request(x_datasync_caller="c" * 256).caller


@pytest.mark.parametrize(
    ("roles", "prefix", "is_operator"),
    [
        ("operator", "", True),
        ("source", "", False),
        ("", "", False),
        ("source operator", "", True),
        ("datasync.source datasync.operator", "datasync.", True),
        ('["datasync.source","datasync.operator"]', "datasync.", True),
        ("operator", "datasync.", False),
        ("other.operator", "datasync.", False),
        ("datasync.operators", "datasync.", False),
        ("other.operator", "", False),
    ],
)
def test_an_operator_is_who_has_the_role(roles: str, prefix: str, is_operator: bool) -> None:
    assert request(x_datasync_role=roles).is_from_operator(prefix) is is_operator


def test_who_may_invoke_directly_is_an_operator() -> None:
    assert request(path=None).is_from_operator("datasync.")


# What another site's page can send


@pytest.mark.parametrize(
    "content_type", [JSON, "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_json_is_declared(content_type: str, body: bytes) -> None:
    request(body=body, content_type=content_type).expect_json()


@pytest.mark.parametrize("content_type", ["", "application/octet-stream"])
def test_only_an_empty_body_needs_no_declaration(content_type: str) -> None:
    request(content_type=content_type).expect_json()
    for body in (b"{}", b" "):
        with pytest.raises(UnsupportedMediaType):
            request(body=body, content_type=content_type).expect_json()


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "json"],
)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_form_is_refused_be_it_empty(content_type: str, body: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        request(body=body, content_type=content_type).expect_json()
    request(path=None, body=body, content_type=content_type).expect_json()  # no browser invokes directly


HERE = "gateway.example.com"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": HERE},
        {"host": HERE, "origin": f"https://{HERE}"},
        {"host": HERE, "origin": f"HTTPS://{HERE.upper()}"},
        {"host": f"{HERE}:443", "origin": f"https://{HERE}"},
        {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"},
        {"host": "inner", "origin": f"https://{HERE}", "sec_fetch_site": "same-origin"},  # behind a proxy
        {"host": HERE, "sec_fetch_site": "none"},
    ],
)
def test_what_no_other_site_sends_passes(headers: dict[str, str]) -> None:
    request(**headers).expect_own_site()


@pytest.mark.parametrize(
    "headers",
    [
        {"host": HERE, "origin": "https://evil.example.com"},
        {"host": HERE, "origin": "null"},
        {"host": HERE, "origin": f"https://{HERE}.evil.example.com"},
        {"host": HERE, "origin": f"https://{HERE}:8443"},
        {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8081"},
        {"origin": "https://evil.example.com"},
        {"host": HERE, "origin": f"https://{HERE}", "sec_fetch_site": "cross-site"},
        {"host": HERE, "sec_fetch_site": "Cross-Site"},
        {"host": HERE, "sec_fetch_site": "same-site"},
    ],
)
def test_what_a_page_of_another_site_sends_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        request(**headers).expect_own_site()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_these_checks_stand_before_every_change(method: str) -> None:
    for headers, status in (({"Content-Type": "text/plain"}, 415), ({"Sec-Fetch-Site": "cross-site"}, 403)):
        answer = through_the_gateway(answers(), method, "/store/7", **headers)
        assert answer.status_at_the_gateway == status


def test_a_page_may_look() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
    assert through_the_gateway(answers(), "GET", "/process", **headers).status_at_the_gateway == 200


# The answer


def test_an_answer_through_the_gateway_has_the_clients_headers_and_status() -> None:
    answer = through_the_gateway(answers({"a": 1}), "GET", "/store/7")
    assert answer.status_at_the_gateway == 200
    assert json.loads(answer.body) == {"a": 1}
    assert answer.headers["fn-http-h-x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("intent", ["cloudevent", "", "httprequest"])
def test_a_clients_own_intent_means_nothing(intent: str) -> None:
    answer = through_the_gateway(raises(NotFound("There is none.")), "GET", "/store/7", Fn_Intent=intent)
    assert answer.status_at_the_gateway == 404
    assert answer.headers["fn-http-h-cache-control"] == "no-store"


MISTAKES = [NotFound("a"), Conflict("a"), TooLarge("a"), UnsupportedMediaType("a"), Invalid("a")]
TO_BE_REPEATED = [
    DependencyDown("a"),
    Misconfigured("a"),
    ZeroDivisionError("a"),
    KeyError("a"),
    OSError("a"),
]


@pytest.mark.parametrize("error", [*MISTAKES, *TO_BE_REPEATED], ids=lambda error: type(error).__name__)
def test_the_gateways_client_reads_what_went_wrong(error: Exception) -> None:
    answer = through_the_gateway(raises(error), "POST", "/process")
    assert answer.status_at_the_gateway == getattr(error, "status", 500)
    assert answer.status not in (502, 504)  # the platform would replace the body


@pytest.mark.parametrize("error", TO_BE_REPEATED, ids=lambda error: type(error).__name__)
def test_what_must_be_invoked_again_leaves_a_direct_invocation_as_502(error: Exception) -> None:
    assert directly(raises(error)).status_for_an_invoker == 502


@pytest.mark.parametrize("error", MISTAKES, ids=lambda error: type(error).__name__)
def test_what_would_fail_again_in_the_same_way_is_answered(error: CallerError) -> None:
    answer = directly(raises(error))
    assert answer.status_for_an_invoker == 200
    assert json.loads(answer.body)["status"] == error.status


async def test_a_coroutine_is_answered_alike() -> None:
    async def fail(_: Request) -> Response:
        raise DependencyDown("away")

    async def succeed(_: Request) -> Response:
        return responses.ok({"a": 1})

    assert answered(await fdk.respond_async(context(), None, fail)).status == 502
    gateway = context("POST", "/process")
    assert answered(await fdk.respond_async(gateway, None, fail)).status_at_the_gateway == 503
    assert json.loads(answered(await fdk.respond_async(context(), None, succeed)).body) == {"a": 1}
