"""Who is asking: the address of the client, seen through the proxies that are trusted."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.requests import Request
from starlette.types import Scope

Network = IPv4Network | IPv6Network
_UNKNOWN = "unknown"
_IPV6_PREFIX_BITS = 64
"""One customer has at least a /64, so that is one client."""


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """Return the client's address, or its /64 for IPv6; `unknown` without one.

    `X-Forwarded-For` is read from its right end for as long as the address before was a trusted
    proxy's. What an untrusted client writes there is never believed.
    """
    client = scope.get("client")
    peer = client[0] if client else _UNKNOWN
    if not trusted:
        return peer if ":" not in peer else _network_of(peer)
    hops = [peer]
    if _is_trusted(peer, trusted):
        hops += reversed(_forwarded(scope))
    for hop in hops:
        if not _is_trusted(hop, trusted):
            return _network_of(hop)
    return _network_of(hops[-1])


def address_of(request: Request) -> str | None:
    """Return the client's address as `client_address` does, or None if there is none to go by.

    `app.state.trusted_proxies` says whom to believe; nobody, without it.
    """
    trusted: Sequence[Network] = getattr(request.app.state, "trusted_proxies", ())
    address = client_address(request.scope, trusted)
    return None if address == _UNKNOWN else address


def _forwarded(scope: Scope) -> list[str]:
    """Return the addresses of all `X-Forwarded-For` headers, in their order."""
    lines = [
        value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"
    ]
    return [part.strip() for part in ",".join(lines).split(",") if part.strip()]


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    """Tell whether an address is a trusted proxy's."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in trusted)


def _network_of(text: str) -> str:
    """Return an address in its one canonical form; IPv6 by its /64, mapped IPv4 as IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return _UNKNOWN
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), _IPV6_PREFIX_BITS), strict=False))
    return str(address)
