"""What an operator may choose about passkeys. `Settings` has these fields among its own."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from guilder.kernel.origins import LOCAL, may_ask_for, origin_of


class PasskeySettings(BaseSettings):
    """Whom passkeys are made for, and which pages may ask for them.

    Invariants:
        What is set works: browsers accept the domain on every origin.
    """

    passkey_domain: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([a-z0-9.\-]*[a-z0-9])?$",
        max_length=253,
        description="Domain that passkeys are made for: they work on it and on names under it. By "
        "default the host of `public_url`, or `localhost`. Changing it makes every passkey there "
        "is useless.",
    )
    passkey_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins, separated by commas, of the pages and applications that may ask for "
        "passkeys, such as `https://app.example.com`. By default that of `public_url`.",
    )

    @field_validator("passkey_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        """Read `https://app.example.com, https://pay.example.com`."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _refuse_what_no_browser_takes(self) -> Self:
        """Refuse a domain that is not that of the origins."""
        domain, origins = self.passkey_party
        for origin in origins:
            if not may_ask_for(domain, origin):
                message = (
                    f"passkey_origins: {origin} is no https origin of {domain}; "
                    "set passkey_domain to a domain that is part of all of them"
                )
                raise ValueError(message)
        return self

    @property
    def base_url(self) -> str:
        """The address under which this server is reached; `Settings` knows."""
        raise NotImplementedError

    @property
    def passkey_party(self) -> tuple[str, tuple[str, ...]]:
        """The domain of passkeys, and the origins that may ask for them.

        Where nothing is set and the server has no name with TLS, they are for pages on this very
        machine: browsers offer none anywhere else.
        """
        origins = self.passkey_origins or (origin_of(self.base_url),)
        domain = self.passkey_domain or urlsplit(origins[0]).hostname or LOCAL
        is_chosen = self.passkey_domain is not None or self.passkey_origins
        if is_chosen or may_ask_for(domain, origins[0]):
            return domain, origins
        port = urlsplit(origins[0]).port
        return LOCAL, (f"http://{LOCAL}:{port}" if port else f"http://{LOCAL}",)

    @property
    def are_passkeys_local(self) -> bool:
        """Passkeys are for pages on this very machine only."""
        return self.passkey_party[0] == LOCAL
