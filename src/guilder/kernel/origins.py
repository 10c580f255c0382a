"""Web origins: scheme, host and port of a page, written exactly as browsers write them."""

from typing import Final
from urllib.parse import urlsplit

LOCAL: Final = "localhost"
"""The one name that browsers trust without TLS."""
APP_PREFIX: Final = "android:apk-key-hash:"
"""How the origin of an Android application begins."""
_PORTS: Final = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """Return the origin that browsers send from a page at `url`.

    >>> origin_of("https://Pay.example.com:443/wallet")
    'https://pay.example.com'

    Raises:
        ValueError: It is no address of a page.
    """
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    if parts.scheme not in _PORTS or not host:
        raise ValueError("must be an address such as https://pay.example.com")
    name = f"[{host}]" if ":" in host else host
    is_usual = port is None or port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{name}" if is_usual else f"{parts.scheme}://{name}:{port}"


def may_ask_for(domain: str, origin: str) -> bool:
    """Tell whether browsers let a page of `origin` ask for what belongs to `domain`.

    Source:
        WebAuthn Level 3, 5.1.3: the domain or one under it, on a connection that can be trusted.

    >>> may_ask_for("example.com", "https://pay.example.com:8443")
    True
    >>> may_ask_for("example.com", "https://badexample.com")
    False
    >>> may_ask_for("example.com", "http://example.com")
    False
    """
    if origin.startswith(APP_PREFIX):
        return len(origin) > len(APP_PREFIX)
    try:
        is_written_so = origin_of(origin) == origin
    except ValueError:
        return False
    parts = urlsplit(origin)
    host = parts.hostname or ""
    is_safe = parts.scheme == "https" or _is_under(LOCAL, host)
    # An address is no domain, and the end of one is not above it.
    return is_written_so and is_safe and _is_under(domain, host) and not _is_address(domain)


def _is_under(domain: str, host: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _is_address(domain: str) -> bool:
    return ":" in domain or domain.rpartition(".")[2].isdecimal()
