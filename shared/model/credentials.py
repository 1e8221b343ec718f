"""What a secret holds: a token to send as it is, or OAuth 2.0 client credentials to get access tokens with.

Client credentials are put into Vault by an operator, as a JSON object: `token_url`, `client_id`,
`client_secret`, and `scope` if the authorization server wants one.
"""

import base64
from dataclasses import dataclass
from urllib.parse import quote_plus

from shared.model import json_codec
from shared.model.errors import CallerError

_MEMBERS = ("token_url", "client_id", "client_secret", "scope")
_REQUIRED = _MEMBERS[:3]


@dataclass(frozen=True)
class ClientCredentials:
    """Where, and as whom, to ask for access tokens."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""

    @property
    def authorization(self) -> str:
        """The client's own `Authorization`: HTTP Basic, both parts form-encoded [RFC 6749, section 2.3.1]."""
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


def describes_client(content: str) -> bool:
    """Tell whether a secret's content is meant as client credentials, and not as a token."""
    return content.lstrip().startswith("{")


def parse(content: str) -> ClientCredentials:
    """Read client credentials; ValueError says what is wrong with them, without quoting them."""
    try:
        members = json_codec.parse(content.encode())
    except CallerError:
        raise ValueError("it begins with { and is not JSON") from None
    if not all(name in _MEMBERS and isinstance(value, str) for name, value in members.items()):
        raise ValueError(f"it may have {', '.join(_MEMBERS)}, as strings, and nothing else")
    missing = [name for name in _REQUIRED if not members.get(name)]
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}")
    return ClientCredentials(**members)


def proof(content: str) -> str | None:
    """Return the `Authorization` that proves the right to use a secret; None if nothing does."""
    if not describes_client(content):
        return content
    try:
        return parse(content).authorization
    except ValueError:
        return None
