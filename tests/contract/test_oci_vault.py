"""Secrets through the real SDK: names, states, versions, deletion."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import oci.exceptions
import oci.retry
import pytest
from oci.secrets import SecretsClient
from oci.vault import VaultsClient
from oci.vault.models import (
    Base64SecretContentDetails,
    CreateSecretDetails,
    ScheduleSecretDeletionDetails,
    UpdateSecretDetails,
)

from local.emulators.identity import COMPARTMENT_OCID, KEY_OCID, VAULT_OCID
from local.emulators.oci.app import CALLS, FAULTS
from local.emulators.oci.faults import Fault
from local.emulators.oci.secret_record import Draft
from local.emulators.oci.secret_store import NameTakenError, SecretStore
from tests.contract.oci_server import Server, refused, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def vault(server: Server) -> Any:
    return server.client(VaultsClient)


@pytest.fixture
def bundles(server: Server) -> Any:
    return server.client(SecretsClient)


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def details(name: str, content: str = "token", **more: Any) -> CreateSecretDetails:
    return CreateSecretDetails(
        **{
            "compartment_id": COMPARTMENT_OCID,
            "vault_id": VAULT_OCID,
            "key_id": KEY_OCID,
            "secret_name": name,
            "secret_content": Base64SecretContentDetails(content=b64(content)),
        }
        | more
    )


def read(bundles: Any, name: str, **which: Any) -> str:
    data = bundles.get_secret_bundle_by_name(name, VAULT_OCID, **which).data
    return base64.b64decode(data.secret_bundle_content.content).decode()


def in_days(days: float) -> ScheduleSecretDeletionDetails:
    return ScheduleSecretDeletionDetails(time_of_deletion=datetime.now(UTC) + timedelta(days=days))


def test_a_created_secret_is_read_by_name_and_by_ocid(vault: Any, bundles: Any) -> None:
    created = vault.create_secret(details("good", "Bearer ä1", freeform_tags={"for": "erp"})).data
    assert created.lifecycle_state == "CREATING"
    assert created.id.startswith("ocid1.vaultsecret.oc1.local.")
    assert read(bundles, "good") == "Bearer ä1"
    by_id = bundles.get_secret_bundle(created.id).data
    assert (by_id.version_number, by_id.stages) == (1, ["CURRENT", "LATEST"])
    described = vault.get_secret(created.id).data
    assert (described.lifecycle_state, described.freeform_tags) == ("ACTIVE", {"for": "erp"})


def test_a_taken_name_is_refused(vault: Any, bundles: Any) -> None:
    vault.create_secret(details("taken", "first"))
    with refused(409, "NotAuthorizedOrResourceAlreadyExists"):
        vault.create_secret(details("taken", "second"))
    assert read(bundles, "taken") == "first"


def test_of_eight_creates_of_one_name_at_once_exactly_one_wins(server: Server, bundles: Any) -> None:
    def create(number: int) -> tuple[int, str]:
        try:
            return server.client(VaultsClient).create_secret(
                details("raced", f"token-{number}")
            ).status, f"token-{number}"
        except oci.exceptions.ServiceError as error:
            return error.status, ""

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(create, range(8)))
    assert answers == [(200, read(bundles, "raced")), *[(409, "")] * 7]


def test_of_stores_that_share_a_home_one_wins_a_name(tmp_path: Path) -> None:
    def create(number: int) -> bool:
        try:
            SecretStore(tmp_path).create(Draft("raced"), b"%d" % number)
        except NameTakenError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1


def test_a_create_whose_answer_was_lost_succeeds_when_the_sdk_sends_it_again(server: Server) -> None:
    client = server.client(VaultsClient, retry_strategy=oci.retry.DEFAULT_RETRY_STRATEGY)
    server.app[FAULTS].add(Fault("vault.create_secret", drop="after", times=1))
    server.app[CALLS].clear()
    assert client.create_secret(details("sent-twice")).status == 200
    assert server.app[CALLS].counts() == {"vault.create_secret": 2}


@pytest.mark.parametrize("name", ["with space", "a/b", "ä", "x" * 256, "a\n"])
def test_a_name_with_other_characters_is_refused(vault: Any, name: str) -> None:
    with refused(400, "InvalidParameter"):
        vault.create_secret(details(name))


def test_content_of_25_kilobytes_is_kept_and_one_byte_more_refused(vault: Any, bundles: Any) -> None:
    vault.create_secret(details("longest", "x" * 25 * 1024))
    assert len(read(bundles, "longest")) == 25 * 1024
    with refused(400, "InvalidParameter"):
        vault.create_secret(details("too-long", "x" * (25 * 1024 + 1)))


@pytest.mark.parametrize("content", ["not base64!", "", None])
def test_content_that_is_not_base64_is_refused(vault: Any, content: str | None) -> None:
    broken = details("broken", secret_content=Base64SecretContentDetails(content=content))
    with pytest.raises(oci.exceptions.ServiceError) as caught:
        vault.create_secret(broken)
    assert caught.value.status == 400


@pytest.mark.parametrize("member", ["vault_id", "key_id", "compartment_id"])
def test_another_vault_key_or_compartment_is_refused(vault: Any, member: str) -> None:
    with refused(400, "RelatedResourceNotAuthorizedOrNotFound"):
        vault.create_secret(details("elsewhere", **{member: "ocid1.other.oc1.local.aaaa"}))


@pytest.mark.parametrize("ocid", ["ocid1.vaultsecret.oc1.local.aaaa", "..%2F..%2Fmaster", "x"])
def test_an_unknown_secret_is_not_found(vault: Any, bundles: Any, ocid: str) -> None:
    with refused(404, "NotAuthorizedOrNotFound"):
        vault.get_secret(ocid)
    with refused(404, "NotAuthorizedOrNotFound"):
        bundles.get_secret_bundle(ocid)
    with refused(404, "NotAuthorizedOrNotFound"):
        bundles.get_secret_bundle_by_name("unknown", VAULT_OCID)


def test_a_secret_that_is_being_created_cannot_be_read_yet(tmp_path: Path) -> None:
    with serving(tmp_path, secret_creation_delay=3600) as server:
        created = server.client(VaultsClient).create_secret(details("slow")).data
        assert server.client(VaultsClient).get_secret(created.id).data.lifecycle_state == "CREATING"
        with refused(404, "NotAuthorizedOrNotFound"):
            server.client(SecretsClient).get_secret_bundle_by_name("slow", VAULT_OCID)
        with refused(409, "IncorrectState"):
            server.client(VaultsClient).schedule_secret_deletion(created.id, in_days(2))


def test_an_updated_secret_keeps_its_versions(vault: Any, bundles: Any) -> None:
    created = vault.create_secret(details("renewed", "one")).data
    content = Base64SecretContentDetails(content=b64("two"), name="second")
    updated = vault.update_secret(created.id, UpdateSecretDetails(secret_content=content)).data
    assert updated.current_version_number == 2
    assert read(bundles, "renewed") == "two"
    assert read(bundles, "renewed", stage="PREVIOUS") == "one"
    assert read(bundles, "renewed", version_number=1) == "one"
    assert read(bundles, "renewed", secret_version_name="second") == "two"
    versions = vault.list_secret_versions(created.id).data
    assert [(each.version_number, each.stages) for each in versions] == [
        (2, ["CURRENT", "LATEST"]),
        (1, ["PREVIOUS"]),
    ]
    with refused(400, "InvalidParameter"):
        vault.update_secret(created.id, UpdateSecretDetails(secret_content=content))
    vault.update_secret(created.id, UpdateSecretDetails(current_version_number=1))
    assert read(bundles, "renewed") == "one"
    assert read(bundles, "renewed", stage="LATEST") == "two"
    assert vault.get_secret_version(created.id, 2).data.stages == ["PREVIOUS", "LATEST"]


def test_a_pending_version_waits_for_its_promotion(vault: Any, bundles: Any) -> None:
    created = vault.create_secret(details("rotated", "one")).data
    content = Base64SecretContentDetails(content=b64("two"), stage="PENDING")
    vault.update_secret(created.id, UpdateSecretDetails(secret_content=content))
    assert read(bundles, "rotated") == "one"
    assert read(bundles, "rotated", stage="PENDING") == "two"


def test_an_update_of_a_stale_etag_is_refused(vault: Any) -> None:
    created = vault.create_secret(details("etag"))
    first = created.headers["etag"]
    vault.update_secret(created.data.id, UpdateSecretDetails(description="new"), if_match=first)
    with refused(412, "NoEtagMatch"):
        vault.update_secret(created.data.id, UpdateSecretDetails(description="newer"), if_match=first)


def test_what_is_not_offered_is_refused(vault: Any) -> None:
    with refused(400, "InvalidParameter"):
        vault.create_secret(details("generated", enable_auto_generation=True))


def test_a_secret_pending_deletion_is_gone_and_keeps_its_name_until_it_is_taken_back(
    vault: Any, bundles: Any
) -> None:
    created = vault.create_secret(details("dying")).data
    vault.schedule_secret_deletion(created.id, in_days(2))
    assert vault.get_secret(created.id).data.lifecycle_state == "PENDING_DELETION"
    with refused(404, "NotAuthorizedOrNotFound"):
        bundles.get_secret_bundle_by_name("dying", VAULT_OCID)
    with refused(404, "NotAuthorizedOrNotFound"):
        bundles.get_secret_bundle(created.id)
    with refused(409, "NotAuthorizedOrResourceAlreadyExists"):
        vault.create_secret(details("dying"))
    with refused(409, "IncorrectState"):
        vault.schedule_secret_deletion(created.id, in_days(2))
    vault.cancel_secret_deletion(created.id)
    assert read(bundles, "dying") == "token"
    with refused(409, "IncorrectState"):
        vault.cancel_secret_deletion(created.id)


@pytest.mark.parametrize("days", [0.5, 31])
def test_a_deletion_outside_1_to_30_days_is_refused(vault: Any, days: float) -> None:
    created = vault.create_secret(details(f"days-{days}")).data
    with refused(400, "InvalidParameter"):
        vault.schedule_secret_deletion(created.id, in_days(days))


def test_a_deletion_without_a_time_is_30_days_from_now(vault: Any) -> None:
    created = vault.create_secret(details("by-default")).data
    vault.schedule_secret_deletion(created.id, ScheduleSecretDeletionDetails())
    left = vault.get_secret(created.id).data.time_of_deletion - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


def test_a_deleted_secret_frees_its_name(server: Server, vault: Any, bundles: Any) -> None:
    created = vault.create_secret(details("deleted", "old")).data
    vault.schedule_secret_deletion(created.id, in_days(1.1))
    assert (
        SecretStore(server.home, clock=lambda: datetime.now(UTC) + timedelta(days=2)).get(created.id) is None
    )
    with refused(404, "NotAuthorizedOrNotFound"):
        vault.get_secret(created.id)
    vault.create_secret(details("deleted", "new"))
    assert read(bundles, "deleted") == "new"


def test_a_deleted_secrets_name_is_free_at_once_and_its_file_goes_with_a_restart(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC)
    store = SecretStore(tmp_path, clock=lambda: now)
    for name in ("reused", "forgotten"):
        secret = store.create(Draft(name), b"old")
        store.change(secret.id, lambda each: replace(each, time_of_deletion=now + timedelta(days=1)))
    now += timedelta(days=1)
    assert store.all() == []
    again = store.create(Draft("reused"), b"new")
    assert store.content(again, again.versions[0]) == b"new"
    SecretStore(tmp_path, clock=lambda: now)
    assert len(list((tmp_path / "vault" / "secrets").iterdir())) == 1


def test_secrets_are_listed_by_name_and_state_and_in_pages(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        vault = server.client(VaultsClient)
        for name in ("b", "a", "c"):
            vault.create_secret(details(name))

        def listed(**filters: Any) -> list[str]:
            data = vault.list_secrets(COMPARTMENT_OCID, sort_by="NAME", **filters).data
            return [secret.secret_name for secret in data]

        vault.schedule_secret_deletion(vault.list_secrets(COMPARTMENT_OCID, name="c").data[0].id, in_days(2))
        assert listed() == ["a", "b", "c"]
        assert listed(vault_id=VAULT_OCID, name="b") == ["b"]
        assert listed(lifecycle_state="PENDING_DELETION") == ["c"]
        assert listed(vault_id="ocid1.vault.oc1.local.other") == []
        first = vault.list_secrets(COMPARTMENT_OCID, sort_by="NAME", limit=2)
        second = vault.list_secrets(COMPARTMENT_OCID, sort_by="NAME", limit=2, page=first.next_page)
        assert [secret.secret_name for secret in first.data + second.data] == ["a", "b", "c"]
        assert second.next_page is None
