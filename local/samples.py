"""The records that the demo sends: what each shows, how it should end, and whether it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ERP_TOKEN, _CRM_TOKEN = "Bearer erp-8c1f", "Basic Y3JtOmRlbW8="  # accepted by nobody but the sample target


@dataclass
class Sample:
    """A record to store, the token to store it with, and how it should end."""

    what: str
    path: str
    token: str | None = None
    operation: str = "POST"
    members: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    flat: bool = False
    expected: tuple[str, int | str] = ("success", 200)
    waits: bool = False
    """It ends failed and alive: what was never sent has no limit, and waits for its target."""
    id: str = ""

    def body(self, target_url: str) -> dict[str, Any]:
        """Return the record as a source would send it."""
        url = self.path if self.path.startswith("http") else target_url + self.path
        message = {"targetRestApi": url, "targetRestApiOperation": self.operation, **self.members}
        if self.operation != "DELETE":
            message["targetRestApiPayload"] = {"orderid": self.what, "amount": 12.50}
        beside = {} if self.key is None else {"streamKey": self.key}
        return beside | message if self.flat else beside | {"streamMessage": message}


def samples(nowhere: str) -> list[list[Sample]]:
    """Return what is sent, request by request: more than one record is an array.

    `nowhere` is a URL at which nobody listens.
    """
    erp, crm = {"vaultSecretName": "erp-token"}, {"vaultSecretName": "crm-token"}
    xml = {"targetRestApiHeaders": [{"key": "X-Tenant", "value": "north"}]}
    return [
        [Sample("enveloped", "/auth/bearer/orders", _ERP_TOKEN, members=erp, key="order-1")],
        [Sample("flat", "/ok/anyone", flat=True)],
        [Sample("with a header", "/auth/basic/contacts", _CRM_TOKEN, members={**crm, **xml}, flat=True)],
        [Sample("PUT", "/auth/bearer/orders/1", _ERP_TOKEN, "PUT", members=erp, key="order-1")],
        [Sample("DELETE", "/auth/bearer/orders/0", _ERP_TOKEN, "DELETE", members=erp)],
        [
            Sample("array, 1st", "/auth/basic/contacts/1", _CRM_TOKEN, "PATCH", members=crm),
            Sample("array, 2nd", "/auth/basic/contacts/2", _CRM_TOKEN, "PATCH", members=crm, flat=True),
            Sample("array, 3rd", "/slow/300/contacts/3", _CRM_TOKEN, members=crm),
        ],
        [Sample("503 twice, then well", "/flaky/2/stock", key="stock-7")],
        [Sample("behind the former", "/ok/stock", key="stock-7")],
        [Sample("no such resource", "/status/404/gone", expected=("failed", 404))],
        [Sample("unreachable", nowhere, expected=("failed", "unexpectedError"), waits=True)],
        [Sample("redirected", "/redirect/302/elsewhere", expected=("failed", 302))],
    ]


def problems(sample: Sample, state: dict[str, Any], received: list[dict[str, Any]]) -> list[str]:
    """Say what is not as it should be: the record's end, or what the target got."""
    complaints = []
    if (state["status"], state.get("status_code")) != sample.expected:
        complaints.append(f"{sample.what}: ended {state['status']} {state.get('status_code')}")
    if state["status"] == "failed" and bool(state.get("dead")) == sample.waits:
        complaints.append(f"{sample.what}: failed, and is {'dead' if sample.waits else 'not dead'}")
    got = [request for request in received if request["idempotencyKey"] == sample.id]
    delivered = [request for request in got if request["status"] == 200]
    if len(delivered) != (1 if sample.expected[0] == "success" else 0):
        complaints.append(f"{sample.what}: the target accepted it {len(delivered)} times")
    if any(dict(request["headers"]).get("Authorization") != sample.token for request in got):
        complaints.append(f"{sample.what}: the target got another token than the source gave")
    return complaints
