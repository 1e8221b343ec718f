"""What can be said of `terraform/` without a provider: it reads, and agrees with the code and its limits."""

import json
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from local.emulators import gateway
from shared.drivers.database import Database
from shared.drivers.documents import SmallDocuments
from shared.settings import Settings
from shared.storage.audit import Audit
from shared.storage.leases import LeaseTable
from shared.storage.policies import PolicyStore
from shared.storage.records import Records
from tests.terraform import tools

TERRAFORM = gateway.ROUTES.parent
FILES = sorted(TERRAFORM.glob("*.tf"))
TEXT = {path.name: path.read_text() for path in FILES}
OCID = "ocid1.vaultsecret.oc1.eu-frankfurt-1.amaaaaaa" + "x" * 52
DSN = (
    "(description= (retry_count=20)(retry_delay=3)(address=(protocol=tcps)(port=1521)"
    f"(host=database.private.datasync.oraclevcn.com))(connect_data=(service_name={'g' * 16}_datasync_tp"
    ".adb.oraclecloud.com))(security=(ssl_server_dn_match=no)))"
)


def blocks(kind: str) -> dict[str, Any]:
    """All blocks of a kind, by their labels."""
    found = {}
    for path in FILES:
        for block in hcl2.loads(path.read_text()).get(kind, []):
            names = []
            while len(block) == 1 and next(iter(block)).startswith('"'):
                name, block = next(iter(block.items()))
                names.append(name.strip('"'))
            found[".".join(names)] = block
    return found


def expression(name: str) -> str:
    """What a setting of the functions' configuration is made of, as written."""
    return re.search(rf"^ +{name} += (.+)$", TEXT["functions.tf"], re.MULTILINE)[1]


WRITTEN = re.findall(r"(?:^      |\{ )([A-Z_]+) += ", TEXT["functions.tf"], re.MULTILINE)
SETTABLE = re.findall(
    r'"([A-Z_]+)"',
    re.search(r'variable "settings" .*?contains\(\[(.*?)\]', TEXT["variables.tf"], re.DOTALL)[1],
)


def test_every_setting_is_written_or_can_be_given() -> None:
    assert sorted(WRITTEN + SETTABLE) == sorted(one.name.upper() for one in fields(Settings))


def test_the_configuration_is_far_from_its_4_kb() -> None:
    values = {one.name.upper(): one.metadata["default"] or "" for one in fields(Settings)}
    for name in WRITTEN:
        values[name] = OCID
    values |= {"DATABASE_DSN": DSN, "DATABASE_USER": "DATASYNC"}
    values["ALLOWED_TARGETS"] = ",".join(f"https-{n}.apis.example.com:8443" for n in range(30))
    size = sum(len(name) + len(value) for name, value in values.items())
    assert 2000 < size < 0.75 * 4096


def test_routes_are_those_that_are_served_locally() -> None:
    assert "for_each = local.routes.routes" in TEXT["gateway.tf"]
    assert 'jsondecode(file("${path.module}/routes.json"))' in TEXT["locals.tf"]
    routes = json.loads(gateway.ROUTES.read_text())["routes"]
    assert {route["function"] for route in routes} == {"store-data", "process-data"}
    used = set(re.findall(r"routes\.value\.(\w+)", TEXT["gateway.tf"]))
    assert used | {"description"} == set(routes[0])


# allow <whom> to <verb or permissions> <what> in compartment id <OCID> where <conditions>
STATEMENT = re.compile(
    r"allow (any-user|dynamic-group \S+|service \S+) to (?:(inspect|read|use|manage) ([a-z-]+)|\{[A-Z_, ]+\})"
    r" in compartment id \S+(?: where (.+))?"
)
TERM = r"(?:(?:request|target)\.[a-z.]+ = (?:'[^']+'|/[^/]+/)|request\.utc-timestamp before '[^']+')"
INNER = rf"(?:{TERM}|any \{{{TERM}(?:, {TERM})*\}})"
CONDITIONS = re.compile(rf"{TERM}|all \{{{INNER}(?:, {INNER})*\}}")
# The service offers no variable for the topic, and none that holds for a list; API Gateway looks for the
# statement that it documents.
WITHOUT_TARGET = {
    "process-data notifies operators",
    "process-data lists tokens",
    "store-data lists tokens",
    "gateway calls functions",
}


