"""What an operator may choose about signing in by other companies. `Settings` has these fields."""

import re
from ipaddress import ip_address
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode

PRESETS: Final = frozenset({"google", "facebook"})
"""Providers that need nothing but an id and a secret."""
_RETURN_URL: Final = re.compile(r"https?://[!-~]+")
_LENGTH_MAX: Final = 1_000


def _safe_url(text: str) -> str:
    """Refuse where secrets would go in clear to another machine, or to nobody knows whom."""
    parts = urlsplit(text)
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if not is_plain or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an address such as https://id.example.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("must be https, unless it is on this machine")
    return text


SafeUrl = Annotated[str, Field(max_length=_LENGTH_MAX), AfterValidator(_safe_url)]


class ProviderSettings(BaseModel):
    """A company whose accounts people may sign in with."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    client_id: str = Field(min_length=1, max_length=500)
    client_secret: SecretStr = Field(min_length=1, max_length=2_000)
    issuer: SafeUrl | None = None
    label: str | None = Field(default=None, min_length=1, max_length=40)
    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...] | None = None
    dialog_url: SafeUrl | None = None
    graph_url: SafeUrl | None = None

    @model_validator(mode="after")
    def _refuse_what_does_not_fit(self) -> Self:
        """Refuse a provider without its issuer, and a preset with another's."""
        if self.name not in PRESETS and self.issuer is None:
            raise ValueError(f"{self.name}: also set issuer")
        if self.name != "facebook" and (self.dialog_url or self.graph_url):
            raise ValueError(f"{self.name}: dialog_url and graph_url are Facebook's")
        if self.name == "facebook" and self.issuer is not None:
            raise ValueError("facebook: it has its issuer; use another name for another provider")
        return self


class OutsideSettings(BaseSettings):
    """Which companies people may sign in by, and where browsers are sent afterwards.

    Invariants:
        A browser is only ever sent to an address that is listed here as a whole.
    """

    oidc_providers: tuple[ProviderSettings, ...] = Field(
        default=(),
        description="Companies that people can sign in by, as a JSON list. `google` and `facebook` "
        "need `name`, `client_id` and `client_secret`; any other OpenID Connect provider an "
        "`issuer`, too, and may have a `label` and `scopes`. It holds secrets: better a file.",
    )
    outside_return_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses of your application, separated by commas, to which a browser may go "
        "on after signing in by another company. Compared as whole texts. Required with "
        "`oidc_providers`.",
    )

    @field_validator("outside_return_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        """Read `https://wallet.example.com/signed-in, https://...`."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("outside_return_urls")
    @classmethod
    def _refuse_no_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what a browser would not be sent to safely."""
        for url in value:
            parts = urlsplit(url)
            is_one = bool(_RETURN_URL.fullmatch(url)) and len(url) <= _LENGTH_MAX
            if not is_one or not parts.hostname or parts.username is not None or "#" in url:
                raise ValueError("must be addresses such as https://wallet.example.com/signed-in")
        return value

    @model_validator(mode="after")
    def _refuse_a_way_without_a_way_back(self) -> Self:
        """Refuse what would fail only when the first user tries it."""
        if self.oidc_providers and not self.outside_return_urls:
            raise ValueError("oidc_providers: also set outside_return_urls")
        names = [each.name for each in self.oidc_providers]
        if len(set(names)) < len(names):
            raise ValueError("oidc_providers: each needs a name of its own")
        return self


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine."""
    if host is None or host == "localhost":
        return host is not None
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
