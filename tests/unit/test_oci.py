"""Clients speak to the hosts that their services have."""

from pathlib import Path

import pytest

from local.emulators import identity
from shared.drivers.oci import OciClients


@pytest.mark.parametrize(
    ("service", "client", "host"),
    [
        ("monitoring", "MonitoringClient", "telemetry-ingestion.eu-frankfurt-1.oraclecloud.com"),
        ("ons", "NotificationDataPlaneClient", "notification.eu-frankfurt-1.oraclecloud.com"),
        ("object_storage", "ObjectStorageClient", "objectstorage.eu-frankfurt-1."),
    ],
)
def test_a_client_has_its_services_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: str, client: str, host: str
) -> None:
    principal = identity.environment(tmp_path) | {"OCI_RESOURCE_PRINCIPAL_REGION": "eu-frankfurt-1"}
    for name, value in principal.items():
        monkeypatch.setenv(name, value)
    assert f"//{host}" in OciClients("")._client(service, client).base_client.endpoint
