"""Cuts installed packages to what the functions use, and fails where something no longer imports.

`python slim.py FOLDER`, FOLDER being where packages were installed. Of the SDK's 500 MB nearly all are the
services that nobody here calls; `fdk` names its own test and build tools as requirements.
"""

import shutil
import subprocess
import sys
from pathlib import Path

CLIENTS = {
    "FunctionsInvokeClient": "functions",
    "FunctionsManagementClient": "functions",
    "MonitoringClient": "monitoring",
    "NotificationDataPlaneClient": "ons",
    "ObjectStorageClient": "object_storage",
    "SecretsClient": "secrets",
    "VaultsClient": "vault",
}
"""Whatever `OciClients.call` is given in `shared/`."""

_CORE = ("_vendor", "auth", "circuit_breaker", "pagination", "retry")
_OF_CORE = ("dns", "work_requests")  # imported by the core's pagination and waiters
_TOOLS = (  # required by fdk, imported by nothing that runs
    *("Cython", "cython.py", "pyximport", "pygments", "setuptools", "pkg_resources", "wheel", "pbr"),
    *("pytest", "_pytest", "pytest_asyncio", "py.py", "pluggy", "iniconfig", "_distutils_hack"),
    *("distutils-precedence.pth",),
)
_CHECK = """
import aiohttp, jmespath, fdk, fdk.response, fdk.scripts.fdk, importlib, oci, oracledb, simplejson
oci.auth.signers.get_resource_principals_signer
oci.retry.RetryStrategyBuilder, oci.circuit_breaker.NoCircuitBreakerStrategy
from oci.monitoring.models import Datapoint, MetricDataDetails, PostMetricDataDetails
from oci.ons.models import MessageDetails
from oci.vault.models import Base64SecretContentDetails, CreateSecretDetails, ScheduleSecretDeletionDetails
from oci.pagination import list_call_get_all_results
for client, service in {clients!r}.items():
    getattr(importlib.import_module("oci." + service), client)
"""


def main() -> None:
    """Cut and check."""
    folder = Path(sys.argv[1])
    kept = {*CLIENTS.values(), *_CORE, *_OF_CORE}
    for path in (folder / "oci").iterdir():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)
    for name in _TOOLS:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    check = f"import sys; sys.path.insert(0, {str(folder)!r}){_CHECK.format(clients=CLIENTS)}"
    subprocess.run([sys.executable, "-B", "-c", check], check=True)  # noqa: S603 - our own text


if __name__ == "__main__":
    main()
