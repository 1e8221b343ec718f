"""The operator's settings: one typed, frozen object, read once from the function's configuration."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from decimal import Decimal
from typing import Any

from shared import allowlist
from shared.errors import Fault, Misconfigured
from shared.rules import Rule
from shared.rules import parse as parse_rules

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 24 * 3600.0}
_LONGEST = 366 * 24 * 3600.0
_SIZES = {"KiB": 1024, "MiB": 1024 * 1024}
_SERVICE_LIMIT = 6 * 1024 * 1024  # of a request to a function [OCI Functions, service limits]
LOG_LEVELS = ("debug", "info", "warning", "error")
OTHER_FAILURES = "unexpectedError"  # the code of a failure without an HTTP answer
RENEWALS_PER_LEASE = 4
_INNOCENT = "sqlite:"  # stands for a required setting that is missing, and contradicts no other


def duration(text: str) -> float:
    """Seconds in `500ms`, `30s`, `5m`, `6h` or `7d`.

    >>> duration("500ms")
    0.5
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", text)
    if match is None or float(match[1]) * _UNITS[match[2]] > _LONGEST:
        raise ValueError("must be a duration such as 500ms, 30s, 5m, 6h or 7d, and at most a year")
    return float(match[1]) * _UNITS[match[2]]


def duration_range(text: str) -> tuple[float, float]:
    """Seconds in `30s..6h`: a lower and an upper bound."""
    low, separator, high = text.partition("..")
    if not separator:
        raise ValueError("must be two durations with two dots between them, such as 30s..6h")
    bounds = duration(low.strip()), duration(high.strip())
    if bounds[0] > bounds[1]:
        raise ValueError("must begin with the shorter duration")
    return bounds


def count(text: str) -> int:
    """Read a whole number from 1."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError("must be a whole number from 1")
    return int(text)


def size(text: str) -> int:
    """Bytes in `512KiB` or `1MiB`."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})(KiB|MiB)", text)
    if match is None or int(match[1]) * _SIZES[match[2]] > _SERVICE_LIMIT:
        raise ValueError("must be a size such as 512KiB or 1MiB, and at most 6MiB")
    return int(match[1]) * _SIZES[match[2]]


