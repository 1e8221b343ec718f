"""Which addresses may be connected to: public ones, and those in networks that the operator lists."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Networks that `is_global` calls public, or did in earlier Python releases, and that are not for us.
# [IANA IPv4 and IPv6 Special-Purpose Address Registries]
_REFUSED = tuple(
    ip_network(network)
    for network in (
        "100.64.0.0/10",  # shared address space (RFC 6598)
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890); 192.0.0.192 serves metadata on some clouds
        "64:ff9b:1::/48",  # local translation to IPv4, whose place in it only the network knows (RFC 8215)
        "192.88.99.0/24",  # 6to4 relay anycast, deprecated (RFC 7526)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "2001::/23",  # IETF protocol assignments (RFC 2928)
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing identifiers (RFC 9602)
        "fec0::/10",  # site-local, deprecated (RFC 3879)
    )
)
_METADATA = (ip_network("169.254.169.254"), ip_network("fd00:c1::a9fe:a9fe"))  # of OCI's instances
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = ip_network("::/96")  # RFC 4291, section 2.5.5.1


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse ALLOWED_NETWORKS: `10.1.0.0/16, fd00:12::/48`."""
    return tuple(ip_network(entry.strip()) for entry in text.split(",") if entry.strip())


def is_allowed_address(address: Address, networks: Sequence[Network]) -> bool:
    """Tell whether a connection may go to `address`: it is public, or in a network the operator listed.

    An IPv6 address that carries an IPv4 address is judged by the one that it carries. The instance metadata
    addresses are never allowed, whatever is listed.
    """
    carried = _carried(address)
    if carried is not None:
        return is_allowed_address(carried, networks)
    if any(address in network for network in _METADATA):
        return False
    if any(address in network for network in networks):
        return True
    refused = any(address in network for network in _REFUSED)
    return address.is_global and not (address.is_multicast or address.is_reserved or refused)


def _carried(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    embeds = address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)
    return IPv4Address(int(address) & 0xFFFFFFFF) if embeds else None
