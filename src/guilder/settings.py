"""What an operator may choose. The only reader of the environment and the secrets directory."""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from guilder.message_settings import MessageSettings
from guilder.outside_settings import OutsideSettings
from guilder.passkey_settings import PasskeySettings
from guilder.session_settings import SessionSettings
from guilder.setting_values import LimitMap, RateText, SettingName, TierLimitMap

PREFIX = "GUILDER_"
TEST_PREFIX = "GUILDER_TEST_"
SECRET_BYTES_MIN = 32
"""RFC 7518, 3.2: an HS256 key has at least the 256 bits of its hash."""
_SECRETS_DIRECTORY = "GUILDER_SECRETS_DIRECTORY"

Network = IPv4Network | IPv6Network


def _default_data_directory() -> Path:
    """Return where data is kept when nobody says: the system's place for root, else the user's."""
    if os.geteuid() == 0:
        return Path("/var/lib/guilder")
    return Path.home() / ".local" / "share" / "guilder"


def _in_development(validated: dict[str, Any]) -> bool:
    """Return the default of switches that are on in development and off in production."""
    return bool(validated.get("environment", "production") == "development")


def _in_production(validated: dict[str, Any]) -> bool:
    """Return the default of switches that are on in production and off in development."""
    return not _in_development(validated)


