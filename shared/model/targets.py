"""Which targets a record may be sent to: hosts that the operator lists, at public or listed addresses."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from shared.model.addresses import Address, Network, is_allowed_address

_DEFAULT_PORTS = {"https": 443, "http": 80}
_URL_CHARACTERS = re.compile(r"[!#-;=?-\[\]_a-z~]+")  # RFC 3986, section 2: no space, quote, \ ^ ` { | }
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")  # RFC 1123, section 2.1; underscores occur
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LITERAL_AUTHORITY = re.compile(r"\[[0-9A-Fa-f:.%]+\](:\d*)?")  # an IPv6 address in its brackets, and a port
_LONGEST_URL = 2048


@dataclass(frozen=True)
class TargetUrl:
    """A target's URL, parsed once: what was checked is what is sent."""

    text: str
    """With scheme and host in lower case, and without the scheme's own port (RFC 3986, section 6.2)."""
    scheme: str
    host: str
    port: int
    path: str
    """With the query: what a request asks for."""

    @property
    def authority(self) -> str:
        """Host and port as a request names them: without the scheme's own port."""
        return self.host if self.port == _DEFAULT_PORTS[self.scheme] else self.origin

    @property
    def origin(self) -> str:
        """`host:port`, by which deliveries to one target are counted and limited."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class AllowedTarget:
    """One entry of ALLOWED_TARGETS: a host, or a suffix that begins with a dot, with one port and scheme."""

    scheme: str
    host: str
    port: int

    def covers(self, url: TargetUrl) -> bool:
        """Tell whether this entry allows `url`.

        >>> parse_allowed("*.example.com")[0].covers(parse_url("https://erp.example.com/orders"))
        True
        """
        if (self.scheme, self.port) != (url.scheme, url.port):
            return False
        return url.host.endswith(self.host) if self.host.startswith(".") else url.host == self.host


def parse_url(text: object) -> TargetUrl:
    """Parse a target's URL, strictly by RFC 3986; ValueError says which rule it breaks.

    >>> parse_url("HTTPS://ERP.example.com:443/Orders").text
    'https://erp.example.com/Orders'
    """
    if not isinstance(text, str) or not text:
        raise ValueError("must be a string: the absolute https URL to send to")
    return _parsed(text)


@functools.lru_cache(maxsize=1024)  # the records of a source share few URLs, and each is checked twice
def _parsed(text: str) -> TargetUrl:
    if len(text) > _LONGEST_URL:
        raise ValueError(f"must be at most {_LONGEST_URL} characters")
    if not _URL_CHARACTERS.fullmatch(text):
        raise ValueError(
            "has a character that a URL can't have; percent-encode it, and write a host in Punycode"
        )
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ValueError("must be an absolute https URL")
    if "#" in rest:
        raise ValueError("must not have a fragment (#...)")
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("must not name a user or password; pass the token in the Authorization header")
    host, port = _host_and_port(authority, _DEFAULT_PORTS[scheme])
    normalised = host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"
    path = rest[len(authority) :]
    sent_path = path if path.startswith("/") else f"/{path}"
    return TargetUrl(f"{scheme}://{normalised}{path}", scheme, host, port, sent_path)


def normalised_prefix(text: str) -> str:
    """Return the beginning of a URL as the beginning of normalised ones, to compare them with.

    >>> normalised_prefix("HTTP://LOCALHOST:80/pay")
    'http://localhost/pay'
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text.lower()
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    host = authority.lower().removesuffix(f":{_DEFAULT_PORTS.get(scheme.lower())}")
    return f"{scheme.lower()}://{host}{rest[len(authority) :]}"


def origin_of(prefix: str) -> str | None:
    """Return the origin that all URLs with this normalised prefix share; None if it ends within the host.

    >>> origin_of("https://erp.example.com/ord"), origin_of("https://erp.exam")
    ('erp.example.com:443', None)
    """
    scheme, separator, rest = prefix.partition("://")
    if not separator or not re.search("[/?]", rest):
        return None
    try:
        return parse_url(f"{scheme}://{re.split('[/?]', rest, maxsplit=1)[0]}").origin
    except ValueError:
        return None


def bases_of(origin: str) -> tuple[str, ...]:
    """Return how normalised URLs of a host begin: its port tells the scheme, or it may be either.

    >>> bases_of("erp.example.com:443"), bases_of("localhost:9000")
    (('https://erp.example.com/',), ('https://localhost:9000/', 'http://localhost:9000/'))
    """
    host, _, port = origin.rpartition(":")
    usual = tuple(f"{scheme}://{host}/" for scheme, its in _DEFAULT_PORTS.items() if str(its) == port)
    return usual or tuple(f"{scheme}://{origin}/" for scheme in _DEFAULT_PORTS)


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    try:
        if "[" in authority and not _LITERAL_AUTHORITY.fullmatch(authority):
            raise ValueError  # noqa: TRY301 - the same fault as those that urlsplit finds
        parts = urlsplit(f"//{authority}")
        port = parts.port
    except ValueError:
        raise ValueError("has a host or port that can't be read") from None
    if authority.endswith(":") or port == 0:
        raise ValueError("has an empty port; omit the colon, or give a number from 1 to 65535")
    return _host(parts.hostname or ""), port or default


def _host(host: str) -> str:
    if not host:
        raise ValueError("has no host")
    if ":" in host:
        return f"[{_literal(host)}]"
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return str(_literal(host))
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            "has a host that is not a DNS name (no trailing dot, no percent sign; IDNs in Punycode)"
        )
    return host


def _literal(host: str) -> Address:
    if "%" in host:
        raise ValueError("must not have a zone id in its address")
    try:
        return ip_address(host)
    except ValueError:
        raise ValueError(
            "has a host that is not an address in its usual form (four decimal numbers)"
        ) from None


def parse_allowed(text: str) -> tuple[AllowedTarget, ...]:
    """Parse ALLOWED_TARGETS: `erp.example.com, other.example.com:8443, *.example.org, http://10.0.0.7:8080`."""
    return tuple(_allowed(entry.strip()) for entry in text.split(",") if entry.strip())


def _allowed(entry: str) -> AllowedTarget:
    scheme, separator, authority = entry.lower().rpartition("://")
    scheme = scheme if separator else "https"
    wildcard = authority.startswith("*.")
    if scheme not in _DEFAULT_PORTS or re.search("[/?#@]", authority):
        shown = "an entry" if "@" in entry else repr(entry)  # what precedes an @ may be a password
        raise ValueError(f"{shown} is not a host, host:port, *.domain or http://host entry")
    try:
        host, port = _host_and_port(authority[2:] if wildcard else authority, _DEFAULT_PORTS[scheme])
        if wildcard and (host.startswith("[") or _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2])):
            raise ValueError("has a wildcard before an address")  # noqa: TRY301 - named with its entry below
    except ValueError as error:
        raise ValueError(f"{entry!r} {error}") from None
    return AllowedTarget(scheme, f".{host}" if wildcard else host, port)


def refusal(url: TargetUrl, allowed: Sequence[AllowedTarget], networks: Sequence[Network]) -> str | None:
    """Return why `url` may not be a target, or None; the addresses of a name are checked when sending."""
    if not any(entry.covers(url) for entry in allowed):
        return f"{url.scheme}://{url.origin} is not among the allowed targets; the operator lists them"
    try:
        address = ip_address(url.host.strip("[]"))
    except ValueError:
        return None
    return None if is_allowed_address(address, networks) else f"{url.host} is not a public address"
