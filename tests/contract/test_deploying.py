"""`make deploy` and `make destroy`: what they call, in which order, with stand-ins that only note it."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.bundle import ROOT

FUNCTIONS = ("store-data", "process-data")
TOOL = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
  *"$FAILING"*) exit 1 ;;
  *"output -json repositories"*) echo "$REPOSITORIES" ;;
  *"output -raw "*) echo "the-${4#-}" ;;
  "manifest inspect"*) test -n "$PUSHED" ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    for name in ("terraform", "docker", "oci"):
        (tmp_path / name).write_text(TOOL)
        (tmp_path / name).chmod(0o755)
    return tmp_path / "calls"


def made(calls: Path, *arguments: str, pushed: str = "", failing: str = "nothing") -> tuple[int, list[str]]:
    """The exit code of `make`, and what it called."""
    environment = os.environ | {
        "PATH": f"{calls.parent}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "PUSHED": pushed,
        "FAILING": failing,
        "REPOSITORIES": json.dumps({name: f"ocir.example.com/acme/datasync/{name}" for name in FUNCTIONS}),
    }
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = calls.read_text().splitlines() if calls.exists() else []
    return done.returncode, [one.replace("-chdir=terraform ", "") for one in found]


def test_deploy_pushes_images_before_what_runs_them(calls: Path) -> None:
    code, called = made(calls, "deploy", "TAG=1", "APPROVE=-auto-approve")
    assert code == 0
    pushed = [
        line
        for name in FUNCTIONS
        for line in (
            f"docker manifest inspect ocir.example.com/acme/datasync/{name}:1",
            f"docker tag datasync/{name}:1 ocir.example.com/acme/datasync/{name}:1",
            f"docker push ocir.example.com/acme/datasync/{name}:1",
        )
    ]
    assert called == [
        *(f"docker build --platform linux/amd64 --tag datasync/{name}:1 build/{name}" for name in FUNCTIONS),
        "terraform init -input=false",
        "terraform apply -auto-approve -var image_tag=1 -target oci_artifacts_container_repository.this"
        " -target data.oci_objectstorage_namespace.this -target oci_identity_policy.object_storage",
        "terraform output -json repositories",
        *pushed,
        "terraform apply -auto-approve -var image_tag=1",
    ]


def test_an_image_that_is_there_is_not_pushed_over(calls: Path) -> None:
    code, called = made(calls, "deploy", "TAG=1", pushed="yes")
    assert code == 0
    assert not [line for line in called if line.startswith("docker push")]
    assert called[-1] == "terraform apply -var image_tag=1"


@pytest.mark.parametrize("step", ["build", "push", "output -json", "-target"])
def test_what_fails_ends_it(calls: Path, step: str) -> None:
    code, called = made(calls, "deploy", "TAG=1", failing=step)
    assert code != 0
    assert called[-1] != "terraform apply -var image_tag=1"


def test_a_tag_belongs_to_one_state_of_the_code(calls: Path) -> None:
    _, called = made(calls, "build")
    (tag,) = {line.partition(" --tag ")[2].split()[0].rpartition(":")[2] for line in called}
    assert "dirty" not in tag
    assert 7 <= len(tag) <= 60


def test_bases_are_named_by_digest_as_the_example_shows(calls: Path) -> None:
    example = (ROOT / "terraform/terraform.tfvars.example").read_text()
    digest = f"sha256:{'0' * 64}"
    shown = re.findall(r"(BASE_IMAGE|INSTANT_CLIENT_IMAGE)=(\S+@)sha256:", example)
    assert [name for name, _ in shown] == ["BASE_IMAGE", "INSTANT_CLIENT_IMAGE"]
    code, called = made(calls, "build", "TAG=1", *(f"{name}={image}{digest}" for name, image in shown))
    assert code == 0
    bases = " ".join(f"--build-arg {name}={image}{digest}" for name, image in shown)
    assert called == [
        f"docker build --platform linux/amd64 {bases} --tag datasync/{name}:1 build/{name}"
        for name in FUNCTIONS
    ]
    dockerfile = (ROOT / "functions/Dockerfile").read_text()
    for name, image in shown:  # the example names the bases that are built from
        assert f"ARG {name}={image.removesuffix('@')}\n" in dockerfile


def test_destroy_leaves_the_archive_unless_it_is_told(calls: Path) -> None:
    assert made(calls, "destroy") == (0, ["terraform destroy -var image_tag=destroyed"])
    calls.unlink()
    code, called = made(calls, "destroy", "ARCHIVE=delete")
    assert code == 0
    assert called[2:] == [
        "oci os object bulk-delete-versions --region the-region --bucket-name the-archive_bucket",
        "terraform destroy -var image_tag=destroyed",
    ]
