"""A stand-in for the provider oracle/oci: Terraform's plugin protocol, version 5, over gRPC.

`python -m tests.terraform.provider SCHEMA SOCKET LOG` serves until it is ended. It needs grpcio and msgpack.
"""

import sys
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import msgpack

from tests.terraform import schema, wire
from tests.terraform.cloud import Cloud, RefusedError

_UNKNOWN = msgpack.ExtType(0, b"\0")
"""How Terraform writes a value that is known after the apply only."""
_ERROR = 1


def _decoded(dynamic: bytes) -> Any:
    """A DynamicValue."""
    return msgpack.unpackb(wire.members(dynamic)[1], strict_map_key=False)


def _encoded(value: Any) -> bytes:
    return wire.text(1, msgpack.packb(value))


def _diagnostic(summary: str) -> bytes:
    return wire.number(1, _ERROR) + wire.text(2, summary)


class Provider:
    """One method for each call of the service tfplugin5.Provider, from and to encoded messages."""

    def __init__(self, schemas: dict[str, dict[str, schema.Block]], cloud: Cloud) -> None:
        self._resources = schemas["resource_schemas"]
        self._data_sources = schemas["data_source_schemas"]
        self._cloud = cloud

    def GetSchema(self, _: bytes) -> bytes:  # noqa: N802 - the protocol's name, as all below
        """Everything that can be written in a configuration."""
        return b"".join(
            [
                wire.text(1, schema.encoded(schema.PROVIDER)),
                *(wire.entry(2, name, schema.encoded(one)) for name, one in self._resources.items()),
                *(wire.entry(3, name, schema.encoded(one)) for name, one in self._data_sources.items()),
            ]
        )

    def PrepareProviderConfig(self, request: bytes) -> bytes:  # noqa: N802
        """The configuration, as it came."""
        return wire.text(1, wire.members(request)[1])

    def UpgradeResourceState(self, request: bytes) -> bytes:  # noqa: N802
        """A state from the file, whose JSON Terraform reads by the schema."""
        raw = wire.members(wire.members(request)[3])[1]
        return wire.text(1, wire.text(2, raw))

    def ReadResource(self, request: bytes) -> bytes:  # noqa: N802
        """Nobody changes anything behind Terraform's back."""
        return wire.text(1, wire.members(request)[2])

    def PlanResourceChange(self, request: bytes) -> bytes:  # noqa: N802
        """What is computed is unknown, and what can't be changed is made anew."""
        read = wire.members(request)
        block = self._resources[read[1].decode()]
        before, after = _decoded(read[2]), _decoded(read[3])
        if after is None:
            return wire.text(1, read[3]) + wire.number(5, 1)
        planned = after if before is None else schema.kept(block, before, after)
        planned = schema.filled(block, planned, lambda name, kind: _UNKNOWN)
        renewing = () if before is None else schema.renewing(block, before, planned)
        paths = (wire.text(2, wire.text(1, wire.text(1, name))) for name in renewing)
        return wire.text(1, _encoded(planned)) + b"".join(paths) + wire.number(5, 1)

    def ApplyResourceChange(self, request: bytes) -> bytes:  # noqa: N802
        """The cloud makes, changes or deletes it, or refuses."""
        read = wire.members(request)
        kind = read[1].decode()
        before, planned = _decoded(read[2]), _decoded(read[3])
        try:
            after = self._cloud.change(kind, self._resources[kind], before, _without_unknown(planned))
        except RefusedError as error:
            return wire.text(1, _encoded(before)) + wire.text(3, _diagnostic(str(error)))
        return wire.text(1, _encoded(after)) + wire.number(4, 1)

    def ReadDataSource(self, request: bytes) -> bytes:  # noqa: N802
        """What the cloud says of it."""
        read = wire.members(request)
        kind = read[1].decode()
        return wire.text(1, _encoded(self._cloud.read(kind, self._data_sources[kind], _decoded(read[2]))))


def _without_unknown(value: Any) -> Any:
    if isinstance(value, msgpack.ExtType):
        return None
    if isinstance(value, dict):
        return {name: _without_unknown(one) for name, one in value.items()}
    return [_without_unknown(one) for one in value] if isinstance(value, list) else value


class _Handlers(grpc.GenericRpcHandler):
    """Leads each call to the provider's method of its name; to others there is no objection."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service, _, name = call.method.rpartition("/")
        if service != "/tfplugin5.Provider":
            return None
        method: Callable[[bytes], bytes] = getattr(self._provider, name, lambda request: b"")
        return grpc.unary_unary_rpc_method_handler(lambda request, context: method(request))


def main() -> None:
    """Serve on a Unix socket."""
    _, schema_file, socket, log = sys.argv
    schemas = schema.load(Path(schema_file))
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        [_Handlers(Provider(schemas, Cloud(Path(log))))],
        options=[("grpc.max_send_message_length", 64 << 20), ("grpc.max_receive_message_length", 64 << 20)],
    )
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
