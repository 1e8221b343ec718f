"""Other invocations of process-data, started to share a backlog: detached, through the Functions service."""

import json
import logging

from shared.drivers.oci import OciClients

log = logging.getLogger(__name__)


class FanOut:
    """Starts invocations of the function that this process belongs to."""

    def __init__(self, clients: OciClients, function_ocid: str):
        self._clients = clients
        self._function_ocid = function_ocid
        self._invoker: OciClients | None = None

    def start(self, number: int, limit: int) -> None:
        """Start `number` invocations that handle at most `limit` records each, and start none themselves.

        A failure has no other effect: this invocation and later ones do the work.
        """
        body = json.dumps({"noOfMessagesToProcess": limit, "fannedOut": True})
        try:
            for _ in range(number):
                self._invoking().call(
                    "functions",
                    "FunctionsInvokeClient",
                    "invoke_function",
                    self._function_ocid,
                    invoke_function_body=body,
                    fn_invoke_type="detached",
                )
        except Exception as error:  # noqa: BLE001 - a signer's error among them
            log.warning("no other invocation could be started: %s", type(error).__name__)

    def _invoking(self) -> OciClients:
        """Return clients for the endpoint at which the function is invoked; only the service knows it."""
        if self._invoker is None:
            function = self._clients.call(
                "functions", "FunctionsManagementClient", "get_function", self._function_ocid
            )
            self._invoker = OciClients(function.invoke_endpoint)
        return self._invoker
