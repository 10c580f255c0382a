"""What an operator may choose about sessions. `Settings` has these fields among its own."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

_WEEK_S = 604_800
_HALF_A_DAY_S = 43_200


class SessionSettings(BaseSettings):
    """How long people stay signed in, and what signs their tokens while the key is changed.

    Invariants:
        Who uses a session keeps it: no session ends for want of use before its access tokens do.
    """

    signing_key_next: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="The signing key after this one: its tokens are accepted already, and its "
        "public half is shown. Set it in every process before it becomes `signing_key` in one.",
    )
    signing_algorithm_previous: Literal["HS256", "Ed25519"] | None = Field(
        default=None,
        description="How tokens of `signing_key_previous` were signed. By default as now.",
    )
    access_ttl_s: int = Field(default=900, ge=30, le=86_400, description="Life of an access token.")
    refresh_ttl_s: int = Field(
        default=2_592_000,
        ge=60,
        le=31_536_000,
        description="Life of a session, however much it is used: 30 days by default.",
    )
    staff_session_ttl_s: int = Field(
        default=_HALF_A_DAY_S,
        ge=60,
        le=31_536_000,
        description="The same for support, operators and auditors, where it is less: 12 hours by "
        "default.",
    )
    staff_second_factor_required: bool = Field(
        default=True,
        description="Staff use their rights over other people only in a session that was opened "
        "with a second factor. Turn it off on your own machine only.",
    )
    session_idle_s: int = Field(
        default=_WEEK_S,
        ge=30,
        le=31_536_000,
        description="A session that is not refreshed for so long is over: 7 days by default. "
        "OWASP ASVS 5.0 (7.3) suggests 3600, and 86400 for `refresh_ttl_s`.",
    )

    @model_validator(mode="after")
    def _refuse_idle_before_expiry(self) -> Self:
        """Refuse what would sign people out who are busy."""
        if self.session_idle_s < self.access_ttl_s:
            raise ValueError("session_idle_s: at least access_ttl_s, or busy sessions end")
        return self
