"""Rules and signatures in a running bundle: what targets get, what becomes of the records."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import oci
import standardwebhooks
from oci.vault.models import Base64SecretContentDetails, CreateSecretDetails

from local.emulators import identity
from tests.contract.oci_server import signer
from tests.end_to_end.bundle import ROOT, TOKEN, UNCHECKED, Bundle, running, secret

RULES = [
    {"name": "large orders only", "filter": "payload.amount > `100`"},
    {
        "name": "as the ERP wants it",
        "targetRestApiOperation": "POST,PUT",
        "payload": "{DeliveryRequest: payload.orderid, Total: payload.amount}",
        "headers": "merge(headers, {\"X-Source\": 'data-sync'})",
    },
]


def order(bundle: Bundle, amount: Any, **members: Any) -> str:
    payload = {"orderid": "18jan", "amount": amount}
    return bundle.stored("/ok", targetRestApiPayload=payload, streamKey="k", **members)


def test_records_are_filtered_and_mapped(tmp_path: Path) -> None:
    with running(tmp_path / "home", RULES=json.dumps(RULES)) as bundle:
        small, large = order(bundle, 12), order(bundle, 120.50, targetRestApiHeaders={"X-Tenant": "north"})
        broken = order(bundle, "many")
        answer = bundle.process()
        assert (answer["processedmessages"], answer["failedMessages"]) == (2, 1)
        state = bundle.state(small)
        assert (state["status"], state["filteredBy"]) == ("filtered", "large orders only")
        assert "attempts" not in state
        (request,) = bundle.received()
        assert json.loads(request["body"]) == {"DeliveryRequest": "18jan", "Total": 120.5}
        assert (request["header"]["x-source"], request["header"]["x-tenant"]) == ("data-sync", "north")
        assert request["header"]["idempotency-key"] == large
        (kept,) = (one for one in bundle.documents() if one["id"] == large)
        assert kept["targetRestApiPayload"]["orderid"] == "18jan"  # what was stored stays as it was
        reason = bundle.state(broken)["failure_reason"]
        assert reason == "not sent: rule 'large orders only': filter fails (TypeError)"
        counts = bundle.call("GET", "/process").json()["counts"]
        assert (counts["filtered"], counts["success"]) == (1, 1)


def test_a_filtered_record_holds_nothing_back_and_is_never_sent(tmp_path: Path) -> None:
    with running(tmp_path / "home", RULES=json.dumps(RULES[:1])) as bundle:
        ids = [order(bundle, amount) for amount in (1, 101, 2, 102)]
        bundle.process()
        assert [one["idempotencyKey"] for one in bundle.received()] == [ids[1], ids[3]]
        assert bundle.retry(force=True)["processedmessages"] == 0
        assert len(bundle.received()) == 2


def test_rules_that_take_long_hold_up_no_request(tmp_path: Path) -> None:
    """Evaluated on the loop they would let the connections that it opens meanwhile run out of time."""
    expression = "[" + ",".join(["length(payload[?a > `1`])"] * 20) + "] | length(@) > `1`"
    with running(tmp_path / "home", RULES=json.dumps([{"name": "slow", "filter": expression}])) as bundle:
        payload = [{"a": 2}] * 550
        for _ in range(2):
            bundle.store([bundle.record("/ok", targetRestApiPayload=payload) for _ in range(50)])
        answer = bundle.process()
        assert (answer["processedmessages"], answer["failedMessages"]) == (100, 0)
        assert bundle.call("GET", "/process").json()["openCircuits"] == []


def test_wrong_rules_are_told_before_anything_is_done(tmp_path: Path) -> None:
    rules = '[{"name": "typo", "filter": "payload.["}]'
    with running(tmp_path / "home", program=UNCHECKED, RULES=rules) as bundle:
        answer = bundle.call("POST", "/process").json()
        assert answer["status"] == 500
        assert "RULES rule 'typo': filter is no JMESPath expression" in answer["detail"]


def test_rules_can_be_tried(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    message = {"targetRestApi": "https://erp.example.com/", "targetRestApiOperation": "POST"}

    def tried(amount: Any) -> tuple[int, Any]:
        payload = {"orderid": "18jan", "amount": amount}
        body = {"streamMessage": {**message, "targetRestApiPayload": payload}}
        (tmp_path / "record.json").write_text(json.dumps(body))
        command = [sys.executable, "-m", "datasync", "rules", "try", "--rules", str(tmp_path / "rules.json")]
        done = subprocess.run(
            [*command, "--record", str(tmp_path / "record.json")], cwd=ROOT, capture_output=True, text=True
        )
        return done.returncode, json.loads(done.stdout)

    code, shown = tried(120)
    assert code == 0
    assert shown["sent"]["targetRestApiPayload"] == {"DeliveryRequest": "18jan", "Total": 120}
    assert tried(12) == (1, {"rules": [one["name"] for one in RULES], "filteredBy": "large orders only"})


def key(number: int) -> str:
    return secret(f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}")


def kept(home: Path, oci_url: str, text: str) -> str:
    """Keep a secret of the operator's; its OCID."""
    client = oci.vault.VaultsClient({}, service_endpoint=oci_url, signer=signer(home))
    details = CreateSecretDetails(
        compartment_id=identity.COMPARTMENT_OCID,
        vault_id=identity.VAULT_OCID,
        key_id=identity.KEY_OCID,
        secret_name="signing",
        secret_content=Base64SecretContentDetails(content=base64.b64encode(text.encode()).decode()),
    )
    ocid: str = client.create_secret(details).data.id
    return ocid


def test_deliveries_are_signed_with_the_operators_keys(tmp_path: Path) -> None:
    home, keys = tmp_path / "home", [key(1), key(2)]
    with running(home) as bundle:
        ocid = kept(home, bundle.oci_url, " ".join(keys))
    with running(home, SIGNING_SECRET_OCID=ocid) as bundle:
        own = {"Webhook-Id": "another", "webhook-signature": "v1,forged"}
        identity_ = bundle.stored("/ok", TOKEN, vaultSecretName="erp", targetRestApiHeaders=own)
        bundle.process()
        (request,) = bundle.received()
        sent = sorted(name.lower() for name, _ in request["headers"] if name.lower().startswith("webhook-"))
        assert sent == ["webhook-id", "webhook-signature", "webhook-timestamp"]
        assert request["header"]["webhook-id"] == identity_
        for one in keys:
            assert standardwebhooks.Webhook(one).verify(request["body"], request["header"])


def test_keys_that_can_not_be_read_for_a_moment_hold_up_one_call(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(home) as bundle:
        ocid = kept(home, bundle.oci_url, key(1))
    with running(home, SIGNING_SECRET_OCID=ocid, LEASE="60s") as bundle:
        bundle.stored("/ok")
        bundle.fault("secrets", status=503)
        assert bundle.call("POST", "/process").status_code == 503
        bundle.clear_oci()
        assert (
            bundle.call("GET", "/process").json()["leases"] == []
        )  # which nobody would give up for a minute
        assert bundle.process()["processedmessages"] == 1


def test_without_the_keys_nothing_is_sent_unsigned(tmp_path: Path) -> None:
    with running(tmp_path / "home", SIGNING_SECRET_OCID="ocid1.vaultsecret.oc1..none") as bundle:
        bundle.stored("/ok")
        assert bundle.call("POST", "/process").status_code == 503
        assert bundle.received() == []