def status_codes(value: object) -> frozenset[str]:
    """Codes worth retrying, from `408,503,unexpectedError` or a list of strings and numbers."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError("must be a list, or a comma-separated string, of status codes")  # noqa: TRY004 - a caller's or operator's fault, not a programmer's
    return frozenset(_status_code(item) for item in items)


def _status_code(item: object) -> str:
    text = str(int(item) if isinstance(item, Decimal) and item == int(item) else item).strip()
    if isinstance(item, bool) or not (text == OTHER_FAILURES or re.fullmatch(r"[1-5][0-9][0-9]", text)):
        raise ValueError(f"must hold HTTP status codes or {OTHER_FAILURES}, not {text[:40]!r}")
    return text


def error_mapping(value: object) -> dict[str, str]:
    """Code to error stream, from `[{"responsecode": "503", "stream": "recoverable"}]`."""
    if not isinstance(value, list):
        raise ValueError('must be a list of {"responsecode": ..., "stream": ...}')  # noqa: TRY004 - as above
    mapping = {}
    for entry in value:
        stream = entry.get("stream") if isinstance(entry, dict) else None
        if not (isinstance(stream, str) and 0 < len(stream) <= 256):
            raise ValueError('must name a "responsecode" and a "stream" (1 to 256 characters) in each entry')
        mapping[_status_code(entry.get("responsecode"))] = stream
    return mapping


def _error_mapping_text(text: str) -> dict[str, str]:
    try:
        return error_mapping(json.loads(text)) if text else {}
    except RecursionError:
        raise ValueError("nests too deep") from None


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _log_level(text: str) -> str:
    if text not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text


def _namespace(text: str) -> str:
    """Read a namespace of custom metrics [Monitoring API, MetricDataDetails]."""
    if text and not re.fullmatch(r"(?!oci_|oracle_)[A-Za-z][A-Za-z0-9_]{0,255}", text):
        raise ValueError(
            "must begin with a letter, have only letters, digits and underscores, and not begin with oci_ or"
            " oracle_"
        )
    return text


def _text(text: str) -> str:
    return text


def _collection_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", text):
        raise ValueError("must be a name of letters, digits and underscores, at most 100")
    return text


def _secret_prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,50}", text):
        raise ValueError("must be 1 to 50 letters, digits, hyphens, underscores or dots")
    return text


def _secret_names(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",")) if text else frozenset()
    if not all(re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", name) for name in names):
        raise ValueError(
            "must be names of letters, digits, hyphens, underscores or dots, with commas between"
        )
    return names


def _setting(parse: Callable[[str], Any], meaning: str, default: str | None = None) -> Any:
    metadata = {"parse": parse, "meaning": meaning, "default": default}
    if default is None:
        return field(metadata=metadata)
    return field(default_factory=lambda: parse(default), metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Every setting; a field's name in capitals is the setting's name."""

    database_dsn: str = _setting(_text, "TLS connect string of the Autonomous Database")
    vault_ocid: str = _setting(_text, "vault in which callers' tokens are kept")
    vault_key_ocid: str = _setting(_text, "key that encrypts them")
    vault_compartment_ocid: str = _setting(_text, "compartment of these secrets")
    database_user: str = _setting(_text, "schema user", "")
    database_password_secret_ocid: str = _setting(_text, "secret of its password", "")
    collection: str = _setting(_collection_name, "SODA collection of the records", "datasync_collection")
    secret_prefix: str = _setting(
        _secret_prefix,
        "put before every `vaultSecretName`; no other secret is read or written for a caller",
        "datasync-",
    )
    allowed_targets: tuple[allowlist.AllowedTarget, ...] = _setting(
        allowlist.parse_allowed,
        "hosts, `host:port`, `*.example.com`; `http://host` allows plain HTTP there. Without a port: the"
        " scheme's own. Nothing else is a target",
        "",
    )
    allowed_networks: tuple[allowlist.Network, ...] = _setting(
        allowlist.parse_networks, "networks that are not public, and may be connected to all the same", ""
    )
    connector_hub_secrets: frozenset[str] = _setting(
        _secret_names,
        "`vaultSecretName`s that messages from Connector Hub may name, for which nobody passes a token",
        "",
    )
    retry_codes: frozenset[str] = _setting(
        status_codes, "codes worth retrying", "408,425,429,500,502,503,504,unexpectedError"
    )
    retry_limit: int = _setting(count, "attempts before a record is dead", "8")
    retry_backoff: tuple[float, float] = _setting(
        duration_range,
        "exponential, full jitter, between these bounds; `Retry-After` is obeyed up to the upper",
        "30s..6h",
    )
    error_mapping: dict[str, str] = _setting(
        _error_mapping_text,
        'code to error stream, as `[{"responsecode": "503", "stream": "team-a"}]`; else retryable codes go'
        " to `recoverable`, others to `unrecoverable`",
        "",
    )
    messages_per_call: int = _setting(count, "records handled in one call", "500")
    messages_per_call_max: int = _setting(count, "the most that a call may ask for", "10000")
    concurrency: int = _setting(count, "requests in flight in one invocation", "128")
    concurrency_per_target: int = _setting(count, "of these, to one target", "32")
    target_connect_timeout: float = _setting(duration, "to connect to a target", "5s")
    target_read_timeout: float = _setting(duration, "from the request to the end of its answer", "30s")
    lease: float = _setting(
        duration, "how long a crashed worker's partitions rest before another takes them over", "60s"
    )
    fan_out: int = _setting(count, "most process-data invocations that work on one backlog at once", "1")
    notification_topic_ocid: str = _setting(
        _text, "topic of Notifications that is told of new failures; none is told where it is absent", ""
    )
    notification_interval: float = _setting(
        duration,
        "at least so long between two messages; what failed meanwhile is summed up in the next",
        "5m",
    )
    metrics_namespace: str = _setting(
        _namespace, "namespace of the metrics in Monitoring; none are posted where it is absent", ""
    )
    archive_bucket: str = _setting(
        _text, "bucket for finished records; nothing is archived or deleted where it is absent", ""
    )
    archive_after: float = _setting(
        duration, "how long after its last attempt a finished or dead record goes into the archive", "30d"
    )
    expire_after: float = _setting(
        duration, "how long after it was stored an undelivered record is dead; `0s`: never", "30d"
    )
    secrets_unused_after: float = _setting(
        duration, "how long after its last use a token is deleted from Vault; `0s`: never", "30d"
    )
    rules: tuple[Rule, ...] = _setting(
        parse_rules, "which records are not sent, and what of the others is: a JSON list, see Rules", ""
    )
    signing_secret_ocid: str = _setting(
        _text, "secret with the keys that sign each delivery; none is signed where it is absent", ""
    )
    log_level: str = _setting(
        _log_level, "least level of a log line: `debug` (successes too), `info`, `warning` or `error`", "info"
    )
    show_payloads: bool = _setting(
        _flag, "`true` shows payloads and headers of failed records to operators", "false"
    )
    body_limit: int = _setting(size, "largest body of a request, at most 6MiB", "1MiB")
    oci_service_endpoint: str = _setting(
        _text, "base URL of the OCI services, where it is not the region's own", ""
    )

    @classmethod
    def from_config(cls, config: Mapping[str, str]) -> "Settings":
        """Read the settings from a function's configuration; Misconfigured names every fault at once."""
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        for setting in fields(cls):
            text = config.get(setting.name.upper(), "").strip()
            try:
                values[setting.name] = _value(setting, text)
            except ValueError as error:
                faults.append(Fault(setting.name.upper(), str(error)))
                default = setting.metadata["default"]
                values[setting.name] = setting.metadata["parse"](_INNOCENT if default is None else default)
        settings = cls(**values)
        faults += [
            fault
            for fault in settings._contradictions()
            if fault.pointer not in {one.pointer for one in faults}
        ]
        if not faults:
            return settings
        named = "; ".join(f"{fault.pointer} {fault.detail}" for fault in faults)
        raise Misconfigured(f"Settings to correct: {named}.", faults)

    @property
    def longest_delivery(self) -> float:
        """Seconds that one delivery can take at the most."""
        return self.target_connect_timeout + self.target_read_timeout

    @property
    def renewal_interval(self) -> float:
        """Seconds between two renewals of a lease."""
        return self.lease / RENEWALS_PER_LEASE

    def _contradictions(self) -> list[Fault]:
        faults = []
        if self.lease <= self.longest_delivery + self.renewal_interval:
            least = self.longest_delivery * RENEWALS_PER_LEASE / (RENEWALS_PER_LEASE - 1)
            faults.append(
                Fault(
                    "LEASE", f"must be over {least:g}s, since a delivery may take {self.longest_delivery:g}s"
                )
            )
        if self.messages_per_call > self.messages_per_call_max:
            faults.append(Fault("MESSAGES_PER_CALL", "must be at most MESSAGES_PER_CALL_MAX"))
        if self.archive_bucket and self.secrets_unused_after > self.archive_after:
            faults.append(
                Fault("SECRETS_UNUSED_AFTER", "must be at most ARCHIVE_AFTER: what is archived is not seen")
            )
        if not self.database_dsn.startswith("sqlite:"):
            faults += [
                Fault(name.upper(), "is missing")
                for name in ("database_user", "database_password_secret_ocid")
                if not getattr(self, name)
            ]
        return faults


def _value(setting: "Field[Any]", text: str) -> Any:
    if text:
        return setting.metadata["parse"](text)
    if setting.default_factory is MISSING:
        raise ValueError("is missing")
    return setting.default_factory()
