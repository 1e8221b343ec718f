"""Cuts the `oci` package to what the functions call, and fails where a client no longer imports.

`python slim.py FOLDER`, FOLDER being where packages were installed. Of the SDK's 500 MB nearly all are the
services that nobody here calls.
"""

import shutil
import subprocess
import sys
from pathlib import Path

CLIENTS = {"functions": "FunctionsInvokeClient", "secrets": "SecretsClient", "vault": "VaultsClient"}
"""Whatever `OciClients.call` is given in `shared/`."""

_CORE = ("_vendor", "auth", "circuit_breaker", "pagination", "retry")
_OF_CORE = ("dns", "object_storage", "work_requests")  # imported by the core's pagination and waiters
_CHECK = """
import importlib, oci
oci.auth.signers.get_resource_principals_signer
oci.retry.RetryStrategyBuilder, oci.circuit_breaker.NoCircuitBreakerStrategy
from oci.vault.models import Base64SecretContentDetails, CreateSecretDetails
for service, client in {clients!r}.items():
    getattr(importlib.import_module("oci." + service), client)
"""


def main() -> None:
    """Cut and check."""
    folder = Path(sys.argv[1])
    kept = {*CLIENTS, *_CORE, *_OF_CORE}
    for path in (folder / "oci").iterdir():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)
    check = f"import sys; sys.path.insert(0, {str(folder)!r}){_CHECK.format(clients=CLIENTS)}"
    subprocess.run([sys.executable, "-B", "-c", check], check=True)  # noqa: S603 - our own text


if __name__ == "__main__":
    main()