def statements() -> dict[str, str]:
    """All policies' statements by their names, with something in place of what Terraform puts in."""
    text = TEXT["identity.tf"] + TEXT["database.tf"]
    named = re.compile(r'"([^"]+)" +=>? "(allow .*?)"(?:$| \},$)', re.MULTILINE)
    bare = re.findall(r'^    "(allow .*)",$|statements +=? \["(allow .*)"\]$', text, re.MULTILINE)
    found = dict(named.findall(text)) | {
        f"statement {number}": one or other for number, (one, other) in enumerate(bare)
    }
    return {
        name: re.sub(r"\$\{.*?\}(?=['\"/. ,-]|$)", "ocid1.x", _known(statement))
        for name, statement in found.items()
    }


def _known(statement: str) -> str:
    """A statement without expressions that have braces or quotes of their own."""
    statement = statement.replace("${local.here}", "in compartment id ocid1.c")
    statement = statement.replace("${local.prefix}", "datasync-")
    return re.sub(r"\$\{formatdate\(.*?\"2h\"\)\)\}", "2026-01-01T00:00Z", statement)


def test_every_policy_statement_is_one_and_is_narrowed_to_its_target() -> None:
    found = statements()
    assert len(found) == sum(text.count('"allow ') for text in TEXT.values()) == 27
    for name, text in found.items():
        match = STATEMENT.fullmatch(text)
        assert match, (name, text)
        if match[4] is None:
            assert text == "allow service faas to use apm-domains in compartment id ocid1.c"  # as documented
            continue
        assert CONDITIONS.fullmatch(match[4]), (name, match[4])
        assert ("target." in match[4]) != (name in WITHOUT_TARGET), (name, match[4])
        if match[1] == "any-user":
            assert "request.principal.type = " in match[4], name


def test_the_gateway_s_statement_is_the_documented_one() -> None:
    assert statements()["gateway calls functions"] == (
        "allow any-user to use functions-family in compartment id ocid1.c where all"
        " {request.principal.type = 'ApiGateway', request.resource.compartment.id = 'ocid1.x'}"
    )


def test_only_what_creates_or_deletes_may_manage_and_only_that() -> None:
    managing = {name: text for name, text in statements().items() if " to manage " in text}
    assert managing.keys() == {
        "store-data makes secrets",
        "process-data archives",
        "process-data deletes idle tokens",
        "process-data keeps tokens",
        "statement 0",  # Object Storage, for the archive's life cycle
    }
    for text in managing.values():
        assert "request.operation = " in text or "request.permission = " in text


def test_everybody_who_is_told_may_do_something_is_there() -> None:
    groups = set(re.findall(r"dynamic-group \$\{local\.(\w+)\}", TEXT["identity.tf"] + TEXT["database.tf"]))
    assert groups == {"store_group", "process_group"}
    made = re.search(r"for_each += (\{.*\})", TEXT["identity.tf"].partition("oci_identity_dynamic_group")[2])
    assert made
    assert all(f"(local.{group})" in made[1] for group in groups)


def test_the_collections_script_makes_what_the_code_makes() -> None:
    text = (TERRAFORM.parent / "shared/operations/collections.sql").read_text()
    written = re.findall(r"made\('(\w+)', json_array_t\(q'\[(.*?)\]'\)\);", text, re.DOTALL)
    name = "datasync_records"
    database = Database("sqlite:unused", "", str)
    leases, notes = LeaseTable(database, database, name, 60)._spec, SmallDocuments(database, name).spec
    policies, audit = (one(database, name)._documents.spec for one in (PolicyStore, Audit))
    made = {
        name: Records(database, name)._spec,
        **{spec.name: spec for spec in (leases, notes, policies, audit)},
    }
    assert {one: json.loads(indexes) for one, indexes in written} == {
        one: list(spec.indexes) for one, spec in made.items()
    }


def test_whatever_is_named_is_declared() -> None:
    text = "\n".join(TEXT.values())
    variables, resources = blocks("variable"), blocks("resource")
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables.keys()
    named = {f"{kind}.{name}" for kind, name in re.findall(r"(?<![.\w])(oci_\w+)\.(\w+)", text)}
    assert named - resources.keys() - {one.removeprefix("data.") for one in blocks("data")} == set()
    assert all(one["description"].strip('"') for one in (*variables.values(), *blocks("output").values()))


