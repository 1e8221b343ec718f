"""Signatures in a running bundle: what targets get, and what becomes of records without keys."""

import base64
from pathlib import Path

import oci
import standardwebhooks
from oci.vault.models import Base64SecretContentDetails, CreateSecretDetails

from local.emulators import identity
from tests.contract.oci_server import signer
from tests.end_to_end.bundle import TOKEN, running, secret


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
