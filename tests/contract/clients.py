"""What tests of the HTTP client have in common."""

from typing import Any

from shared.model.answer import Answer, HttpRequest, Terms
from shared.settings import Settings

HERE = "127.0.0.1"
SETTINGS = Settings.from_config(
    {
        "DATABASE_DSN": "sqlite:x",
        "VAULT_OCID": "v",
        "VAULT_KEY_OCID": "k",
        "VAULT_COMPARTMENT_OCID": "c",
        "ALLOWED_NETWORKS": "127.0.0.0/8, ::1",
        "TARGET_CONNECT_TIMEOUT": "20s",
        "TARGET_READ_TIMEOUT": "20s",
        "LEASE": "100s",
    }
)
"""With time-outs that a busy machine doesn't reach."""


def posted(url: str, **members: Any) -> HttpRequest:
    """Return a request to `url`."""
    return HttpRequest("POST", url, [], b"{}")._replace(**members)


def terms(seconds: float = 60.0, settings: Settings = SETTINGS) -> Terms:
    """Return what a request within so many seconds is made by."""
    return Terms(seconds, settings.target_connect_timeout, settings.target_read_timeout)


def failed(answer: Answer) -> tuple[str, str | None, str]:
    """Return what is said of a failure without an answer: its reason, its cause, whether it was sent."""
    assert answer.code == "unexpectedError", answer
    return answer.reason, answer.cause, answer.sent
