"""Failures on demand, as the SDK's user meets them, and the counts of calls."""

import time
from collections.abc import Iterator
from typing import Any

import oci.exceptions
import pytest
import requests
from aiohttp.test_utils import make_mocked_request
from oci.ons import NotificationDataPlaneClient
from oci.ons.models import MessageDetails
from oci.vault import VaultsClient

from local.emulators.identity import COMPARTMENT_OCID, TOPIC_OCID
from local.emulators.oci.app import CALLS, FAULTS, MESSAGES
from local.emulators.oci.faults import Fault
from local.emulators.oci.wire import ServiceError
from tests.contract.oci_server import Server, refused, serving


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def server(shared_server: Server) -> Server:
    shared_server.app[FAULTS].clear()
    shared_server.app[CALLS].clear()
    return shared_server


def list_secrets(server: Server, **options: Any) -> Any:
    return server.client(VaultsClient, **options).list_secrets(COMPARTMENT_OCID)


@pytest.mark.parametrize(
    ("status", "code"), [(429, "TooManyRequests"), (500, "InternalServerError"), (503, "ServiceUnavailable")]
)
def test_a_service_answers_an_error_for_the_next_calls(server: Server, status: int, code: str) -> None:
    server.app[FAULTS].add(Fault("vault", status=status, times=2))
    for _ in range(2):
        with refused(status, code):
            list_secrets(server)
    assert list_secrets(server).status == 200


def test_a_fault_without_an_end_lasts_until_it_is_cleared(server: Server) -> None:
    server.app[FAULTS].add(Fault("*", status=503))
    for _ in range(3):
        with refused(503, "ServiceUnavailable"):
            list_secrets(server)
    server.app[FAULTS].clear()
    assert list_secrets(server).status == 200


def test_a_fault_of_one_operation_leaves_the_others_alone(server: Server) -> None:
    server.app[FAULTS].add(Fault("vault.create_secret", status=503))
    assert list_secrets(server).status == 200


def test_a_dropped_connection_surfaces_as_a_request_exception(server: Server) -> None:
    server.app[FAULTS].add(Fault("vault", drop="before"))
    with pytest.raises(oci.exceptions.RequestException):
        list_secrets(server)


def test_a_connection_dropped_afterwards_loses_the_answer_and_not_the_effect(server: Server) -> None:
    server.app[FAULTS].add(Fault("notifications", drop="after"))
    with pytest.raises(oci.exceptions.RequestException):
        server.client(NotificationDataPlaneClient).publish_message(
            TOPIC_OCID, MessageDetails(body="lost answer")
        )
    assert [entry["body"] for entry in server.app[MESSAGES].entries()] == ["lost answer"]


def test_a_delay_longer_than_the_clients_patience_is_a_time_out(server: Server) -> None:
    server.app[FAULTS].add(Fault("vault", delay=1.0, times=2))
    with pytest.raises(oci.exceptions.RequestException, match="Read timed out"):
        list_secrets(server, timeout=(60, 0.2))
    began = time.monotonic()
    assert list_secrets(server).status == 200
    assert time.monotonic() - began >= 1.0


def test_calls_are_counted_by_operation(server: Server) -> None:
    list_secrets(server)
    list_secrets(server)
    server.app[FAULTS].add(Fault("vault", status=503, times=1))
    with refused(503, "ServiceUnavailable"):
        list_secrets(server)
    assert server.app[CALLS].counts() == {"vault.list_secrets": 3}


def test_the_operator_switches_faults_and_reads_counts_without_a_signature(server: Server) -> None:
    faults, counts = f"{server.url}/_local/faults", f"{server.url}/_local/calls"
    added = requests.post(faults, json={"where": "vault", "status": 503, "times": 1}, timeout=60)
    assert added.status_code == 201
    assert requests.get(faults, timeout=60).json()[0]["status"] == 503
    with refused(503, "ServiceUnavailable"):
        list_secrets(server)
    assert requests.get(faults, timeout=60).json() == []
    assert requests.get(counts, timeout=60).json() == {"vault.list_secrets": 1}
    requests.delete(counts, timeout=60)
    assert requests.get(counts, timeout=60).json() == {}
    requests.post(faults, json={"where": "*", "status": 503}, timeout=60)
    requests.delete(faults, timeout=60)
    assert list_secrets(server).status == 200


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"where": ""},
        {"where": "vault", "status": 200},
        {"where": "vault", "drop": "often"},
        {"where": "vault", "delay": -1},
        {"where": "vault", "times": 0},
        {"where": "vault", "unknown": 1},
        {"where": "vault", "status": "503"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(server: Server, fault: dict[str, Any]) -> None:
    answer = requests.post(f"{server.url}/_local/faults", json=fault, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
    assert server.app[FAULTS].listed() == []


def test_a_page_in_a_browser_cannot_switch_faults(server: Server) -> None:
    answer = requests.post(f"{server.url}/_local/faults", data='{"where": "*", "status": 503}', timeout=60)
    assert answer.status_code == 415


async def test_the_operators_routes_are_closed_to_other_machines(server: Server) -> None:
    request = make_mocked_request("GET", "/_local/calls").clone(remote="203.0.113.7")
    resolved = await server.app.router.resolve(request)
    with pytest.raises(ServiceError, match="Only callers on this machine"):
        await resolved.handler(request)
