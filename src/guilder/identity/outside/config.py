"""What signing in by other companies must be told, as plain values."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import urlsplit

from guilder.kernel.errors import check

Kind = Literal["oidc", "google", "facebook"]

GOOGLE_ISSUER: Final = "https://accounts.google.com"
FACEBOOK_ISSUER: Final = "https://www.facebook.com"
FACEBOOK_DIALOG: Final = "https://www.facebook.com/v24.0/dialog/oauth"
FACEBOOK_GRAPH: Final = "https://graph.facebook.com/v24.0"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """A company whose accounts people may sign in with.

    Args:
        name: In paths, and with every linked account: never changed.
        label: As people know it.
        kind: `facebook` speaks OAuth 2 and Graph; `google` is OpenID Connect with its own rule
            about addresses.
        issuer: Exactly as its tokens name it.
        client_id: What we are to it.
        client_secret: What shows that we are.
        scopes: What is asked for.
        dialog_url: Facebook's page.
        graph_url: Facebook's API.

    Raises:
        InvariantViolation: The name fits in no path, or secrets would go in clear to another
            machine.
    """

    name: str
    label: str
    kind: Kind = "oidc"
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    dialog_url: str = FACEBOOK_DIALOG
    graph_url: str = FACEBOOK_GRAPH
    connect_timeout_s: float = 5
    read_timeout_s: float = 5
    total_timeout_s: float = 10

    def __post_init__(self) -> None:
        """Refuse what cannot be safe."""
        check(_NAME.fullmatch(self.name), "a provider's name is a short word")
        for url in (self.issuer, self.dialog_url, self.graph_url):
            check(is_safe_url(url), "a provider is spoken to over TLS")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideConfig:
    """Which companies, and where browsers may be sent.

    Args:
        providers: None: nobody can sign in this way.
        return_urls: Where a browser may go in the end, compared as whole texts.
        callback_base: Our own address up to the provider's name.

    Raises:
        InvariantViolation: Two providers share a name, or what identifies their accounts.
    """

    providers: tuple[ProviderConfig, ...] = ()
    return_urls: frozenset[str] = frozenset()
    callback_base: str = "http://127.0.0.1:8000/v1/auth/outside"

    def __post_init__(self) -> None:
        """Refuse what would take one company's accounts for another's."""
        names = {each.name for each in self.providers}
        issuers = {each.issuer for each in self.providers}
        check(len(names) == len(self.providers), "each provider has a name of its own")
        check(len(issuers) == len(self.providers), "each provider has an issuer of its own")

    def callback_url(self, name: str) -> str:
        """Return where a provider sends the browser back: another one for each of them."""
        return f"{self.callback_base}/{name}/callback"


def is_safe_url(url: str) -> bool:
    """Tell whether nobody in between can read along: TLS, or this very machine."""
    parts = urlsplit(url)
    if parts.username is not None or parts.fragment or not parts.hostname:
        return False
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and _is_this_machine(parts.hostname)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
