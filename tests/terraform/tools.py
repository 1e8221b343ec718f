"""What Terraform needs to judge terraform/: Terraform itself, a copy of the folder, and a provider."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "terraform"
MOCKED = "tests/mocked"
"""Where the tests are: Terraform 1.6 reads `tests` at every init, and knows no mocked provider."""
ENVIRONMENT = ROOT / os.environ.get("TERRAFORM_TOOLS", Path(sys.prefix) / "terraform")
"""Where `make test-terraform` installs requirements-terraform.txt."""
_PYTHON = ENVIRONMENT / "bin" / "python"


def command() -> list[str] | None:
    """Terraform: the one from PyPI where it is installed, else the one on PATH, if any."""
    if _PYTHON.exists():
        return [str(_PYTHON), str(Path(__file__).with_name("cli.py"))]
    found = shutil.which("terraform")
    return [found] if found else None


def provider_schema() -> Path | None:
    """The schema of the provider oracle/oci as JSON, where OCI_PROVIDER_SCHEMA names it."""
    named = os.environ.get("OCI_PROVIDER_SCHEMA")
    return ROOT / named if named else None


def can_stand_in() -> bool:
    """Whether what a stand-in needs is installed."""
    return _PYTHON.exists()


def copied(to: Path) -> Path:
    """A copy of the folder without anybody's state and variables."""
    ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars")
    return shutil.copytree(FOLDER, to / "terraform", ignore=ignored)


@contextmanager
def stand_in(schema: Path, folder: Path) -> Iterator[dict[str, str]]:
    """A running stand-in for the provider; yields the environment in which Terraform uses it.

    What it was asked for stands in `folder`, in changes.jsonl.
    """
    socket = folder / "provider.sock"
    started = [str(_PYTHON), "-m", "tests.terraform.provider", str(schema), str(socket), str(changes(folder))]
    with subprocess.Popen(started, cwd=ROOT) as process:
        try:
            while not socket.exists():
                if process.poll() is not None:
                    raise RuntimeError(f"the stand-in for the provider ended at once: {process.returncode}")
                time.sleep(0.02)
            attached = {
                "Protocol": "grpc",
                "ProtocolVersion": 5,
                "Pid": process.pid,
                "Test": True,
                "Addr": {"Network": "unix", "String": str(socket)},
            }
            yield os.environ | {
                "TF_REATTACH_PROVIDERS": json.dumps({"registry.terraform.io/oracle/oci": attached})
            }
        finally:
            process.terminate()


def changes(folder: Path) -> Path:
    """The file with what a stand-in was asked for: one JSON object a line."""
    return folder / "changes.jsonl"
