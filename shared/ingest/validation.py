"""What a caller may send to `/store`: every rule of a record, and all broken rules named at once."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from shared.model.errors import MOST_NAMED, Fault, Invalid
from shared.model.headers import UTF_8, content_type, header_faults
from shared.model.json_codec import pointer_token
from shared.model.payload import encoded_payload
from shared.model.record import OPERATIONS, OVERWRITTEN_MEMBERS, SYSTEM_MEMBERS
from shared.model.targets import TargetUrl, parse_url, refusal
from shared.settings import Settings

Members = dict[str, Any]
"""A record as its caller sent it, in the flat form."""
TargetRefusal = Callable[[TargetUrl], str | None]

MEMBERS = frozenset(
    (
        "reference",
        "vaultSecretName",
        "targetRestApi",
        "targetRestApiOperation",
        "targetRestApiPayload",
        "targetRestApiHeaders",
    )
)
"""The members of a message that have rules."""
_OPTIONAL = ("streamKey", "reference", "vaultSecretName", "targetRestApiHeaders")  # null is absent
_WITH_PAYLOAD = ("POST", "PUT", "PATCH")
_SECRET_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_MOST_RECORDS = 1000
_MOST_KEY_CHARACTERS = 256  # of a reference, too


@dataclass(frozen=True)
class Conditions:
    """What the rules depend on beside the record itself."""

    target_refusal: TargetRefusal = lambda _: None
    """Says why a well-formed URL may not be a target; None if it may."""
    has_token: bool = False
    """Whether the target's token came with the request."""
    hub_secrets: Collection[str] = ()
    """Names that may be used without their token."""


@dataclass(frozen=True)
class ReadRequest:
    """The records that one request asks to store, and whether it was an array."""

    records: list[Members]
    is_array: bool

    def secret_names(self) -> list[str]:
        """Return the names under which tokens are kept, each once, in order."""
        named = (record["vaultSecretName"] for record in self.records if "vaultSecretName" in record)
        return list(dict.fromkeys(named))


def refusal_by(settings: Settings) -> TargetRefusal:
    """Return what says why the operator's settings do not allow a target."""
    return lambda url: refusal(url, settings.allowed_targets, settings.allowed_networks)


def read(value: Any, conditions: Conditions) -> ReadRequest:
    """Read the records in a body's JSON value, in either form, one or an array.

    Raises Invalid with one fault, at its JSON Pointer, for every rule that is broken, up to MOST_NAMED.
    """
    is_array = isinstance(value, list)
    items = value if is_array else [value]
    faults = list(_length_faults(items)) if is_array else []
    records = []
    for index, item in enumerate(items if not faults else []):
        members, own_faults = read_record(item, conditions, f"/{index}" if is_array else "")
        records.append(members)
        faults += own_faults
        if len(faults) > MOST_NAMED:
            break
    if faults:
        raise Invalid.of(faults, "nothing was stored")
    return ReadRequest(records, is_array)


def read_record(item: Any, conditions: Conditions, pointer: str = "") -> tuple[Members, list[Fault]]:
    """Return the members of one record, which stands at `pointer`, and every rule that it breaks."""
    if not isinstance(item, dict):
        return {}, [Fault(pointer, "must be an object (a record)")]
    outer, message, place = _unwrapped(item)
    faults = list(_outer_faults(outer, message, place))
    if isinstance(message, dict):
        own_faults = _message_faults(message, conditions)
        faults += [Fault(f"{place}{fault.pointer}", fault.detail) for fault in own_faults]
        outer |= message
    if not faults:
        outer["targetRestApi"] = parse_url(outer["targetRestApi"]).text
    return outer, [Fault(f"{pointer}{fault.pointer}", fault.detail) for fault in faults]


def _length_faults(items: list[Any]) -> Iterator[Fault]:
    if not items:
        yield Fault("", "contains no records; send at least one")
    if len(items) > _MOST_RECORDS:
        yield Fault("", f"contains {len(items)} records; send at most {_MOST_RECORDS} at a time")


def _unwrapped(item: Members) -> tuple[Members, Any, str]:
    """Return what stands next to the message, the message, and the message's pointer within the record."""
    if "streamMessage" in item:
        outer = {name: value for name, value in item.items() if name != "streamMessage"}
        message = item["streamMessage"]
        return _present(outer), _present(message) if isinstance(message, dict) else message, "/streamMessage"
    outer = {"streamKey": item["streamKey"]} if "streamKey" in item else {}
    return _present(outer), _present({name: item[name] for name in item if name != "streamKey"}), ""


