"""Other invocations are started detached, told not to start more, and their failure harms nothing."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from shared.delivery import fan_out
from shared.delivery.fan_out import FanOut
from shared.drivers.oci import Refused
from shared.model.errors import DependencyDown

OCID = "ocid1.fnfunc.oc1..process-data"


class Clients:
    """Clients of OCI's services that note what they are asked."""

    calls: list[tuple[Any, ...]]

    def __init__(self, endpoint: str = "", failure: Exception | None = None):
        self.endpoint = endpoint
        self.failure = failure

    def call(self, *arguments: Any, **options: Any) -> Any:
        Clients.calls.append((self.endpoint, *arguments[2:], options))
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(invoke_endpoint="https://invoke.example.com")


@pytest.fixture(autouse=True)
def _clients(monkeypatch: pytest.MonkeyPatch) -> None:
    Clients.calls = []
    monkeypatch.setattr(fan_out, "OciClients", Clients)


def test_invocations_are_detached_and_told_not_to_fan_out() -> None:
    FanOut(Clients(), OCID).start(3, 500)  # type: ignore[arg-type]
    looked_up, *invoked = Clients.calls
    assert looked_up[:3] == ("", "get_function", OCID)
    assert len(invoked) == 3
    for endpoint, operation, ocid, options in invoked:
        assert (endpoint, operation, ocid) == ("https://invoke.example.com", "invoke_function", OCID)
        assert options["fn_invoke_type"] == "detached"
        assert json.loads(options["invoke_function_body"]) == {
            "noOfMessagesToProcess": 500,
            "fannedOut": True,
        }


def test_the_endpoint_is_looked_up_once() -> None:
    starter = FanOut(Clients(), OCID)  # type: ignore[arg-type]
    for _ in range(2):
        starter.start(1, 500)
    assert [call[1] for call in Clients.calls] == ["get_function", "invoke_function", "invoke_function"]


@pytest.mark.parametrize("failure", [Refused(404), DependencyDown("away")])
def test_a_failure_to_start_others_harms_nothing(failure: Exception) -> None:
    FanOut(Clients(failure=failure), OCID).start(3, 500)  # type: ignore[arg-type]
    assert len(Clients.calls) == 1
