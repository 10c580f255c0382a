"""The bodies of identity on the wire. Requests refuse fields that are not declared here."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

from guilder.identity import rules
from guilder.identity.models import UserRecord
from guilder.identity.sessions import SignIn
from guilder.kernel.clock import rfc3339

_EXAMPLE_TIME = "2026-01-31T12:00:00.000Z"
_EXAMPLE_USER: JsonDict = {
    "id": "user_01h2xcejqtf2nbrexx3vqjhp41",
    "name": "First Payer",
    "email": "payer@example.com",
    "phone": "+12025550123",
    "email_verified": True,
    "phone_verified": False,
    "wallet_id": "wallet_01h455vb4pex5vsknk084sn02q",
    "created_at": _EXAMPLE_TIME,
    "updated_at": _EXAMPLE_TIME,
}
_EXAMPLE_REFRESH = "glr1.session_01h455vb4pex5vsknk084sn02q.1.<43 characters>.<22 characters>"
_TOKEN_MAX = 2048


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class RegisterBody(_Request):
    """Somebody who wants a wallet."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "First Payer",
                    "email": "payer@example.com",
                    "phone": "+12025550123",
                    "password": "four unlikely words together",
                }
            ]
        }
    )

    name: str = Field(min_length=1, max_length=rules.NAME_MAX, description="As others see it.")
    email: str = Field(
        min_length=3, max_length=rules.EMAIL_MAX, description="Whatever its case, of one account."
    )
    phone: str | None = Field(
        None,
        max_length=rules.PHONE_MAX,
        description="With country code; kept in E.164. Of one account.",
    )
    password: SecretStr = Field(
        min_length=1,
        max_length=rules.PASSWORD_MAX,
        description="At least 8 characters, any characters; refused only if easy to guess.",
    )


class LoginBody(_Request):
    """Somebody who comes back: an address or a number, and the password."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"email": "payer@example.com", "password": "four unlikely words together"},
                {"phone": "+12025550123", "password": "four unlikely words together"},
            ]
        }
    )

    email: str | None = Field(None, max_length=rules.EMAIL_MAX, description="This or `phone`.")
    phone: str | None = Field(None, max_length=rules.PHONE_MAX, description="This or `email`.")
    password: SecretStr = Field(min_length=1, max_length=rules.PASSWORD_MAX)


class RefreshBody(_Request):
    """A refresh token to replace, or whose session is to end."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"refresh_token": _EXAMPLE_REFRESH}]})

    refresh_token: SecretStr = Field(
        min_length=1, max_length=_TOKEN_MAX, description="The latest one of a session."
    )


class UserAnswer(BaseModel):
    """A user, as that user sees it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_USER]})

    id: str = Field(description="TypeID.")
    name: str
    email: str | None
    phone: str | None = Field(description="E.164.")
    email_verified: bool = Field(description="The user has shown a code that was sent there.")
    phone_verified: bool = Field(description="The user has shown a code that was sent there.")
    wallet_id: str = Field(description="TypeID of the user's wallet.")
    created_at: str = Field(description="RFC 3339, UTC, milliseconds.")
    updated_at: str = Field(description="RFC 3339, UTC, milliseconds.")

    @classmethod
    def of(cls, user: UserRecord) -> "UserAnswer":
        """Shape a user for the wire."""
        return cls(
            id=user.id,
            name=user.name,
            email=user.email,
            phone=user.phone,
            email_verified=user.email_verified,
            phone_verified=user.phone_verified,
            wallet_id=user.wallet_id,
            created_at=rfc3339(user.created_at),
            updated_at=rfc3339(user.updated_at),
        )


class SignInAnswer(BaseModel):
    """The tokens of a session."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "<JWT>",
                    "token_type": "Bearer",
                    "expires_in": 900,
                    "refresh_token": _EXAMPLE_REFRESH,
                    "refresh_expires_in": 86_400,
                    "user": _EXAMPLE_USER,
                    "device_token": "<43 characters>",
                }
            ]
        }
    )

    access_token: str = Field(description="JWT for `Authorization: Bearer`.")
    token_type: str = Field(description="Always `Bearer`.")
    expires_in: int = Field(description="Seconds that the access token lives.")
    refresh_token: str = Field(description="For `/v1/auth/refresh`, once.")
    refresh_expires_in: int = Field(description="Seconds until the session ends whatever happens.")
    user: UserAnswer
    device_token: str | None = Field(
        description="After a sign-in: keep it for as long as the device lives, and send it as "
        "`Device-Token` with the next one, or the user is told of a new device."
    )

    @classmethod
    def of(cls, sign_in: SignIn) -> "SignInAnswer":
        """Shape tokens for the wire."""
        return cls(
            access_token=sign_in.access_token,
            token_type="Bearer",  # noqa: S106 - the scheme's name
            expires_in=sign_in.expires_in_s,
            refresh_token=sign_in.refresh_token,
            refresh_expires_in=sign_in.refresh_expires_in_s,
            user=UserAnswer.of(sign_in.user),
            device_token=sign_in.device_token,
        )
