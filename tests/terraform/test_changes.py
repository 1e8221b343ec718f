"""Applies of terraform/ to a stand-in for OCI: the first one works, and so does every change of mind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.terraform import tools
from tests.terraform.deployment import Change, Deployment

SCHEMA = tools.provider_schema()
ANONYMOUS: dict[str, Any] = {"token_keys_url": None, "allow_anonymous": True}

pytestmark = pytest.mark.skipif(
    SCHEMA is None or not tools.can_stand_in(),
    reason="OCI_PROVIDER_SCHEMA names no schema of the provider, or `make test-terraform` has not been run",
)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    assert SCHEMA is not None
    with tools.stand_in(SCHEMA, tmp_path) as environment:
        made = Deployment(tmp_path, tools.copied(tmp_path), environment)
        made.run("init", "-backend=false", "-input=false")
        yield made


def positions(changes: list[Change], did: str, kind: str) -> list[int]:
    return [at for at, change in enumerate(changes) if (change.did, change.kind) == (did, kind)]


def served_throughout(changes: list[Change]) -> bool:
    """Whether a deployment of the API, with its gateway, was there before the former one went."""
    made, gone = (positions(changes, did, "oci_apigateway_deployment") for did in ("create", "delete"))
    return len(made) == len(gone) and all(new < old for new, old in zip(made, gone, strict=True))


def policies_of(deployment: Deployment) -> dict[str, Any]:
    return deployment.one("oci_apigateway_deployment")["specification"][0]


def test_the_first_apply_works_and_another_changes_nothing(deployment: Deployment) -> None:
    changes = deployment.apply()
    (called,) = positions(changes, "create", "oci_functions_invoke_function")
    (served,) = positions(changes, "create", "oci_apigateway_deployment")
    assert max(positions(changes, "create", "oci_identity_policy")) < called < served
    assert deployment.apply() == []


def test_public_endpoint_goes_and_comes_back_with_a_url_at_all_times(deployment: Deployment) -> None:
    deployment.apply()
    for public in (False, True):
        changes = deployment.apply(public_endpoint=public)
        assert served_throughout(changes)
        assert positions(changes, "delete", "oci_apigateway_deployment")
        assert deployment.one("oci_apigateway_gateway")["endpoint_type"] == (
            "PUBLIC" if public else "PRIVATE"
        )
        assert len(deployment.all("oci_core_internet_gateway")) == public
        assert len(deployment.all("oci_core_subnet")) == 2


def test_targets_on_internet_goes_and_comes_back(deployment: Deployment) -> None:
    deployment.apply()
    for outside in (False, True):
        changes = deployment.apply(targets_on_internet=outside)
        assert len(deployment.all("oci_core_nat_gateway")) == outside
        assert not positions(changes, "delete", "oci_apigateway_deployment")


def test_tracing_that_is_switched_off_again_is_off(deployment: Deployment) -> None:
    deployment.apply()
    for traced in (True, False):
        deployment.apply(tracing=traced)
        for thing in (deployment.one("oci_functions_application"), *deployment.all("oci_functions_function")):
            assert thing["trace_config"][0]["is_enabled"] is traced
        assert len(deployment.all("oci_apm_apm_domain")) == traced


def test_callers_who_become_anonymous_and_known_again(deployment: Deployment) -> None:
    deployment.apply()
    for anonymous in (True, False):
        changes = deployment.apply(**(ANONYMOUS if anonymous else {}))
        assert served_throughout(changes)
        specification = policies_of(deployment)
        assert len(specification["request_policies"][0]["authentication"]) == (not anonymous)
        for route in specification["routes"]:
            policies = route["request_policies"][0]
            assert len(policies["authorization"]) == (not anonymous)
            (transformed,) = policies["header_transformations"]
            blocked = [item["name"] for item in transformed["filter_headers"][0]["items"]]
            named = [item for one in transformed["set_headers"] for item in one["items"]]
            if anonymous:
                assert (blocked, named) == (["X-API-Key", "X-Datasync-Caller", "X-Datasync-Role"], [])
            else:
                said = [
                    {"name": name, "values": [f"${{request.auth[{claim}]}}"], "if_exists": "OVERWRITE"}
                    for name, claim in (("X-Datasync-Caller", "sub"), ("X-Datasync-Role", "scope"))
                ]
                assert (blocked, named) == (["X-API-Key"], said)


def test_the_path_prefix_changes_in_place(deployment: Deployment) -> None:
    deployment.apply()
    changes = deployment.apply(path_prefix="/jsondb")
    assert [(change.did, change.kind) for change in changes] == [("update", "oci_apigateway_deployment")]
    assert {route["path"] for route in policies_of(deployment)["routes"]} >= {
        "/jsondb/store",
        "/jsondb/process",
    }
    assert deployment.output()["url"].endswith("/jsondb")


@pytest.mark.parametrize("arguments", [(), ("-replace=terraform_data.provisioned",)])
def test_another_shape_or_a_wish_lets_process_data_make_its_user_again(
    deployment: Deployment, arguments: tuple[str, ...]
) -> None:
    deployment.apply()
    changes = deployment.apply(*arguments, shape="GENERIC_X86" if arguments else "GENERIC_ARM")
    (right,) = positions(changes, "create", "oci_identity_policy")
    (called,) = positions(changes, "create", "oci_functions_invoke_function")
    (gone,) = positions(changes, "delete", "oci_identity_policy")
    assert right < called < gone
    assert len(deployment.all("oci_functions_application")) == 1


def test_a_database_and_vaults_that_are_there_are_used_and_left(deployment: Deployment) -> None:
    given = {
        "database_ocid": "ocid1.autonomousdatabase.oc1..there",
        "database_admin_secret_ocid": "ocid1.vaultsecret.oc1..admin",
        "tokens_vault_ocid": "ocid1.vault.oc1..tokens",
        "tokens_key_ocid": "ocid1.key.oc1..tokens",
        "system_vault_ocid": "ocid1.vault.oc1..system",
        "system_key_ocid": "ocid1.key.oc1..system",
    }
    changes = deployment.apply(**given)
    made = {change.kind for change in changes}
    assert not made & {"oci_database_autonomous_database", "oci_kms_vault", "oci_kms_key"}
    settings = deployment.one("oci_functions_application")["config"]
    assert settings["VAULT_OCID"] == given["tokens_vault_ocid"]
    assert settings["VAULT_KEY_OCID"] == given["tokens_key_ocid"]
    (secret,) = deployment.all("oci_vault_secret")
    assert (secret["vault_id"], secret["key_id"]) == (given["system_vault_ocid"], given["system_key_ocid"])
    to_database = [
        rule
        for rule in deployment.all("oci_core_network_security_group_security_rule")
        if rule["description"] == "functions to the database"
    ]
    assert [rule["destination"] for rule in to_database] == ["10.20.0.5/32"]
    deployment.destroy()
    assert deployment.things() == {}


def test_rotation_of_keys_that_is_switched_off_again_is_off(deployment: Deployment) -> None:
    for days in (90, None):
        deployment.apply(vault_type="VIRTUAL_PRIVATE", key_rotation_days=days)
        for key in deployment.all("oci_kms_key"):
            assert key["is_auto_rotation_enabled"] is (days is not None)


def test_destroy_leaves_nothing(deployment: Deployment) -> None:
    deployment.apply(tracing=True, stream_partitions=1)
    deployment.destroy()
    assert deployment.things() == {}