def test_resource_manager_shows_every_variable() -> None:
    schema = yaml.safe_load((TERRAFORM / "schema.yaml").read_text())
    variables = blocks("variable")
    assert schema["variables"].keys() == variables.keys()
    assert sorted(name for group in schema["variableGroups"] for name in group["variables"]) == sorted(
        variables
    )
    required = {name for name, one in schema["variables"].items() if one.get("required")}
    assert required == {name for name, one in variables.items() if "default" not in one}
    kinds = {"string": "string", "bool": "boolean", "number": "number", "list(string)": "array"}
    for name, one in variables.items():  # types that Resource Manager knows, and no others
        shown = schema["variables"][name]
        kind = kinds[re.sub(r"[${}\"]", "", one["type"])]
        assert shown["type"] == kind or (kind == "string" and shown["type"].startswith("oci:")), name
        assert shown["description"] == one["description"].strip('"'), name


def test_the_example_gives_what_is_required() -> None:
    given = hcl2.loads((TERRAFORM / "terraform.tfvars.example").read_text())
    given.pop("__comments__", None)
    variables = blocks("variable")
    required = {name for name, one in variables.items() if "default" not in one}
    assert required - given.keys() == {"image_tag"}  # which `make deploy` gives
    assert given.keys() <= variables.keys()


def test_no_secret_is_written_into_the_state() -> None:
    database = blocks("resource")["oci_database_autonomous_database.this"]
    assert "admin_password" not in database
    assert "secret_id" in database
    assert blocks("resource")["oci_vault_secret.password"]["enable_auto_generation"] is True
    assert "secret_content" not in "\n".join(TEXT.values())


def test_no_test_lies_where_terraform_1_6_reads_it_without_knowing_mocked_providers() -> None:
    assert not [*TERRAFORM.glob("*.tftest.*"), *(TERRAFORM / "tests").glob("*.tftest.*")]
    assert [*(TERRAFORM / tools.MOCKED).glob("*.tftest.hcl")]


COMMAND = tools.command()
needs_terraform = pytest.mark.skipif(
    COMMAND is None, reason="Terraform is not on PATH, and `make test-terraform` has not brought it from PyPI"
)


