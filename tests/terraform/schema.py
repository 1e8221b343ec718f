"""The provider's schema: from the JSON that documents it to what the plugin protocol sends, and to values."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.terraform import wire

Block = dict[str, Any]
Object = dict[str, Any]

NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}
"""The enum Schema.NestedBlock.NestingMode (tfplugin5.proto)."""
PROVIDER: Block = {
    "attributes": {name: {"type": "string", "optional": True} for name in ("tenancy_ocid", "region")}
}
# What terraform/ uses and the documented schema lacks, as oracle/oci 8.28 has it.
SUPPLEMENT = Path(__file__).with_name("supplement.json")


def load(path: Path) -> dict[str, dict[str, Block]]:
    """The blocks of all resources and data sources, by their types."""
    found: dict[str, dict[str, Block]] = {"resource_schemas": {}, "data_source_schemas": {}}
    for part in (json.loads(path.read_text()), json.loads(SUPPLEMENT.read_text())):
        for kind, schemas in found.items():
            schemas |= {name: schema.get("block", schema) for name, schema in part[kind].items()}
    # A singular data source has the attributes of its resource (GetSingularDataSourceItemSchema), to be read.
    database = found["resource_schemas"]["oci_database_autonomous_database"]["attributes"]
    found["data_source_schemas"]["oci_database_autonomous_database"] = {
        "attributes": {name: {"type": one["type"], "computed": True} for name, one in database.items()}
        | {"autonomous_database_id": {"type": "string", "required": True}}
    }
    return found


def attributes(block: Block) -> dict[str, dict[str, Any]]:
    """A block's own attributes."""
    return block.get("attributes", {})


def nested(block: Block) -> Iterator[tuple[str, dict[str, Any], Block]]:
    """The blocks within a block: name, rule, and what they hold."""
    for name, rule in block.get("block_types", {}).items():
        yield name, rule, rule.get("block", rule)


def encoded(block: Block) -> bytes:
    """Schema: version, and the block."""
    return wire.number(1, 0) + wire.text(2, _block(block))


def _block(block: Block) -> bytes:
    parts = [wire.text(2, _attribute(name, rule)) for name, rule in attributes(block).items()]
    for name, rule, inner in nested(block):
        parts.append(
            wire.text(
                3,
                wire.text(1, name)
                + wire.text(2, _block(inner))
                + wire.number(3, NESTING[rule["nesting_mode"]])
                + wire.number(4, rule.get("min_items", 0))
                + wire.number(5, rule.get("max_items", 0)),
            )
        )
    return b"".join(parts)


def _attribute(name: str, rule: dict[str, Any]) -> bytes:
    return (
        wire.text(1, name)
        + wire.text(2, json.dumps(rule["type"]))
        + wire.number(4, rule.get("required", False))
        + wire.number(5, rule.get("optional", False))
        + wire.number(6, rule.get("computed", False))
    )


def filled(block: Block, value: Object, fill: Callable[[str, Any], Any]) -> Object:
    """A value with what the provider computes in place of what is absent: `fill(name, type)`."""
    result = dict(value)
    for name, rule in attributes(block).items():
        if rule.get("computed") and result.get(name) is None:
            result[name] = fill(name, rule["type"])
    for name, rule, inner in nested(block):
        if rule["nesting_mode"] in ("list", "set") and isinstance(result.get(name), list):
            result[name] = [filled(inner, one, fill) for one in result[name]]
    return result


def empty(kind: Any, text: str) -> Any:
    """A value of a type: `text`, or as little as there can be."""
    if isinstance(kind, list):
        return {} if kind[0] == "map" else []
    return {"string": text, "bool": False, "number": 0}[kind]


def kept(block: Block, before: Object, after: Object) -> Object:
    """A value in which blocks that are no longer written stay as they were.

    So does the real provider, whose blocks are optional and computed: to leave one out changes nothing.
    """
    result = dict(after)
    for name, rule, inner in nested(block):
        if rule["nesting_mode"] != "list":
            continue
        was, is_now = before.get(name) or [], after.get(name) or []
        changed = [kept(inner, old, new) for old, new in zip(was, is_now, strict=False)]
        result[name] = changed + is_now[len(was) :] if is_now else was
    return result


def renewing(block: Block, before: Object, after: Object) -> Iterator[str]:
    """Names of what can't be changed in place (force_new), and is to change."""
    for name, rule in attributes(block).items():
        if rule.get("force_new") and before.get(name) != after.get(name):
            yield name
    for name, rule, inner in nested(block):
        if before.get(name) != after.get(name) and (rule.get("force_new") or _is_fixed(inner)):
            yield name


def _is_fixed(block: Block) -> bool:
    rules = [*attributes(block).values(), *(rule for _, rule, _ in nested(block))]
    return any(rule.get("force_new") for rule in rules)
