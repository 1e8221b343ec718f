"""The operator's settings: one typed, frozen object, read once from the function's configuration."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from shared.model import parsing, targets
from shared.model.errors import Fault, Misconfigured
from shared.model.retry import RetryPolicy
from shared.model.rules import Rule
from shared.model.rules import parse as parse_rules

RENEWALS_PER_LEASE = 4
LEAST_NOTIFICATION_INTERVAL = 10.0  # seconds: a topic sends ten e-mails a minute [OCI Notifications, limits]
_INNOCENT = "sqlite:"  # stands for a required setting that is missing, and contradicts no other


def _setting(parse: Callable[[str], Any], meaning: str, default: str | None = None) -> Any:
    metadata = {"parse": parse, "meaning": meaning, "default": default}
    if default is None:
        return field(metadata=metadata)
    return field(default_factory=lambda: parse(default), metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Every setting; a field's name in capitals is the setting's name."""

    database_dsn: str = _setting(parsing.any_text, "TLS connect string of the Autonomous Database")
    vault_ocid: str = _setting(parsing.any_text, "vault in which callers' tokens are kept")
    vault_key_ocid: str = _setting(parsing.any_text, "key that encrypts them")
    vault_compartment_ocid: str = _setting(parsing.any_text, "compartment of these secrets")
    database_user: str = _setting(parsing.any_text, "schema user", "")
    database_password_secret_ocid: str = _setting(parsing.any_text, "secret of its password", "")
    collection: str = _setting(parsing.collection_name, "SODA collection of the records", "datasync_records")
    secret_prefix: str = _setting(
        parsing.secret_prefix,
        "put before every `vaultSecretName`; no other secret is read or written for a caller",
        "datasync-",
    )
    allowed_targets: tuple[targets.AllowedTarget, ...] = _setting(
        targets.parse_allowed,
        "hosts, `host:port`, `*.example.com`; `http://host` allows plain HTTP there. Without a port: the"
        " scheme's own. Nothing else is a target",
        "",
    )
    allowed_networks: tuple[targets.Network, ...] = _setting(
        targets.parse_networks, "networks that are not public, and may be connected to all the same", ""
    )
    connector_hub_secrets: frozenset[str] = _setting(
        parsing.secret_names,
        "`vaultSecretName`s that messages from Connector Hub may name, for which nobody passes a token",
        "",
    )
    retry_codes: frozenset[str] = _setting(
        parsing.status_codes, "codes worth retrying", "408,425,429,500,502,503,504,unexpectedError"
    )
    retry_limit: int = _setting(parsing.count, "attempts before a record is dead", "8")
    retry_backoff: tuple[float, float] = _setting(
        parsing.duration_range,
        "exponential, full jitter, between these bounds; `Retry-After` is obeyed up to the upper",
        "30s..6h",
    )
    error_mapping: dict[str, str] = _setting(
        parsing.error_mapping_text,
        'code to error stream, as `[{"responsecode": "503", "stream": "team-a"}]`; else retryable codes go'
        " to `recoverable`, others to `unrecoverable`",
        "",
    )
    messages_per_call: int = _setting(parsing.count, "records handled in one call", "500")
    messages_per_call_max: int = _setting(parsing.count, "the most that a call may ask for", "10000")
    concurrency: int = _setting(parsing.count, "requests in flight in one invocation", "128")
    concurrency_per_target: int = _setting(parsing.count, "of these, to one target", "32")
    target_connect_timeout: float = _setting(parsing.duration, "to connect to a target", "5s")
    target_read_timeout: float = _setting(
        parsing.duration, "from the request to the end of its answer", "30s"
    )
    lease: float = _setting(
        parsing.duration, "how long a crashed worker's partitions rest before another takes them over", "60s"
    )
    fan_out: int = _setting(
        parsing.count, "most process-data invocations that work on one backlog at once", "1"
    )
    notification_topic_ocid: str = _setting(
        parsing.any_text,
        "topic of Notifications that is told of new failures; none is told where it is absent",
        "",
    )
    notification_interval: float = _setting(
        parsing.duration,
        "at least so long between two messages, and `10s`; what failed meanwhile is summed up in the next",
        "5m",
    )
    metrics_namespace: str = _setting(
        parsing.namespace, "namespace of the metrics in Monitoring; none are posted where it is absent", ""
    )
    archive_bucket: str = _setting(
        parsing.any_text, "bucket for finished records; nothing is archived or deleted where it is absent", ""
    )
    archive_after: float = _setting(
        parsing.duration,
        "how long after its last attempt a finished or dead record goes into the archive",
        "30d",
    )
    expire_after: float = _setting(
        parsing.duration, "how long after it was stored an undelivered record is dead; `0s`: never", "30d"
    )
    secrets_unused_after: float = _setting(
        parsing.duration,
        "how long after its last use the deletion of a token from Vault is scheduled; `0s`: never",
        "90d",
    )
    rules: tuple[Rule, ...] = _setting(
        parse_rules, "which records are not sent, and what of the others is: a JSON list, see Rules", ""
    )
    signing_secret_ocid: str = _setting(
        parsing.any_text,
        "secret with the keys that sign each delivery; none is signed where it is absent",
        "",
    )
    log_level: str = _setting(
        parsing.log_level,
        "least level of a log line: `debug` (successes too), `info`, `warning` or `error`",
        "info",
    )
    show_payloads: bool = _setting(
        parsing.flag, "`true` shows payloads and headers of failed records to operators", "false"
    )
    body_limit: int = _setting(parsing.size, "largest body of a request, at most 6MiB", "1MiB")
    oci_service_endpoint: str = _setting(
        parsing.any_text, "base URL of the OCI services, where it is not the region's own", ""
    )

    @classmethod
    def from_config(cls, config: Mapping[str, str]) -> "Settings":
        """Read the settings from a function's configuration; Misconfigured names every fault at once."""
        read: dict[str, Any] = {}
        faults: list[Fault] = []
        for setting in fields(cls):
            text = config.get(setting.name.upper(), "").strip()
            try:
                read[setting.name] = _value(setting, text)
            except ValueError as error:
                faults.append(Fault(setting.name.upper(), str(error)))
                default = setting.metadata["default"]
                read[setting.name] = setting.metadata["parse"](_INNOCENT if default is None else default)
        settings = cls(**read)
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

    def retry_policy(self, streams: Mapping[str, str] | None = None) -> RetryPolicy:
        """Return the rules for failures, with another error mapping if one is given."""
        mapping = self.error_mapping if streams is None else streams
        return RetryPolicy(self.retry_codes, self.retry_limit, self.retry_backoff, mapping)

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
        if self.notification_topic_ocid and self.notification_interval < LEAST_NOTIFICATION_INTERVAL:
            faults.append(
                Fault("NOTIFICATION_INTERVAL", f"must be at least {LEAST_NOTIFICATION_INTERVAL:g}s")
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
