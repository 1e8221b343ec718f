"""What a caller may send to `/store`: every rule of one record, and all broken rules named at once."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from shared.model.errors import MOST_NAMED, Fault, Invalid, json_pointer_token
from shared.model.headers import header_fault, header_pairs
from shared.model.record import OPERATIONS, SYSTEM_MEMBERS
from shared.model.targets import TargetUrl, parse_url

_WITH_PAYLOAD = OPERATIONS[:3]
MEMBERS = frozenset(
    (
        "vaultSecretName",
        "targetRestApi",
        "targetRestApiOperation",
        "targetRestApiPayload",
        "targetRestApiHeaders",
    )
)
_SECRET_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_MOST_RECORDS = 1000
_MOST_HEADERS = 64
_HEADERS_SIZE = 8 * 1024  # all names and values; what common servers accept
_LONGEST_KEY = 256

TargetCheck = Callable[[TargetUrl], str | None]


@dataclass(frozen=True)
class Batch:
    """What one request asks to keep: its records' members, and whether it was an array."""

    records: list[dict[str, Any]]
    is_array: bool

    def secret_names(self) -> list[str]:
        """Return the names under which tokens are kept, each once, in order."""
        return list(
            dict.fromkeys(record["vaultSecretName"] for record in self.records if "vaultSecretName" in record)
        )


def read(value: Any, *, has_token: bool, target_refusal: TargetCheck) -> Batch:
    """Read the records in a body's JSON value, in either form, one or an array.

    `target_refusal` says why a well-formed URL may not be a target. Raises Invalid with one fault, at its
    JSON Pointer, for every rule that is broken, as far as they can be named.
    """
    is_array = isinstance(value, list)
    items = value if is_array else [value]
    faults = list(_length_faults(items)) if is_array else []
    records = []
    for index, item in enumerate(items if not faults else []):
        reader = _Reader(f"/{index}" if is_array else "", has_token, target_refusal)
        records.append(reader.read(item))
        faults += reader.faults
        if len(faults) > MOST_NAMED:
            break
    if faults:
        raise Invalid.of(faults, "nothing was stored")
    return Batch(records, is_array)


def read_message(
    message: Any, key: str | None, secrets: Collection[str], target_refusal: TargetCheck
) -> tuple[dict[str, Any], list[Fault]]:
    """Read a record whose key stands beside it; `secrets` it may name without a token. With its faults."""
    reader = _Reader("", has_token=False, target_refusal=target_refusal, secrets=secrets)
    item = {"streamMessage": message} if key is None else {"streamMessage": message, "streamKey": key}
    return reader.read(item), reader.faults


def _length_faults(items: list[Any]) -> Iterator[Fault]:
    if not items:
        yield Fault("", "holds no record; send at least one")
    if len(items) > _MOST_RECORDS:
        yield Fault("", f"holds {len(items)} records; send at most {_MOST_RECORDS} at a time")


class _Reader:
    """Reads one record, and notes every fault with the pointer at which it stands."""

    def __init__(
        self, pointer: str, has_token: bool, target_refusal: TargetCheck, secrets: Collection[str] = ()
    ):
        self.faults: list[Fault] = []
        self._pointer = pointer
        self._has_token = has_token
        self._target_refusal = target_refusal
        self._secrets = secrets

    def read(self, item: Any) -> dict[str, Any]:
        if not isinstance(item, dict):
            self._fault("", "must be an object: a record")
            return {}
        outer, message, at = self._taken_apart(item)
        self._check_key(outer)
        if message is None:
            return {}
        for name in sorted((outer.keys() | message.keys()) & SYSTEM_MEMBERS):
            self._fault(f"{at if name in message else ''}/{name}", "is written by the system; leave it away")
        self._check_secret(message, at)
        self._check_target(message, at)
        self._check_operation(message, at)
        if "targetRestApiHeaders" in message:
            self._check_headers(message["targetRestApiHeaders"], f"{at}/targetRestApiHeaders")
        return outer | message

    def _taken_apart(self, item: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None, str]:
        """Return what stands beside the message, the message if it is one, and its pointer."""
        if "streamMessage" not in item:
            message = {name: value for name, value in item.items() if name != "streamKey"}
            return {"streamKey": item["streamKey"]} if "streamKey" in item else {}, message, ""
        outer = {name: value for name, value in item.items() if name != "streamMessage"}
        message = item["streamMessage"]
        if not isinstance(message, dict):
            self._fault("/streamMessage", "must be an object")
            return outer, None, ""
        for name in sorted(outer.keys() & (MEMBERS | message.keys())):
            self._fault(f"/{json_pointer_token(name)}", "stands beside streamMessage; put it inside, once")
        if "streamKey" in message:
            self._fault("/streamMessage/streamKey", "stands inside streamMessage; put it beside, once")
        return outer, message, "/streamMessage"

    def _check_key(self, outer: dict[str, Any]) -> None:
        key = outer.get("streamKey", "")
        if not isinstance(key, str) or len(key) > _LONGEST_KEY:
            self._fault("/streamKey", f"must be a string of at most {_LONGEST_KEY} characters")

    def _check_secret(self, message: dict[str, Any], at: str) -> None:
        pointer = f"{at}/vaultSecretName"
        if "vaultSecretName" not in message:
            if self._has_token:
                self._fault(pointer, "is missing: the Authorization header's token needs a name")
            return
        name = message["vaultSecretName"]
        if not (isinstance(name, str) and _SECRET_NAME.fullmatch(name)):
            self._fault(pointer, "must be 1 to 200 letters, digits, hyphens, underscores or dots")
        elif not self._has_token and name not in self._secrets:
            self._fault(pointer, "names a token; pass that token in the Authorization header")

    def _check_target(self, message: dict[str, Any], at: str) -> None:
        pointer = f"{at}/targetRestApi"
        if "targetRestApi" not in message:
            self._fault(pointer, "is missing: the absolute https URL to send to")
            return
        try:
            refusal = self._target_refusal(parse_url(message["targetRestApi"]))
        except ValueError as error:
            refusal = str(error)
        if refusal:
            self._fault(pointer, refusal)

    def _check_operation(self, message: dict[str, Any], at: str) -> None:
        operation = message.get("targetRestApiOperation")
        if operation not in OPERATIONS:
            self._fault(f"{at}/targetRestApiOperation", f"must be one of {', '.join(OPERATIONS)}")
        elif operation in _WITH_PAYLOAD and "targetRestApiPayload" not in message:
            self._fault(f"{at}/targetRestApiPayload", f"is missing: {operation} sends one")

    def _check_headers(self, headers: Any, pointer: str) -> None:
        try:
            pairs = header_pairs(headers)
        except ValueError as error:
            self._fault(pointer, str(error))
            return
        seen: set[str] = set()
        for place, name, value in pairs[:_MOST_HEADERS]:
            detail = header_fault(name, value) or (
                "stands twice; send it once" if name.lower() in seen else ""
            )
            if detail:
                self._fault(f"{pointer}/{place}", detail)
            seen.add(name.lower())
        length = sum(len(name) + len(value) for _, name, value in pairs)
        if len(pairs) > _MOST_HEADERS or length > _HEADERS_SIZE:
            self._fault(
                pointer, f"must be at most {_MOST_HEADERS} headers of {_HEADERS_SIZE} characters in all"
            )

    def _fault(self, pointer: str, detail: str) -> None:
        self.faults.append(Fault(f"{self._pointer}{pointer}", detail))
