"""The bodies of signing in by other companies on the wire."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

from guilder.identity.outside.config import ProviderConfig
from guilder.identity.outside.rules import ATTEMPT_TTL
from guilder.identity.outside.service import LinkedAccount
from guilder.kernel.clock import rfc3339

URL_MAX = 1_000
_CODE_MAX = 128
_EXAMPLE_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
_EXAMPLE_VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
_EXAMPLE_LINKED: JsonDict = {
    "provider": "google",
    "label": "Google",
    "email": "payer@example.com",
    "linked_at": "2026-01-31T12:00:00.000Z",
}


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class OutsideCompleteBody(_Request):
    """The two halves: what the browser brought back, and what only the client has."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "<43 characters>", "verifier": _EXAMPLE_VERIFIER}]}
    )

    code: SecretStr = Field(
        min_length=1, max_length=_CODE_MAX, description="`code` of the return address. Used once."
    )
    verifier: SecretStr = Field(
        min_length=1,
        max_length=_CODE_MAX,
        description="43 to 128 letters, digits and `-._~`, whose SHA-256 was the challenge.",
    )


class OutsideLinkBody(_Request):
    """Where to go on afterwards, and what only this client can finish."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "return_url": "https://wallet.example.com/settings",
                    "challenge": _EXAMPLE_CHALLENGE,
                }
            ]
        }
    )

    return_url: str = Field(
        min_length=1, max_length=URL_MAX, description="One of `outside_return_urls`, exactly."
    )
    challenge: str = Field(
        min_length=1,
        max_length=_CODE_MAX,
        description="SHA-256 of a verifier in base64url, 43 characters (RFC 7636, S256).",
    )


class OutsideLinkAnswer(BaseModel):
    """Where to send the browser."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://accounts.google.com/o/oauth2/...", "expires_in": 600}]
        }
    )

    url: str = Field(description="The other company's page.")
    expires_in: int = Field(description="Seconds in which the browser has to be back.")

    @classmethod
    def of(cls, url: str) -> "OutsideLinkAnswer":
        """Shape an address for the wire."""
        return cls(url=url, expires_in=int(ATTEMPT_TTL.total_seconds()))


class OutsideProviderAnswer(BaseModel):
    """A company that people can sign in by."""

    name: str = Field(description="As in the paths.")
    label: str = Field(description="As people know it.")

    @classmethod
    def of(cls, config: ProviderConfig) -> "OutsideProviderAnswer":
        """Shape a company for the wire."""
        return cls(name=config.name, label=config.label)


class OutsideProvidersAnswer(BaseModel):
    """The companies that people can sign in by."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [{"name": "google", "label": "Google"}]}]}
    )

    data: list[OutsideProviderAnswer]


class OutsideAccountAnswer(BaseModel):
    """An account at another company that signs the user in."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_LINKED]})

    provider: str = Field(description="As in the paths.")
    label: str = Field(description="As people know it.")
    email: str | None = Field(description="The address there, when it was linked.")
    linked_at: str = Field(description="RFC 3339, UTC, milliseconds.")

    @classmethod
    def of(cls, linked: LinkedAccount) -> "OutsideAccountAnswer":
        """Shape a linked account for the wire."""
        return cls(
            provider=linked.account.provider,
            label=linked.label,
            email=linked.email,
            linked_at=rfc3339(linked.account.created_at),
        )


class OutsideAccountsAnswer(BaseModel):
    """The accounts at other companies that sign the user in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [_EXAMPLE_LINKED]}]})

    data: list[OutsideAccountAnswer]
