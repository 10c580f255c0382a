"""What an operator may choose about sessions. `Settings` has these fields among its own."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

_HOUR_S = 3_600
_HALF_A_DAY_S = 12 * _HOUR_S
_DAY_S = 24 * _HOUR_S


class SessionSettings(BaseSettings):
    """How long people stay signed in, and what signs their tokens while the key is changed.

    By default as long as OWASP ASVS 5.0 (7.3) suggests for money.

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
        default=_DAY_S,
        ge=60,
        le=31_536_000,
        description="Life of a session, however much it is used: a day by default. An application "
        "on people's own phones may want 2592000, 30 days, and as much for `session_idle_s`.",
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
        default=_HOUR_S,
        ge=30,
        le=31_536_000,
        description="A session that is not refreshed for so long is over: an hour by default.",
    )

    @model_validator(mode="after")
    def _refuse_idle_before_expiry(self) -> Self:
        """Refuse what would sign people out who are busy."""
        if self.session_idle_s < self.access_ttl_s:
            raise ValueError("session_idle_s: at least access_ttl_s, or busy sessions end")
        return self