class Settings(PasskeySettings, SessionSettings, OutsideSettings, MessageSettings):
    """Every choice, with its default. `GUILDER_PORT=8080` sets `port`.

    Invariants:
        In production the simulator is off and all secrets are given.
        Printing a `Settings` shows no secret.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    environment: Literal["development", "production"] = Field(
        default="development",
        description="`development` makes its own secrets and offers the simulator; "
        "`production` refuses everything unsafe.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one."
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that answer requests, on one socket. Limits of rates and of "
        "connections count in each of them.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+(/[^\s]*)?$",
        description="Address under which people reach this server, without a slash at its end; "
        "by default made from `host` and `port`. Required to be https in production.",
    )

    database_url: SecretStr | None = Field(
        default=None,
        description="`postgresql://...` or `mongodb://...` of your own server; else the bundled "
        "PostgreSQL runs.",
    )
    database_owner_url: SecretStr | None = Field(
        default=None,
        description="The same database as the role that owns the tables, used for migrations only.",
    )
    database_accepted_settings: Annotated[tuple[SettingName, ...], NoDecode] = Field(
        default=(),
        description="Names, separated by commas, of settings of your own server that Guilder would "
        "refuse and that you answer for, such as `writeConcernMajorityJournalDefault` of a MongoDB "
        "that does not show it. Each is logged at every start.",
    )
    data_directory: Path = Field(
        default_factory=_default_data_directory,
        description="Where the bundled PostgreSQL and development secrets are kept: "
        "`/var/lib/guilder` for root, else `~/.local/share/guilder`.",
    )

    signing_key: SecretStr | None = Field(
        default=None,
        description="Secret from which the key that signs access tokens is derived, at least "
        "32 characters. Required in production.",
    )
    signing_algorithm: Literal["HS256", "Ed25519"] = Field(
        default="HS256", description="How access tokens are signed."
    )
    signing_key_previous: SecretStr | None = Field(
        default=None,
        description="The signing key before this one: its tokens are still accepted. Keep it for "
        "`access_ttl_s` after a change.",
    )
    pepper: SecretStr | None = Field(
        default=None,
        description="Secret mixed into every password hash, at least 32 characters. "
        "Losing it makes every password useless. Required in production.",
    )
    checkpoint_key: SecretStr | None = Field(
        default=None,
        description="Secret from which the checkpoints' key is derived. By default the pepper.",
    )
    encryption_key: SecretStr | None = Field(
        default=None,
        description="Secret from which the key that seals addresses, numbers and secrets in the "
        "database is derived. By default the pepper. After a change run `guilder keys rotate`.",
    )
    encryption_key_previous: SecretStr | None = Field(
        default=None,
        description="Another encryption key, under which values are still opened: the one before "
        "a change. Keep it until `guilder keys rotate` has run.",
    )
    checkpoint_interval_s: int = Field(
        default=60, ge=1, le=86_400, description="Seconds between two signed checkpoints."
    )
    books_check_interval_s: int = Field(
        default=5,
        ge=0,
        le=3_600,
        description="Seconds between two looks of the audit in the background. 0 turns it off.",
    )
    password_min_length: int = Field(
        default=8,
        ge=8,
        le=64,
        description="Fewest characters of a new password. NIST SP 800-63B-4 asks for 15 where a "
        "password alone signs somebody in, and for 8 where everybody has a second factor.",
    )
    password_hasher: Literal["bcrypt", "argon2id"] = Field(
        default="bcrypt",
        description="What new password hashes are made with. Others are renewed when their owners "
        "sign in.",
    )
    password_hasher_previous: Literal["bcrypt", "argon2id", "none"] | None = Field(
        default=None,
        description="The other kind of hash, if users still have such: then each check costs one "
        "of each, so that its time tells nothing. By default `bcrypt` with argon2id, else none. "
        "Set `none` on a new installation with argon2id.",
    )
    bcrypt_cost: int = Field(
        default=12, ge=4, le=16, description="Work factor of bcrypt hashes, a power of two."
    )

    verified_contact_required: bool = Field(
        default_factory=_in_production,
        description="Nobody signs in by password, or is paid, by an e-mail address or phone number "
        "that was not confirmed. Without it, who registers with somebody else's can find out "
        "whether it is in use. On in production.",
    )
    recovery_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s#]+$",
        max_length=1_000,
        description="Page of your application that recovery mails link to, with `#token=...` at "
        "its end. Without it the mail shows the token itself.",
    )

    body_limit_bytes: int = Field(
        default=65_536, ge=1_024, le=16_777_216, description="Largest request body that is read."
    )
    body_limit_batch_bytes: int = Field(
        default=4_194_304,
        ge=1_024,
        le=16_777_216,
        description="Largest body of a batch of transfers. The default has 512 bytes for each of "
        "8,192 items; one with an address and 100 characters of description takes 240.",
    )
    header_limit_bytes: int = Field(
        default=16_384,
        ge=4_096,
        le=1_048_576,
        description="Most bytes of a request line and its headers.",
    )
    request_timeout_s: int = Field(
        default=20,
        ge=1,
        le=600,
        description="A client that takes longer to send its request is cut off.",
    )
    connections_max: int = Field(
        default=4_096, ge=16, description="Connections beyond this number are answered with 503."
    )
    shutdown_timeout_s: int = Field(
        default=30, ge=1, le=600, description="How long requests in flight may take when stopping."
    )

    rate_limit_enabled: bool = Field(default=True, description="Count requests and answer 429.")
    rate_limit_address: RateText = Field(
        default="6000/60",
        description="Requests per client address and process, as requests/seconds.",
    )
    rate_limit_user: RateText = Field(
        default="3000/60", description="Requests per signed-in user and process."
    )
    rate_limit_sign_in: RateText = Field(
        default="60/60", description="Registrations and sign-ins per client address and process."
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks, separated by commas, whose `X-Forwarded-For` is "
        "believed. Nobody's by default.",
    )

    simulator_enabled: bool = Field(
        default_factory=_in_development,
        description="Offer the simulated gateway. On in development; refused in production.",
    )
    simulator_webhook_secret: SecretStr | None = Field(
        default=None, description="Signs the simulator's webhooks; made up in development."
    )
    default_currency: str = Field(
        default="USD",
        pattern=r"^[A-Z]{3}$",
        description="Currency of a wallet's main balance, ISO 4217.",
    )

    limit_transfer_minor: LimitMap = Field(
        default={},
        description="Most that may leave a wallet at a time, by currency, in minor units, such as "
        '`{"USD": 100000}`. A currency that is left out has no limit.',
    )
    limit_daily_minor: LimitMap = Field(
        default={},
        description="Most that may leave a wallet in a calendar day of UTC, by currency, in minor "
        "units: transfers, holds and withdrawals together.",
    )
    tier_limits: TierLimitMap = Field(
        default={},
        description="The same by what was proved about the owner, as JSON: tier (`none`, `basic`, "
        '`full`), then `transfer`, `daily`, `monthly`, such as `{"none": {"monthly": {"USD": '
        "15000}}}`. No tier has limits of its own unless set.",
    )

    step_up_transfer_minor: LimitMap = Field(
        default={},
        description="Most that may be sent, held or scheduled at a time without a fresh second "
        "factor, by currency, in minor units. A currency that is left out never asks.",
    )
    step_up_payouts: bool = Field(
        default_factory=_in_production,
        description="Every withdrawal asks for a fresh second factor. On in production.",
    )

    docs_enabled: bool = Field(
        default_factory=_in_development,
        description="Serve `/docs` and `/openapi.json`. On in development.",
    )
    metrics_enabled: bool = Field(
        default_factory=_in_development,
        description="Serve `/metrics`. On in development; in production give `metrics_token` too.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="Bearer token that `/metrics` asks for; without it everybody may read.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that is logged."
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="`json` for machines, `console` for people."
    )
    access_log: bool = Field(default=True, description="Log one line per request.")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        """Read `10.0.0.0/8, 192.0.2.1`."""
        if isinstance(value, str):
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    @field_validator("database_accepted_settings", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        """Read `fsync, arbiters`."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("public_url")
    @classmethod
    def _strip_slash(cls, value: str | None) -> str | None:
        """Take the slash off the end, so that paths can be appended."""
        return value.rstrip("/") if value else value

    @model_validator(mode="after")
    def _refuse_the_unsafe(self) -> Self:
        """Refuse what must never be, before anything starts."""
        _check_length("signing_key", self.signing_key)
        _check_length("signing_key_previous", self.signing_key_previous)
        _check_length("pepper", self.pepper)
        _check_length("checkpoint_key", self.checkpoint_key)
        _check_length("encryption_key", self.encryption_key)
        _check_length("encryption_key_previous", self.encryption_key_previous)
        _check_length("simulator_webhook_secret", self.simulator_webhook_secret)
        if self.environment == "production":
            if self.simulator_enabled:
                message = (
                    "simulator_enabled: the simulator moves pretended money; not in production"
                )
                raise ValueError(message)
            if self.bcrypt_cost < _BCRYPT_COST_MIN:
                message = f"bcrypt_cost: at least {_BCRYPT_COST_MIN} in production"
                raise ValueError(message)
        return self

    @property
    def base_url(self) -> str:
        """The address under which this server is reached, without a slash at its end."""
        if self.public_url:
            return self.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def password_hasher_previous_kind(self) -> Literal["bcrypt", "argon2id"] | None:
        """The other kind of password hash that users may have; None if there is none."""
        if self.password_hasher_previous is None:
            return None if self.password_hasher == "bcrypt" else "bcrypt"  # noqa: S105 - a name
        if self.password_hasher_previous == "none":  # noqa: S105 - a name
            return None
        return self.password_hasher_previous

    @property
    def is_loopback(self) -> bool:
        """Only programs on this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


_BCRYPT_COST_MIN = 10
"""OWASP ASVS 5.0, appendix C."""


def _check_length(name: str, secret: SecretStr | None) -> None:
    """Refuse a secret that can be guessed because it is short."""
    if secret is not None and len(secret.get_secret_value().encode()) < SECRET_BYTES_MIN:
        message = (
            f"{name}: at least {SECRET_BYTES_MIN} characters; `openssl rand -base64 48` makes one"
        )
        raise ValueError(message)


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401 - whatever the fields take
    """Read settings from the environment and the secrets directory; `overrides` win.

    The secrets directory is `GUILDER_SECRETS_DIRECTORY`, or `/run/secrets` if that exists; each
    file in it is named like the variable, in small letters: `guilder_signing_key`.
    """
    named = os.environ.get(_SECRETS_DIRECTORY)
    directory = Path(named or "/run/secrets")
    given = {name: value for name, value in overrides.items() if value is not None}
    if named or directory.is_dir():
        return Settings(_secrets_dir=directory, **given)  # type: ignore[call-arg]
    return Settings(**given)


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the `GUILDER_` variables that set nothing: most likely misspelt."""
    names = os.environ if environment is None else environment
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {_SECRETS_DIRECTORY}
    return sorted(
        name
        for name in names
        if name.upper().startswith(PREFIX)
        and not name.upper().startswith(TEST_PREFIX)
        and name.upper() not in known
    )


def environment_without_settings() -> dict[str, str]:
    """Return the environment for a child process that is to have settings of its own."""
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)
    }
