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

from local import gateway
from shared.collection import Records
from shared.database import Database
from shared.leases import LeaseTable
from shared.notes import Notes
from shared.settings import Settings

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


WRITTEN = re.findall(r"^    ([A-Z_]+) += ", TEXT["functions.tf"], re.MULTILINE)
SETTABLE = re.findall(r'"([A-Z_]+)"', re.search(r"contains\(\[(.*?)\]", TEXT["variables.tf"], re.DOTALL)[1])


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


# allow <whom> to <verb or permissions> <what> in compartment id <OCID> [where <conditions>]
STATEMENT = re.compile(
    r"allow (any-user|dynamic-group \S+|service \S+) to (?:(inspect|read|use|manage) ([a-z-]+)|\{[A-Z_, ]+\})"
    r" in compartment id \S+ where (all \{.+\}|any \{.+\}|[a-z.]+ = '[^']+')"
)
CONDITION = re.compile(r"(request|target)\.[a-z.]+ = ('[^']+'|/[^/]+/)")


def statements() -> dict[str, str]:
    """The policy's statements by their names, with something in place of what Terraform puts in."""
    line = re.compile(r'"([^"]+)" +=>? "(allow .*?)"(?:$| \},$| +#)', re.MULTILINE)
    filled = {}
    for name, text in line.findall(TEXT["identity.tf"]):
        known = text.replace("${local.here}", "in compartment id ocid1.c").replace(
            "${local.prefix}", "datasync-"
        )
        filled[name] = re.sub(r"\$\{[^}]*\}", "ocid1.x", known)
    bare = re.findall(r'^    "(allow service .*)",$', TEXT["identity.tf"], re.MULTILINE)
    for number, text in enumerate(bare):
        known = text.replace("${local.here}", "in compartment id ocid1.c")
        filled[f"Object Storage {number}"] = re.sub(r"\$\{[^}]*\}", "x", known)
    return filled


def test_every_policy_statement_is_one_and_is_narrowed() -> None:
    found = statements()
    assert len(found) == TEXT["identity.tf"].count('"allow ') == 23
    for name, text in found.items():
        match = STATEMENT.fullmatch(text)
        assert match, (name, text)
        inner = re.sub(r"^(all|any) \{|\}$", "", match[4])
        assert all(CONDITION.fullmatch(one) for one in inner.split(", ")), (name, inner)
        if match[1] == "any-user":
            assert "request.principal.type = " in inner, name


def test_only_what_creates_may_create() -> None:
    managing = {name for name, text in statements().items() if " to manage " in text}
    assert managing == {
        "store-data makes secrets",
        "process-data archives",
        "process-data deletes idle tokens",
        "process-data keeps tokens",
        "schedule ${key} calls functions",
        "Object Storage 0",
    }
    for name in managing - {"schedule ${key} calls functions", "Object Storage 0"}:  # as documented
        assert "request.operation = " in statements()[name] or "request.permission = " in statements()[name]


def test_the_collections_script_makes_what_the_code_makes() -> None:
    text = (TERRAFORM.parent / "shared/collections.sql").read_text()
    written = re.findall(r"made\('(\w+)', json_array_t\(q'\[(.*?)\]'\)\);", text, re.DOTALL)
    name = "datasync_collection"
    database = Database("sqlite:unused", "", str)
    leases, notes = LeaseTable(database, name, 60)._spec, Notes(database, name).spec
    made = {name: Records(database, name)._spec, leases.name: leases, notes.name: notes}
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


@pytest.mark.skipif(
    not shutil.which("terraform"), reason="terraform is not installed: it formats its own files"
)
def test_the_files_are_formatted(tmp_path: Path) -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-recursive", str(TERRAFORM)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(
    not shutil.which("terraform"), reason="terraform is not installed: it judges its variables"
)
@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ("image_tag=0.1.0-abc", True),
        ("image_tag=latest", False),
        ("region=frankfurt", False),
        ("vcn_cidr=10.0.0.0/16", True),
        ("vcn_cidr=10.0.0.0/25", False),
        ('allowed_targets=["http://[::1]:80","*.example.com:8443"]', True),
        ('allowed_targets=["erp.example.com/path"]', False),
        ('settings={FAN_OUT="4"}', True),
        ('settings={VAULT_OCID="x"}', False),
        ('memory_in_mbs={"store-data"="100","process-data"="512"}', False),
        ("caller_header=authorization", False),
        ("rate_limit=0.5", False),
        ("log_retention_days=31", False),
        ("archive_after_days=0", False),
        ('rules=[{name="large",filter="payload.amount > `100`"}]', True),
    ],
)
def test_variables_are_held_to_their_rules(tmp_path: Path, value: str, is_good: bool) -> None:
    shutil.copy(TERRAFORM / "variables.tf", tmp_path)
    shutil.copy(TERRAFORM / "terraform.tfvars.example", tmp_path / "terraform.tfvars")
    given = ["-var", "image_tag=1", "-var", value]
    command = ["terraform", f"-chdir={tmp_path}", "plan", "-input=false", "-no-color", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == is_good, done.stdout + done.stderr
    assert is_good or "Invalid value for variable" in done.stderr
