"""Clients of the OCI services, created on first use. The SDK and its errors are known only here.

The `oci` package is imported with the first client: it takes longer to load than everything else together.
"""

import base64
import logging
import threading
from typing import Any

from shared.model.errors import DependencyDown, Misconfigured

log = logging.getLogger(__name__)

_TIMEOUT = (3.0, 10.0)  # seconds to connect, seconds to read
_TRIES_AGAIN = 2  # after a 429 or a 5xx, before the caller gets an error


class Refused(Exception):
    """A service answered with a 4xx."""

    def __init__(self, status: int, message: str = ""):
        super().__init__(status)
        self.status = status
        self._message = message

    @property
    def is_conflict(self) -> bool:
        """Return whether what was to be created exists already; Vault is known to answer 400 for it."""
        return self.status == 409 or (self.status == 400 and "already exists" in self._message)


class OciClients:
    """One client per service and process, signing as the function's resource principal."""

    def __init__(self, endpoint: str):
        """`endpoint` is the base URL of all services, or empty for the region's own."""
        self._endpoint = endpoint
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._compartment = ""

    def call(self, service: str, client: str, operation: str, *arguments: Any, **options: Any) -> Any:
        """Call an operation (`"secrets", "SecretsClient", "get_secret_bundle", ocid`) and return its data.

        Raises Refused if the service answers with a 4xx, DependencyDown if it can't be reached or fails, or
        if nothing can be signed.
        """
        return self._answer(service, client, operation, *arguments, **options).data

    def all(self, service: str, client: str, operation: str, *arguments: Any, **options: Any) -> list[Any]:
        """Call an operation that lists something, and return all pages; raises the same errors as `call`."""
        answer = self._answer(service, client, operation, *arguments, **options)
        found = list(answer.data)
        while answer.next_page:  # not by oci.pagination, which tries again for minutes
            answer = self._answer(service, client, operation, *arguments, page=answer.next_page, **options)
            found += answer.data
        return found

    def _answer(self, service: str, client: str, operation: str, *arguments: Any, **options: Any) -> Any:
        from oci.exceptions import ClientError, ConnectTimeout, ServiceError

        try:
            return getattr(self._client(service, client), operation)(*arguments, **options)
        except ServiceError as error:
            log.info("OCI %s.%s answered %s %s", service, operation, error.status, error.code)
            if 400 <= error.status < 500 and error.status not in (401, 429):
                raise Refused(error.status, str(error.message)) from None
        except (OSError, ConnectTimeout, ClientError) as error:  # those of `requests`, and the signer's
            log.warning("OCI %s.%s failed: %s", service, operation, type(error).__name__)
        raise DependencyDown(f"The OCI service {service} is unavailable; nothing was changed. Repeat later.")

    def compartment(self) -> str:
        """Return the OCID of the function's own compartment, which its resource principal names."""
        if not self._compartment:
            import oci

            signer = oci.auth.signers.get_resource_principals_signer()
            self._compartment = str(signer.get_claim("res_compartment"))
        return self._compartment

    def _client(self, service: str, name: str) -> Any:
        with self._lock:
            if (service, name) not in self._clients:
                self._clients[service, name] = self._made(service, name)
            return self._clients[service, name]

    def _made(self, service: str, name: str) -> Any:
        import importlib

        import oci

        signer = oci.auth.signers.get_resource_principals_signer()
        endpoint = {"service_endpoint": self._endpoint} if self._endpoint else {}
        client = getattr(importlib.import_module(f"oci.{service}"), name)(
            {"region": signer.region},
            signer=signer,
            timeout=_TIMEOUT,
            retry_strategy=oci.retry.RetryStrategyBuilder(
                max_attempts_check=True,
                max_attempts=1 + _TRIES_AGAIN,
                total_elapsed_time_check=True,
                total_elapsed_time_seconds=_TIMEOUT[1],
                retry_base_sleep_time_seconds=0.1,
                retry_max_wait_between_calls_seconds=1,
                service_error_check=True,
                service_error_retry_on_any_5xx=True,
                service_error_retry_config={429: []},
            ).get_retry_strategy(),
            # the default one would keep refusing calls for half a minute after the service has recovered
            circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
            **endpoint,
        )
        if service == "monitoring":  # metrics are posted to a separate host [PostMetricData]
            base = client.base_client
            base.endpoint = base.endpoint.replace("//telemetry.", "//telemetry-ingestion.")
        return client


def read_secret(clients: OciClients, ocid: str) -> str:
    """Return the text of the operator's own secret with this OCID."""
    try:
        return secret_text(clients.call("secrets", "SecretsClient", "get_secret_bundle", ocid))
    except Refused as error:
        raise DependencyDown(
            f"Vault refused ({error.status}) a system secret; the operator checks its OCID and the policies."
        ) from None
    except ValueError:
        raise Misconfigured(f"The system secret {ocid} is not UTF-8 text; store it anew.") from None


def secret_text(bundle: Any) -> str:
    """Return the text in a secret's bundle, which Vault gives as base64 [Vault API, SecretBundle].

    A line break at its end is not part of it: editors and `echo` add one. Raises ValueError if it is
    not UTF-8.
    """
    return base64.b64decode(bundle.secret_bundle_content.content).decode().rstrip("\r\n")
