"""The operator's settings: one typed, frozen object, read once from the function's configuration."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from shared.model import addresses, codes, parsing, targets
from shared.model.errors import Fault, Misconfigured
from shared.model.retry import RetryPolicy

RENEWALS_PER_LEASE = 4
_SHORTEST_LEASE = 5.0  # seconds: a database that hangs for one of them ends no lease
_LONGEST_CALL = 290.0  # seconds: of a function's 300, less what it takes to begin and to answer
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
    vault_ocid: str = _setting(parsing.any_text, "vault that holds the callers' tokens")
    vault_key_ocid: str = _setting(parsing.any_text, "key that encrypts them")
    vault_compartment_ocid: str = _setting(parsing.any_text, "compartment of these secrets")
    database_user: str = _setting(parsing.any_text, "database user that owns the collections", "")
    database_password_secret_ocid: str = _setting(parsing.any_text, "secret with that user's password", "")
    collection: str = _setting(parsing.collection_name, "SODA collection of the records", "datasync_records")
    secret_prefix: str = _setting(
        parsing.secret_prefix,
        "prepended to every `vaultSecretName`; no other secret is read or written on a caller's behalf",
        "datasync-",
    )
    allowed_targets: tuple[targets.AllowedTarget, ...] = _setting(
        targets.parse_allowed,
        "hosts that records may be sent to: `host`, `host:port`, `*.example.com`; `http://host` allows plain"
        " HTTP. The port defaults to the scheme's",
        "",
    )
    allowed_networks: tuple[addresses.Network, ...] = _setting(
        addresses.parse_networks,
        "networks that may be connected to although they are not public, such as `10.1.0.0/16`",
        "",
    )
    scope_prefix: str = _setting(
        parsing.any_text,
        "put before `operator` in what the gateway says of a caller's role, as in the scope of a JWT",
        "",
    )
    connector_hub_secrets: frozenset[str] = _setting(
        parsing.secret_names,
        "`vaultSecretName`s that Connector Hub messages may use, since they cannot pass a token",
        "",
    )
    retry_codes: frozenset[str] = _setting(
        codes.status_codes, "status codes worth retrying", "408,425,429,500,502,503,504,unexpectedError"
    )
    retry_limit: int = _setting(parsing.count, "attempts before a record is dead", "20")
    retry_backoff: tuple[float, float] = _setting(
        parsing.duration_range,
        "bounds of the delay between attempts: exponential, with full jitter; a target's `Retry-After` is"
        " honoured up to the upper bound",
        "30s..6h",
    )
    error_mapping: dict[str, str] = _setting(
        codes.error_mapping_text,
        'error stream by status code, such as `[{"responsecode": "503", "stream": "team-a"}]`; codes without'
        " an entry go to `recoverable` if they are retryable, to `unrecoverable` otherwise",
        "",
    )
    messages_per_call: int = _setting(parsing.count, "records handled per call", "500")
    messages_per_call_max: int = _setting(parsing.count, "the most a call may ask for", "10000")
    concurrency: int = _setting(
        parsing.count_up_to(256), "requests in flight per invocation, at most 256", "128"
    )
    concurrency_per_target: int = _setting(
        parsing.count, "requests in flight per invocation and target", "32"
    )
    target_connect_timeout: float = _setting(parsing.duration, "time limit for connecting to a target", "5s")
    target_read_timeout: float = _setting(
        parsing.duration, "time limit from sending a request to the end of its response", "30s"
    )
    answer_limit: int = _setting(
        parsing.number_up_to(4000),
        "characters kept of what a target answers to a failed attempt, at most 4000; `0`: none",
        "2000",
    )
    lease: float = _setting(
        parsing.duration,
        "how long a crashed worker keeps its partitions before another takes them over",
        "60s",
    )
    fan_out: int = _setting(parsing.count, "most process-data invocations that share one backlog", "1")
    notification_topic_ocid: str = _setting(
        parsing.any_text,
        "Notifications topic for new failures; unset: no notifications",
        "",
    )
    notification_interval: float = _setting(
        parsing.duration,
        "minimum time between two notifications, at least `10s`; failures in between are added up",
        "5m",
    )
    metrics_namespace: str = _setting(
        parsing.namespace, "namespace of the metrics in Monitoring; unset: no metrics", ""
    )
    archive_bucket: str = _setting(
        parsing.any_text, "bucket for finished records; unset: nothing is archived or deleted", ""
    )
    archive_after: float = _setting(
        parsing.duration,
        "time since its last attempt after which a finished or dead record is archived",
        "30d",
    )
    expire_after: float = _setting(
        parsing.duration,
        "time since it was stored after which an undelivered record is dead; `0s`: never",
        "30d",
    )
    secrets_unused_after: float = _setting(
        parsing.duration,
        "time since its last use after which a token's deletion is scheduled; `0s`: never",
        "90d",
    )
    signing_secret_ocid: str = _setting(
        parsing.any_text,
        "secret with the keys that sign deliveries; unset: deliveries are not signed",
        "",
    )
    log_level: str = _setting(
        parsing.log_level,
        "minimum level of log lines: `debug` (includes successes), `info`, `warning` or `error`",
        "info",
    )
    show_payloads: bool = _setting(
        parsing.flag, "`true` shows operators the payloads and headers of failed records", "false"
    )
    body_limit: int = _setting(parsing.size, "largest request body, at most `6MiB`", "1MiB")
    oci_service_endpoint: str = _setting(
        parsing.any_text, "base URL of the OCI services, if not the region's own", ""
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
        if self.lease < _SHORTEST_LEASE:
            faults.append(Fault("LEASE", f"must be at least {_SHORTEST_LEASE:g}s"))
        if self.longest_delivery > _LONGEST_CALL:
            faults.append(
                Fault(
                    "TARGET_READ_TIMEOUT",
                    f"must leave a delivery at most {_LONGEST_CALL:g}s, connecting included",
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
