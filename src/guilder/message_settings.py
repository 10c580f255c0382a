"""What an operator may choose about e-mail and SMS. `Settings` has these fields among its own."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import email_validator
from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode


def _ascii_address(text: str) -> str:
    """Refuse what is no e-mail address, or one that not every mail server takes."""
    try:
        found = email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError as error:
        raise ValueError("must be an e-mail address such as no-reply@example.com") from error
    if found.ascii_email is None:
        raise ValueError("must be an e-mail address in ASCII")
    return found.ascii_email


AddressText = Annotated[str, AfterValidator(_ascii_address)]
CountryText = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""


class MessageSettings(BaseSettings):
    """How people are told things.

    Invariants:
        Neither passwords nor messages go in clear to another machine. What is set up in part is
        refused: somebody believes that it works.
    """

    brand_name: str = Field(
        default="Guilder",
        min_length=1,
        max_length=40,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="What messages call this service.",
    )
    smtp_host: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.:\-]+$",
        description="Mail server that takes e-mail. Without it, development shows e-mail at "
        "`/mailbox`.",
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="`starttls` upgrades the connection (port 587), `tls` begins with TLS "
        "(port 465), `none` is for a mail server on this machine only.",
    )
    smtp_username: str | None = Field(default=None, description="Name to sign in with.")
    smtp_password: SecretStr | None = Field(default=None, description="Password of that name.")
    smtp_ca_file: Path | None = Field(
        default=None,
        description="File of certificates that the mail server's must come from. By default "
        "those that the system trusts.",
    )
    mail_from: AddressText | None = Field(
        default=None, description="Address that e-mail comes from. Required with `smtp_host`."
    )
    mail_from_name: str | None = Field(
        default=None,
        max_length=70,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Name beside that address. By default `brand_name`.",
    )
    mail_reply_to: AddressText | None = Field(
        default=None, description="Address that answers go to. By default the one it comes from."
    )
    sms_account_sid: str | None = Field(
        default=None,
        pattern=r"^AC[0-9a-fA-F]{32}$",
        description="Twilio account that sends SMS. Without it, development shows them at "
        "`/mailbox`.",
    )
    sms_auth_token: SecretStr | None = Field(
        default=None, description="Token of that account. Required with it."
    )
    sms_from: str | None = Field(
        default=None,
        pattern=r"^(\+[1-9][0-9]{6,14}|MG[0-9a-fA-F]{32}|[A-Za-z0-9 ]{1,11})$",
        description="Number, sender's name, or id of the messaging service that SMS come from. "
        "Required with `sms_account_sid`.",
    )
    sms_api_url: str = Field(
        default="https://api.twilio.com",
        pattern=r"^https?://[^\s/@?#]+$",
        description="Where the SMS company's API is. In clear on this machine only.",
    )
    sms_countries: Annotated[tuple[CountryText, ...], NoDecode] = Field(
        default=(),
        description="Countries, separated by commas, whose numbers are written to, such as "
        "`US,CA`. Empty: all.",
    )
    sms_country_limit: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Most SMS to the numbers of one country in ten minutes, over all processes.",
    )

    @field_validator("sms_countries", mode="before")
    @classmethod
    def _split_countries(cls, value: object) -> object:
        """Read `US, CA`."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _refuse_half_a_setup(self) -> Self:
        """Refuse what would fail only when the first message is sent."""
        _needs("smtp_host", self.smtp_host, {"mail_from": self.mail_from})
        _needs("smtp_username", self.smtp_username, {"smtp_password": self.smtp_password})
        _needs("smtp_password", self.smtp_password, {"smtp_username": self.smtp_username})
        _needs("smtp_username", self.smtp_username, {"smtp_host": self.smtp_host})
        _needs("sms_auth_token", self.sms_auth_token, {"sms_account_sid": self.sms_account_sid})
        _needs(
            "sms_account_sid",
            self.sms_account_sid,
            {"sms_auth_token": self.sms_auth_token, "sms_from": self.sms_from},
        )
        if self.smtp_security == "none" and not _is_this_machine(self.smtp_host):
            raise ValueError("smtp_security: `none` only with a mail server on this machine")
        url = urlsplit(self.sms_api_url)
        if url.scheme != "https" and not _is_this_machine(url.hostname):
            raise ValueError("sms_api_url: https, unless it is on this machine")
        return self


def _needs(name: str, value: object, others: dict[str, object]) -> None:
    missing = [other for other, given in others.items() if given is None]
    if value is not None and missing:
        raise ValueError(f"{name}: also set {' and '.join(missing)}")


def _is_this_machine(host: str | None) -> bool:
    if host is None or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
