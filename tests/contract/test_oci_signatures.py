"""Only this machine's own functions are let in: signatures and session tokens, through the real signer."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from unittest import mock

import jwt
import oci.auth.signers
import pytest
import requests
from oci.vault import VaultsClient

from local.emulators import identity
from tests.contract.oci_server import Server, refused, serving, signer

Tamper = Callable[[requests.PreparedRequest], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


def signer_from(environment: dict[str, str]) -> object:
    with mock.patch.dict("os.environ", environment):
        return oci.auth.signers.get_resource_principals_signer()


def publish(
    server: Server, headers: dict[str, str] | None = None, tamper: Tamper | None = None
) -> requests.Response:
    """A signed POST, changed on its way where `tamper` says so."""
    url = f"{server.url}/20181201/topics/{identity.TOPIC_OCID}/messages"
    request = requests.Request("POST", url, json={"body": "hello"}, headers=headers, auth=server.signer)
    prepared = request.prepare()
    if tamper:
        tamper(prepared)
    return requests.Session().send(prepared, timeout=60)


def assert_not_authenticated(response: requests.Response) -> None:
    assert response.status_code == 401
    assert response.json().keys() == {"code", "message"}
    assert response.json()["code"] == "NotAuthenticated"
    assert response.headers["opc-request-id"]


def test_a_request_signed_by_the_functions_key_is_let_in(server: Server) -> None:
    assert publish(server).status_code == 202


def test_a_request_signed_by_another_key_is_refused(server: Server, tmp_path: Path) -> None:
    environment = identity.environment(server.home)
    environment["OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM"] = identity.environment(tmp_path)[
        "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM"
    ]
    with refused(401, "NotAuthenticated"):
        server.client(VaultsClient, signer=signer_from(environment)).list_secrets(identity.COMPARTMENT_OCID)


def test_a_token_from_another_machine_is_refused(server: Server, tmp_path: Path) -> None:
    with refused(401, "NotAuthenticated"):
        server.client(VaultsClient, signer=signer(tmp_path)).list_secrets(identity.COMPARTMENT_OCID)


def test_an_expired_token_is_refused(server: Server) -> None:
    environment = identity.environment(server.home, timedelta(seconds=-1))
    with refused(401, "NotAuthenticated"):
        server.client(VaultsClient, signer=signer_from(environment)).list_secrets(identity.COMPARTMENT_OCID)


def test_a_token_that_says_it_needs_no_signature_is_refused(server: Server) -> None:
    environment = identity.environment(server.home)
    claims = jwt.decode(environment["OCI_RESOURCE_PRINCIPAL_RPST"], options={"verify_signature": False})
    environment["OCI_RESOURCE_PRINCIPAL_RPST"] = jwt.encode(claims, None, algorithm="none")
    with refused(401, "NotAuthenticated"):
        server.client(VaultsClient, signer=signer_from(environment)).list_secrets(identity.COMPARTMENT_OCID)


def test_a_request_without_a_signature_is_refused(server: Server) -> None:
    assert_not_authenticated(requests.get(f"{server.url}/20180608/secrets", timeout=60))


def test_an_unknown_path_is_not_shown_to_strangers(server: Server) -> None:
    assert_not_authenticated(requests.get(f"{server.url}/nowhere", timeout=60))


def change_body(request: requests.PreparedRequest) -> None:
    request.body = b'{"body": "jello"}'


def change_body_and_hash(request: requests.PreparedRequest) -> None:
    change_body(request)
    request.headers["x-content-sha256"] = "xeW2nDLdBwzJg+3Qu3fXJsZrjF8Nvc8BNkuVw5eSa7E="


def change_query(request: requests.PreparedRequest) -> None:
    request.url = f"{request.url}?more=1"


def change_host(request: requests.PreparedRequest) -> None:
    request.headers["host"] = "vaults.eu-frankfurt-1.oci.oraclecloud.com"


def change_content_type(request: requests.PreparedRequest) -> None:
    request.headers["content-type"] = "text/plain"


def use_an_api_key(request: requests.PreparedRequest) -> None:
    header = request.headers["authorization"]
    request.headers["authorization"] = header.replace('keyId="ST$', 'keyId="ocid1.tenancy/ocid1.user/aa:bb')


def use_another_scheme(request: requests.PreparedRequest) -> None:
    request.headers["authorization"] = "Bearer abc"


def name_a_parameter_twice(request: requests.PreparedRequest) -> None:
    request.headers["authorization"] += ',version="1"'


@pytest.mark.parametrize(
    "tamper",
    [
        change_body,
        change_body_and_hash,
        change_query,
        change_host,
        change_content_type,
        use_an_api_key,
        use_another_scheme,
        name_a_parameter_twice,
    ],
)
def test_a_request_changed_on_its_way_is_refused(server: Server, tamper: Tamper) -> None:
    assert_not_authenticated(publish(server, tamper=tamper))


@pytest.mark.parametrize("seconds", [-303, 303])
def test_a_date_more_than_five_minutes_off_is_refused(server: Server, seconds: int) -> None:
    headers = {"date": formatdate(time.time() + seconds, usegmt=True)}
    assert_not_authenticated(publish(server, headers))


@pytest.mark.parametrize("seconds", [-290, 290])
def test_a_date_less_than_five_minutes_off_is_let_in(server: Server, seconds: int) -> None:
    assert publish(server, {"date": formatdate(time.time() + seconds, usegmt=True)}).status_code == 202


def test_a_date_that_is_none_is_refused(server: Server) -> None:
    assert_not_authenticated(publish(server, {"date": "yesterday"}))


@pytest.mark.parametrize(
    "left_out", ["date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256"]
)
def test_a_signature_that_leaves_a_required_header_out_is_refused(server: Server, left_out: str) -> None:
    def required(names: list[str]) -> list[str]:
        return [name for name in names if name != left_out]

    reduced = signer(server.home)
    reduced.create_signers(
        reduced.api_key,
        reduced.private_key,
        required(["date", "(request-target)", "host"]),
        required(["content-length", "content-type", "x-content-sha256"]),
    )
    response = publish(Server(server.url, server.home, server.app, reduced))
    assert_not_authenticated(response)
    assert left_out in response.json()["message"]


def test_keys_are_kept_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first = identity.environment(tmp_path / "home")
    second = identity.environment(tmp_path / "home")
    name = "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM"
    assert first[name] == second[name]
    folder = tmp_path / "home" / "identity"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600, 0o600]
