"""Cuts installed packages to what the functions use, and fails if something no longer imports.

`python slim.py FOLDER`, FOLDER being where packages were installed. Of the SDK's 500 MB nearly all are the
services that nobody here calls; `fdk` names its own test and build tools as requirements, and `oci` an
HTTP client for calls that nobody here makes either.
"""

import shutil
import subprocess
import sys
from importlib import metadata
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
_TOOLS = (  # packages required by fdk and oci, of which nothing that runs imports anything
    *("Cython", "setuptools", "wheel", "pbr", "pygments", "pytest", "pytest-asyncio", "pluggy", "iniconfig"),
    *("aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "multidict", "propcache", "yarl"),
)
_COMMAND = "fdk"  # the one that is run, of those in bin/
_CHECK = """
import jmespath, fdk, fdk.response, fdk.scripts.fdk, importlib, oci, oracledb, simplejson
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
        uninstall(folder, name)
    for path in (folder / "bin").iterdir():
        if path.name != _COMMAND:
            path.unlink()
    for path in folder.glob("*/tests"):
        shutil.rmtree(path)
    check = f"import sys; sys.path.insert(0, {str(folder)!r}){_CHECK.format(clients=CLIENTS)}"
    subprocess.run([sys.executable, "-B", "-c", check], check=True)  # noqa: S603 - our own text


def uninstall(folder: Path, name: str) -> None:
    """Remove a package's files with its metadata, so that no scanner finds what is not there."""
    for distribution in metadata.distributions(name=name, path=[str(folder)]):
        for file in distribution.files or ():
            path = (folder / file).resolve()
            if path.is_relative_to(folder.resolve()):
                path.unlink(missing_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


if __name__ == "__main__":
    main()
