"""A deployment by Terraform to a stand-in for OCI, as a test makes and changes it."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.terraform import tools

VARIABLES: dict[str, Any] = {
    "tenancy_ocid": "ocid1.tenancy.oc1..acme",
    "compartment_ocid": "ocid1.compartment.oc1..datasync",
    "region": "eu-frankfurt-1",
    "image_tag": "0.1.0-abc",
    "allowed_targets": ["erp.example.com"],
    "token_keys_url": "https://idcs.example.com/jwk",
    "token_issuers": ["https://identity.oraclecloud.com/"],
    "token_audiences": ["datasync"],
}


@dataclass
class Change:
    """One thing that was made, changed or deleted, as it then was; `did` says so, or why it was refused."""

    did: str
    kind: str
    thing: dict[str, Any]


@dataclass
class Deployment:
    """A copy of terraform/, its state, and what was asked of the cloud."""

    folder: Path
    configuration: Path
    environment: dict[str, str]
    _read: int = field(default=0)

    def apply(self, *arguments: str, **variables: Any) -> list[Change]:
        """What the apply changed, in this order. Nothing is refused."""
        given = self.configuration / "given.auto.tfvars.json"
        given.write_text(json.dumps(VARIABLES | variables))
        self.run("apply", "-auto-approve", "-input=false", "-refresh=false", *arguments)
        return self._changes()

    def destroy(self) -> list[Change]:
        """What was deleted."""
        self.run("destroy", "-auto-approve", "-input=false", "-refresh=false")
        return self._changes()

    def run(self, *arguments: str) -> str:
        command = [*(tools.command() or []), f"-chdir={self.configuration}", *arguments, "-no-color"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def output(self) -> dict[str, Any]:
        return {name: one["value"] for name, one in json.loads(self.run("output", "-json")).items()}

    def _changes(self) -> list[Change]:
        lines = tools.changes(self.folder).read_text().splitlines()
        new, self._read = lines[self._read :], len(lines)
        return [Change(**json.loads(line)) for line in new]

    def things(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """What there is: kinds and attributes by ids."""
        found = {}
        for line in tools.changes(self.folder).read_text().splitlines():
            change = Change(**json.loads(line))
            if change.did in ("create", "update"):
                found[change.thing["id"]] = change.kind, change.thing
            elif change.did == "delete":
                del found[change.thing["id"]]
        return found

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [thing for found, thing in self.things().values() if found == kind]

    def one(self, kind: str) -> dict[str, Any]:
        (thing,) = self.all(kind)
        return thing