@needs_terraform
def test_the_files_are_formatted(tmp_path: Path) -> None:
    done = subprocess.run(
        [*(COMMAND or []), "fmt", "-check", "-diff", "-recursive", str(TERRAFORM)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


GIVEN = [
    ("image_tag=0.1.0-abc", True),
    ("image_tag=latest", False),
    ("region=frankfurt", False),
    ("region=us-gov-ashburn-1", True),
    ("name=oci-data-sync", False),
    ("name=data-", False),
    ("vcn_cidr=10.77.0.5/24", False),
    ('caller_networks=["10.20.0.7/16"]', False),
    ("allowed_targets=[]", False),
    ('allowed_targets=["erp.example.com:99999"]', False),
    ('settings=["SECRET_PREFIX=a/b"]', False),
    ('settings=["SECRET_PREFIX=data"]', False),
    ('settings=["SECRET_PREFIX=mine-"]', True),
    ("warm_stores=1", False),
    ("database_ecpus=2.5", False),
    ("database_version=19c", False),
    ("vcn_cidr=10.0.0.0/16", True),
    ("vcn_cidr=10.0.0.0/25", False),
    ('allowed_targets=["http://[::1]:80","*.example.com:8443"]', True),
    ('allowed_targets=["erp.example.com/path"]', False),
    ('settings=["FAN_OUT=4","ERROR_MAPPING="]', True),
    ('settings=["VAULT_OCID=x"]', False),
    ('settings=["FAN_OUT"]', False),
    ("store_data_memory_in_mbs=100", False),
    ("token_keys_url=http://idcs.example.com/jwk", False),
    ("stream_ocid=orders", False),
    ("stream_partitions=1.5", False),
    ("alarm_failures=-1", False),
    ("archive_delete_after_days=0.5", False),
    ("archive_delete_after_days=365", True),
    ('target_networks=["10.20.0.0/16"]', True),
    ('target_networks=["10.20.0.0"]', False),
    ("vcn_ocid=ocid1.subnet.oc1..x", False),
    ("caller_header=authorization", False),
    ("rate_limit=0.5", False),
    ("log_retention_days=31", False),
    ("archive_after_days=0", False),
    ("tenancy_ocid=ocid1.compartment.oc1..x", False),
    ("compartment_ocid=ocid1.vcn.oc1..x", False),
    ("subnet_ocid=ocid1.vcn.oc1..x", False),
    ("gateway_subnet_ocid=ocid1.vcn.oc1..x", False),
    ("scope_prefix=a b", False),
    ("signing_secret_ocid=ocid1.vault.oc1..x", False),
    ("process_data_memory_in_mbs=100", False),
    ("shape=GENERIC_X86_ARM", False),
    ("database_storage_gb=10", False),
    ("archive_cold_after_days=0", False),
    ("alarm_due_minutes=0", False),
    ('notification_emails=["operators"]', False),
    ("caller_header=X-Datasync-Caller", False),
    ("caller_header=x-datasync-role", False),
    ("caller_claim=sub]", False),
    ("caller_claim=", False),
    ("caller_claim=https://acme.example.com/client", True),
    ("path_prefix=/jsondb", True),
    ("path_prefix=/integration/v1", True),
    ("path_prefix=jsondb", False),
    ("path_prefix=/jsondb/", False),
    ("path_prefix=//jsondb", False),
    ("path_prefix=/{id}", False),
    ("path_prefix=/jsondb/..", False),
    ("path_prefix=", False),
    ("tokens_vault_ocid=ocid1.key.oc1..x", False),
    ("tokens_key_ocid=ocid1.vault.oc1..x", False),
    ("system_vault_ocid=ocid1.key.oc1..x", False),
    ("system_key_ocid=ocid1.vault.oc1..x", False),
    ("system_key_ocid=ocid1.key.oc1..x", True),
    ("vault_type=EXTERNAL", False),
    ("vault_type=VIRTUAL_PRIVATE", True),
    ("key_rotation_days=59", False),
    ("key_rotation_days=366", False),
    ("key_rotation_days=90.5", False),
    ("key_rotation_days=60", True),
    ("database_ocid=ocid1.database.oc1..x", False),
    ("database_ocid=ocid1.autonomousdatabase.oc1..x", True),
    ("database_admin_secret_ocid=ocid1.secret.oc1..x", False),
    ("database_user=datasync", False),
    ("database_user=ADMIN", False),
    ("database_user=ORDERS_2", True),
]


def test_every_rule_of_a_variable_has_a_value_that_breaks_it() -> None:
    broken = [value.partition("=")[0] for value, is_good in GIVEN if not is_good]
    rules = {name: len(one.get("validation", [])) for name, one in blocks("variable").items()}
    assert [name for name, count in rules.items() if broken.count(name) < count] == []


def rounds(is_good: bool) -> list[dict[str, str]]:
    """The values, one of each variable at a time: Terraform judges all variables in one go."""
    found: list[dict[str, str]] = []
    for value, good in GIVEN:
        if good != is_good:
            continue
        name, _, given = value.partition("=")
        free = next((one for one in found if name not in one), None)
        if free is None:
            found.append(free := {})
        free[name] = given
    return found


def planned(folder: Path, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A plan of the variables alone, with the example's values but for those that are given."""
    shutil.copy(TERRAFORM / "variables.tf", folder)
    shutil.copy(TERRAFORM / "terraform.tfvars.example", folder / "terraform.tfvars")
    options = [f"-var={name}={value}" for name, value in ({"image_tag": "1"} | given).items()]
    command = [*(COMMAND or []), f"-chdir={folder}", "plan", "-input=false", "-no-color", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_terraform
@pytest.mark.parametrize("given", rounds(is_good=False))
def test_a_value_that_breaks_a_rule_is_refused(tmp_path: Path, given: dict[str, str]) -> None:
    done = planned(tmp_path, given)
    assert done.returncode == 1
    refused = re.findall(r'Invalid value for variable\n.*?variable "(\w+)" \{', done.stderr, re.DOTALL)
    assert sorted(refused) == sorted(given), done.stderr


@needs_terraform
@pytest.mark.parametrize("given", rounds(is_good=True))
def test_a_value_that_breaks_no_rule_is_taken(tmp_path: Path, given: dict[str, str]) -> None:
    done = planned(tmp_path, given)
    assert done.returncode == 0, done.stderr
