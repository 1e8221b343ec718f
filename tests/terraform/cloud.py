"""What OCI makes of the changes that Terraform asks for: what it computes, and what it refuses."""

import ipaddress
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.terraform import schema

Thing = dict[str, Any]
"""All attributes of one thing, with its `id`."""

ANSWERS: dict[str, Thing] = json.loads(Path(__file__).with_name("answers.json").read_text())
"""What is computed, where it is more than a name of its own; of data sources too."""

NAMED = {
    "oci_functions_application": ("compartment_id", "display_name"),
    "oci_identity_dynamic_group": ("name",),
    "oci_identity_policy": ("compartment_id", "name"),
    "oci_objectstorage_bucket": ("namespace", "name"),
    "oci_ons_notification_topic": ("name",),
    "oci_vault_secret": ("vault_id", "secret_name"),
}
"""What can't be there twice, and by which attributes."""


POLICIES_TAKE = 0.5
"""Seconds from a policy's creation until it holds everywhere, which a call that needs it waits for."""


class RefusedError(Exception):
    """The cloud does not do what was asked."""


class Cloud:
    """Things by their ids. Every change that is asked for is written to `log`, one JSON object a line."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._things: dict[str, tuple[str, Thing]] = {}
        self._made = 0
        self._policies_hold = False

    def change(
        self, kind: str, block: schema.Block, before: Thing | None, after: Thing | None
    ) -> Thing | None:
        """Make, change or delete a thing; the thing as it then is. Raises RefusedError."""
        did = "create" if before is None else "delete" if after is None else "update"
        if (did, kind) == ("create", "oci_functions_invoke_function"):
            time.sleep(POLICIES_TAKE)
        with self._lock:
            try:
                changed = self._changed(kind, block, before, after)
            except RefusedError as error:
                self._write(f"{did} refused: {error}", kind, after or before or {})
                raise
            self._write(did, kind, changed or before or {})
            return changed

    def read(self, kind: str, block: schema.Block, query: Thing) -> Thing:
        """What a data source says."""
        return schema.filled(
            block, query | ANSWERS.get(kind, {}), lambda name, kind: schema.empty(kind, name)
        )

    def _write(self, did: str, kind: str, thing: Thing) -> None:
        with self._log.open("a") as log:
            log.write(json.dumps({"did": did, "kind": kind, "thing": thing}) + "\n")

    def _changed(
        self, kind: str, block: schema.Block, before: Thing | None, after: Thing | None
    ) -> Thing | None:
        if after is None:
            assert before is not None
            self._refuse_deletion(before["id"])
            del self._things[before["id"]]
            return None
        if before is None:
            self._made += 1
            for refuse in (self._refuse_name, self._refuse_subnet, self._refuse_deployment):
                refuse(kind, after)
            self._policies_hold |= kind == "oci_functions_invoke_function"
        made = after | {name: one for name, one in ANSWERS.get(kind, {}).items() if after.get(name) is None}
        made = schema.filled(block, made, lambda name, one: schema.empty(one, self._new(kind, name)))
        self._things[made["id"]] = kind, made
        return made

    def _new(self, kind: str, name: str) -> str:
        if name == "id":
            return f"ocid1.{kind.removeprefix('oci_').replace('_', '')}.oc1..{self._made}"
        return f"{name}-{self._made}"

    def _all(self, kind: str) -> Iterator[Thing]:
        return (thing for found, thing in self._things.values() if found == kind)

    def _refuse_deletion(self, ocid: str) -> None:
        """Nothing is deleted that something refers to: IncorrectState."""
        for kind, thing in self._things.values():
            traced = thing.get("trace_config") or [{}]
            if ocid in _texts(
                thing | {"id": "", "trace_config": traced if traced[0].get("is_enabled") else []}
            ):
                raise RefusedError(f"409-IncorrectState: {ocid} is used by {kind} {thing['id']}")

    def _refuse_name(self, kind: str, thing: Thing) -> None:
        names = NAMED.get(kind, ())
        if names and any(all(one[name] == thing[name] for name in names) for one in self._all(kind)):
            raise RefusedError(f"409-AlreadyExists: {kind} {[thing[name] for name in names]}")

    def _refuse_subnet(self, kind: str, thing: Thing) -> None:
        if kind != "oci_core_subnet":
            return
        block = ipaddress.ip_network(thing["cidr_block"])
        for other in self._all(kind):
            if other["vcn_id"] == thing["vcn_id"] and (
                block.overlaps(ipaddress.ip_network(other["cidr_block"]))
                or other["dns_label"] == thing["dns_label"]
            ):
                raise RefusedError(f"400-InvalidParameter: {block} or its label is taken by {other['id']}")

    def _refuse_deployment(self, kind: str, thing: Thing) -> None:
        """The gateway's right to call is looked at; and `/` is a gateway's only deployment [API Gateway]."""
        if kind != "oci_apigateway_deployment":
            return
        prefixes = [one["path_prefix"] for one in self._all(kind) if one["gateway_id"] == thing["gateway_id"]]
        if prefixes and "/" in (thing["path_prefix"], *prefixes):
            raise RefusedError(f"409-Conflict: {thing['gateway_id']} has a deployment already")
        if not self._policies_hold:
            raise RefusedError("400-InvalidParameter: the gateway may not call the function")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
