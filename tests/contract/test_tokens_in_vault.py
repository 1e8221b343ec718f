"""Secrets of callers' tokens through OCI's SDK: read, created, listed, deleted, and none but theirs."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import oci.exceptions
import pytest
from oci.vault import VaultsClient
from oci.vault.models import Base64SecretContentDetails, CreateSecretDetails, UpdateSecretDetails

from local.emulators import identity
from local.emulators.identity import COMPARTMENT_OCID, KEY_OCID, VAULT_OCID
from local.emulators.oci.app import FAULTS
from local.emulators.oci.faults import Fault
from local.emulators.oci.secret_record import Draft
from local.emulators.oci.secret_store import SecretStore, put_secret
from shared.drivers.oci import OciClients, Refused, read_secret
from shared.model.errors import DependencyDown, Misconfigured
from shared.model.record import Proof
from shared.settings import Settings
from shared.storage.vault import KeptSecret, Secret, Vault
from tests.contract.oci_server import Server, serving

SETTINGS = Settings("sqlite:", VAULT_OCID, KEY_OCID, COMPARTMENT_OCID, secret_prefix="team-", collection="c")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def clients(server: Server) -> Iterator[OciClients]:
    with mock.patch.dict("os.environ", identity.environment(server.home)):
        yield OciClients(server.url)


@pytest.fixture
def vault(clients: OciClients) -> Vault:
    return Vault(clients, SETTINGS)


def operator(server: Server) -> Any:
    return server.client(VaultsClient)


def content(text: str | bytes) -> Base64SecretContentDetails:
    raw = text.encode() if isinstance(text, str) else text
    return Base64SecretContentDetails(content=base64.b64encode(raw).decode())


def put(server: Server, name: str, text: str | bytes, **more: Any) -> str:
    """Create a secret as an operator does; its OCID."""
    details = {"compartment_id": COMPARTMENT_OCID, "vault_id": VAULT_OCID, "key_id": KEY_OCID}
    made = CreateSecretDetails(**details, secret_name=name, secret_content=content(text), **more)
    ocid: str = operator(server).create_secret(made).data.id
    return ocid


def test_a_secret_is_read_with_the_version_that_is_current(server: Server, vault: Vault) -> None:
    ocid = put(server, "team-erp", "one")
    assert vault.current("erp") == Secret("one", Proof(ocid, 1))
    operator(server).update_secret(ocid, UpdateSecretDetails(secret_content=content("two")))
    assert vault.current("erp") == Secret("two", Proof(ocid, 2))
    pending = content("three")
    pending.stage = "PENDING"
    operator(server).update_secret(ocid, UpdateSecretDetails(secret_content=pending))
    assert vault.current("erp") == Secret("two", Proof(ocid, 2))
    operator(server).update_secret(ocid, UpdateSecretDetails(current_version_number=1))
    assert vault.current("erp") == Secret("one", Proof(ocid, 1))


def test_a_secret_is_made_with_its_first_version(vault: Vault) -> None:
    made = vault.create("erp", "Bearer ü")
    assert made is not None
    assert made.proof.version == 1
    assert vault.current("erp") == made
    assert vault.create("erp", "another") is None
    assert vault.current("erp") == made


def test_one_made_anew_under_a_name_is_another(server: Server, vault: Vault) -> None:
    first = vault.create("erp", "token")
    assert first is not None
    SecretStore(server.home).change(
        first.proof.secret, lambda one: replace(one, time_of_deletion=datetime.now(UTC))
    )
    assert vault.current("erp") is None
    second = vault.create("erp", "token")
    assert second is not None
    assert (second.text, second.proof.version) == (first.text, first.proof.version)
    assert second.proof.secret != first.proof.secret


@pytest.mark.parametrize("name", ["erp", "team-erp", "..", "-", "x" * 200])
def test_no_name_leads_out_of_the_prefix(server: Server, vault: Vault, name: str) -> None:
    put(server, "erp", "the operator's")
    assert vault.current(name) is None
    assert vault.create(name, "token") is not None
    names = {one.secret_name for one in operator(server).list_secrets(COMPARTMENT_OCID).data}
    assert names == {"erp", f"team-{name}"}


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("Bearer a\n", "Bearer a"),
        ("a\r\n\n", "a"),
        (" a ", " a "),
        ("a\nb", "a\nb"),
        (b"\xff\xfe", ""),
        ("\n", ""),
    ],
)
def test_a_line_break_at_the_end_is_no_part_of_a_token_and_what_is_no_text_is_none(
    server: Server, vault: Vault, stored: str | bytes, text: str
) -> None:
    put(server, "team-erp", stored)
    found = vault.current("erp")
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize("setting", ["database_password_secret_ocid", "signing_secret_ocid"])
def test_a_system_secret_is_nobodys_token(server: Server, clients: OciClients, setting: str) -> None:
    ocid = put(server, "team-erp", "hunter2")
    found = Vault(clients, replace(SETTINGS, **{setting: ocid})).current("erp")
    assert found == Secret("", Proof(ocid, 1))


def test_what_is_on_its_way_out_is_not_read_and_keeps_its_name(vault: Vault) -> None:
    made = vault.create("erp", "token")
    assert made is not None
    (kept,) = vault.kept()
    assert (kept.ocid, kept.name, kept.is_leaving) == (made.proof.secret, "erp", False)
    vault.schedule_deletion(kept)
    assert vault.current("erp") is None
    assert vault.create("erp", "token") is None
    assert vault.is_leaving("erp")
    assert [one.is_leaving for one in vault.kept()] == [True]
    with pytest.raises(Refused):
        vault.schedule_deletion(kept)
    vault.cancel_deletion(kept)
    assert vault.current("erp") == made
    assert not vault.is_leaving("erp")


def test_a_deletion_is_scheduled_as_far_ahead_as_possible(server: Server, vault: Vault) -> None:
    made = vault.create("erp", "token")
    assert made is not None
    vault.schedule_deletion(vault.kept()[0])
    left = operator(server).get_secret(made.proof.secret).data.time_of_deletion - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


def test_none_is_seen_where_there_is_none(vault: Vault) -> None:
    assert vault.current("erp") is None
    assert vault.state("erp") == ""
    assert not vault.is_leaving("erp")


def test_of_secrets_those_are_kept_that_were_made_for_this_collection(
    server: Server, clients: OciClients
) -> None:
    vault = Vault(clients, replace(SETTINGS, connector_hub_secrets=frozenset(["hub"])))
    for name in ("erp", "hub"):
        vault.create(name, "token")
    Vault(clients, replace(SETTINGS, collection="another")).create("theirs", "token")
    put(server, "team-by-hand", "token")
    put(server, "elsewhere", "token", freeform_tags={"managed-by": "oci-data-sync", "collection": "c"})
    assert [one.name for one in vault.kept()] == ["erp"]


def test_more_secrets_than_a_page_holds_are_all_listed(server: Server, vault: Vault) -> None:
    store, tags = SecretStore(server.home), {"managed-by": "oci-data-sync", "collection": "c"}
    for number in range(120):
        store.create(Draft(f"team-{number}", labels={"freeformTags": tags}), b"token")
    assert len({one.name for one in vault.kept()}) == 120


@pytest.mark.parametrize("status", [400, 403, 413, 429, 500, 503])
def test_a_vault_that_refuses_or_fails_is_down(server: Server, vault: Vault, status: int) -> None:
    for where in ("secrets.get_secret_bundle_by_name", "vault.create_secret", "vault.list_secrets"):
        server.app[FAULTS].add(Fault(where, status=status))
    for call in (lambda: vault.current("erp"), lambda: vault.create("erp", "token"), vault.kept):
        with pytest.raises(DependencyDown):
            call()


def test_a_name_that_vault_says_in_a_400_is_taken_is_taken(server: Server, vault: Vault) -> None:
    message = "A secret with this name already exists"
    server.app[FAULTS].add(Fault("vault.create_secret", status=400, message=message))
    assert vault.create("erp", "token") is None


def test_the_operators_own_secret_is_read_by_its_ocid(server: Server, clients: OciClients) -> None:
    assert read_secret(clients, put_secret(server.home, "password", "pässword\n")) == "pässword"


def test_a_system_secret_that_is_no_text_is_the_operators_mistake(
    server: Server, clients: OciClients
) -> None:
    ocid = put(server, "password", b"\xff\xfe")
    with pytest.raises(Misconfigured, match=ocid):
        read_secret(clients, ocid)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_without_the_operators_secret_the_service_is_down(
    server: Server, clients: OciClients, status: int
) -> None:
    server.app[FAULTS].add(Fault("secrets.get_secret_bundle", status=status))
    with pytest.raises(DependencyDown):
        read_secret(clients, "ocid1.vaultsecret.oc1.local.x")


def test_a_refusal_can_be_told_from_an_outage(server: Server, vault: Vault) -> None:
    unknown = KeptSecret("ocid1.vaultsecret.oc1.local.x", "x", datetime.now(UTC))
    with pytest.raises(Refused):
        vault.cancel_deletion(unknown)
    server.app[FAULTS].add(Fault("vault.cancel_secret_deletion", status=503))
    with pytest.raises(DependencyDown):
        vault.cancel_deletion(unknown)
    assert not issubclass(Refused, oci.exceptions.ServiceError)
