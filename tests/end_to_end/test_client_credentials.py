"""Short-lived tokens: an operator keeps client credentials in Vault, and delivery gets tokens with them."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from local.emulators.oci.secret_store import put_secret
from shared.model.credentials import ClientCredentials
from tests.end_to_end import bundle as bundles
from tests.end_to_end.authorization_server import AuthorizationServer, serving
from tests.end_to_end.bundle import Bundle


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bundle, AuthorizationServer]]:
    with serving() as server:
        home: Path = tmp_path_factory.mktemp("client-credentials")
        with bundles.running(home, ALLOWED_TARGETS=server.url, RETRY_LIMIT="8") as bundle:
            yield bundle, server


@pytest.fixture
def server(_running: tuple[Bundle, AuthorizationServer]) -> AuthorizationServer:
    """A server whose client has a new secret, for which no token is kept."""
    _running[1].reset()
    return _running[1]


@pytest.fixture
def bundle(_running: tuple[Bundle, AuthorizationServer]) -> Bundle:
    _running[0].reset()
    return _running[0]


def keep(bundle: Bundle, server: AuthorizationServer, **members: str) -> str:
    """Do what the operator does; return what a caller proves its right with."""
    known = ClientCredentials(f"{server.url}/token", server.client_id, server.client_secret, "orders.write")
    described = {name: getattr(known, name) for name in ("token_url", "client_id", "client_secret", "scope")}
    put_secret(bundle.home, f"datasync-{server.name}", json.dumps(described | members))
    bundles.secret(known.client_secret)
    return bundles.secret(known.authorization)


def stored(bundle: Bundle, server: AuthorizationServer, proof: str, number: int = 1) -> list[str]:
    record = bundle.record(f"{server.url}/api", vaultSecretName=server.name)
    return [one["id"] for one in bundle.store([record] * number, proof)["records"]]


def test_many_records_are_sent_with_one_access_token(bundle: Bundle, server: AuthorizationServer) -> None:
    server.pause = 0.2  # long enough for all of them to wait for the one
    ids = stored(bundle, server, keep(bundle, server), 100)
    assert bundle.process()["processedmessages"] == 100
    more = stored(bundle, server, keep(bundle, server), 10)
    assert bundle.process()["processedmessages"] == 10
    assert sorted(server.accepted) == sorted(ids + more)
    assert server.requests == [{"grant_type": "client_credentials", "scope": "orders.write"}]


def test_an_access_token_is_got_anew_before_it_expires(bundle: Bundle, server: AuthorizationServer) -> None:
    server.lifetime = 1
    proof = keep(bundle, server)
    for calls in (1, 2):
        stored(bundle, server, proof)
        assert bundle.process()["processedmessages"] == 1
        assert len(server.issued) == calls
        threading.Event().wait(0.9)
    assert server.refused == []


def test_a_refused_access_token_is_replaced_once(bundle: Bundle, server: AuthorizationServer) -> None:
    proof = keep(bundle, server)
    stored(bundle, server, proof)
    bundle.process()
    server.revoke()
    ids = stored(bundle, server, proof, 50)
    assert bundle.process()["processedmessages"] == 50
    assert len(server.issued) == 2
    assert set(server.refused) <= set(ids)
    assert sorted(server.accepted[1:]) == sorted(ids)


def test_a_target_that_refuses_every_token_costs_one_more_a_call(
    bundle: Bundle, server: AuthorizationServer
) -> None:
    server.refuses = True
    ids = stored(bundle, server, keep(bundle, server), 50)
    assert bundle.process()["failedMessages"] == 50
    assert len(server.issued) == 2
    assert {bundle.state(one)["status_code"] for one in ids} == {401}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (web.json_response({"error": "invalid_scope"}, status=400), "400 Bad Request (invalid_scope)"),
        (web.json_response({"error": "secret words"}, status=400), "400 Bad Request"),
        (web.Response(status=503), "503 Service Unavailable"),
        (web.Response(status=307, headers={"Location": "/api"}), "307 Temporary Redirect; redirects are not"),
        (web.Response(text="<html>"), "the token URL's answer holds none"),
        (web.json_response([1]), "the token URL's answer holds none"),
        (web.json_response({"access_token": "a\r\nX: y", "token_type": "Bearer"}), "answer holds none"),
        (web.json_response({"access_token": "a", "token_type": "mac"}), "another token_type than Bearer"),
        (web.Response(body=b"{" * 200_000), "the token URL's answer holds none"),
    ],
)
def test_without_an_access_token_a_record_fails_and_says_why(
    bundle: Bundle, server: AuthorizationServer, fault: web.Response, reason: str
) -> None:
    [identity] = stored(bundle, server, keep(bundle, server))
    server.fault = fault
    assert bundle.process()["failedMessages"] == 1
    state = bundle.state(identity)
    assert (state["status_code"], state["error_stream"]) == ("unexpectedError", "recoverable")
    assert state["failure_reason"].startswith("no access token: ")
    assert reason in state["failure_reason"]
    assert "secret words" not in state["failure_reason"]
    assert server.refused == []
    server.fault = None
    assert bundle.process()["processedmessages"] == 1


def test_a_token_url_that_does_not_answer_leaves_most_records_alone(
    bundle: Bundle, server: AuthorizationServer
) -> None:
    server.fault = web.Response(status=503)
    stored(bundle, server, keep(bundle, server), 200)
    answer = bundle.process()
    assert 0 < answer["failedMessages"] < 100
    assert answer["failedMessages"] + answer["skippedMessages"] == 200
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"token_url": "http://169.254.169.254/token"}, "not sent: http://169.254.169.254:80 is not among"),
        ({"token_url": "http://evil.example/token"}, "not sent: http://evil.example:80 is not among"),
        ({"token_url": "file:///etc/passwd"}, "not sent: the URL must be an absolute https URL"),
        ({"token_url": ""}, "the secret describes no client: it has no token_url"),
        (
            {"password": "x"},
            "the secret describes no client: it may have token_url, client_id, client_secret",
        ),
    ],
)
def test_credentials_that_lead_elsewhere_or_nowhere_are_not_used(
    bundle: Bundle, server: AuthorizationServer, members: dict[str, str], reason: str
) -> None:
    [identity] = stored(bundle, server, keep(bundle, server))
    keep(bundle, server, **members)
    bundle.process()
    bundle.retry(adoptToken=True)
    assert reason in bundle.state(identity)["failure_reason"]
    assert server.requests == []


def test_a_caller_proves_by_client_id_and_secret_that_it_may_name_them(
    bundle: Bundle, server: AuthorizationServer
) -> None:
    proof = keep(bundle, server)
    record = bundle.record(f"{server.url}/api", vaultSecretName=server.name)
    described = json.dumps({"token_url": f"{server.url}/token", "client_id": "a", "client_secret": "b"})
    assert bundle.call("POST", "/store", record, Authorization=proof + "x").status_code == 409
    assert bundle.call("POST", "/store", record, Authorization="Bearer x").status_code == 409
    refused = bundle.call("POST", "/store", record, Authorization=described)
    assert refused.status_code == 422
    assert "only operators keep credentials" in refused.text
    assert bundle.documents() == []
    bundle.store(record, proof)


def test_neither_secret_nor_access_token_is_written_anywhere(
    bundle: Bundle, server: AuthorizationServer
) -> None:
    proof = keep(bundle, server)
    ids = stored(bundle, server, proof, 3)
    server.fault = web.json_response({"error": server.client_secret, "access_token": "7"}, status=400)
    replies = [str(bundle.process())]
    server.fault = None
    replies += [str(bundle.process()), *(str(bundle.state(one)) for one in ids)]
    assert len(server.accepted) == 3
    files = [path for path in bundle.home.rglob("*") if path.is_file()]
    for form in (server.client_secret, *server.issued, proof.removeprefix("Basic ")):
        assert not [reply for reply in replies if form in reply]
        assert not [path for path in files if form.encode() in path.read_bytes()]