def _present(members: Members) -> Members:
    """Return members without those that count as absent, or that the system overwrites."""
    absent = {name for name in _OPTIONAL if members.get(name, "") is None}
    if (
        members.get("targetRestApiOperation") not in _WITH_PAYLOAD
        and members.get("targetRestApiPayload", "") is None
    ):
        absent.add("targetRestApiPayload")
    return {name: members[name] for name in members if name not in absent | OVERWRITTEN_MEMBERS}


def _outer_faults(outer: Members, message: Any, place: str) -> Iterator[Fault]:
    """Check what stands next to the message, and that nothing stands in both places or the wrong one."""
    key = outer.get("streamKey", "")
    if not isinstance(key, str) or len(key) > _MOST_KEY_CHARACTERS:
        yield Fault("/streamKey", f"must be a string of at most {_MOST_KEY_CHARACTERS} characters")
    if not isinstance(message, dict):
        yield Fault(place, "must be an object")
        return
    for name in sorted((outer.keys() | message.keys()) & SYSTEM_MEMBERS):
        yield Fault(f"{place if name in message else ''}/{name}", "is set by the system; omit it")
    for name in sorted(outer.keys() & (MEMBERS | message.keys())):
        yield Fault(f"/{pointer_token(name)}", "appears next to streamMessage; move it inside streamMessage")
    if "streamKey" in message:
        yield Fault(f"{place}/streamKey", "appears inside streamMessage; move it next to streamMessage")


def _message_faults(message: Members, conditions: Conditions) -> Iterator[Fault]:
    """Check the members that have rules; the pointers are within the message."""
    reference = message.get("reference", "")
    if not isinstance(reference, str) or len(reference) > _MOST_KEY_CHARACTERS:
        yield Fault("/reference", f"must be a string of at most {_MOST_KEY_CHARACTERS} characters")
    yield from _secret_faults(message, conditions)
    yield from _target_faults(message, conditions.target_refusal)
    yield from _operation_faults(message)
    if "targetRestApiHeaders" in message:
        faults = list(header_faults(message["targetRestApiHeaders"]))
        yield from (Fault(f"/targetRestApiHeaders{fault.pointer}", fault.detail) for fault in faults)
        if not faults:
            yield from _charset_faults(message)


def _secret_faults(message: Members, conditions: Conditions) -> Iterator[Fault]:
    if "vaultSecretName" not in message:
        if conditions.has_token:
            yield Fault("/vaultSecretName", "is missing; the token in Authorization is kept under this name")
        return
    name = message["vaultSecretName"]
    if not (isinstance(name, str) and _SECRET_NAME.fullmatch(name)):
        yield Fault("/vaultSecretName", "must be 1 to 200 letters, digits, hyphens, underscores or dots")
    elif not conditions.has_token and name not in conditions.hub_secrets:
        yield Fault("/vaultSecretName", "names a token; pass that token in the Authorization header")


def _target_faults(message: Members, target_refusal: TargetRefusal) -> Iterator[Fault]:
    if "targetRestApi" not in message:
        yield Fault("/targetRestApi", "is missing; it is the absolute https URL to send to")
        return
    try:
        why = target_refusal(parse_url(message["targetRestApi"]))
    except ValueError as error:
        why = str(error)
    if why:
        yield Fault("/targetRestApi", why)


def _operation_faults(message: Members) -> Iterator[Fault]:
    operation = message.get("targetRestApiOperation")
    if operation not in OPERATIONS:
        yield Fault("/targetRestApiOperation", f"must be one of {', '.join(OPERATIONS)}")
    elif operation in _WITH_PAYLOAD and "targetRestApiPayload" not in message:
        yield Fault("/targetRestApiPayload", f"is missing; {operation} sends one")


def _charset_faults(message: Members) -> Iterator[Fault]:
    """Check that the payload can be sent as its Content-Type declares it."""
    if content_type(message["targetRestApiHeaders"])[1] in UTF_8:
        return
    try:
        encoded_payload(message)
    except ValueError as error:
        yield Fault("/targetRestApiPayload", str(error))
