"""The bodies of verification, sign-in by code and new passwords on the wire."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from guilder.identity import rules

_CODE_MAX = 32
_LINK_TOKEN_MAX = 128
_EMAIL = "payer@example.com"
_CODE = "04719362"
_LINK_TOKEN = "<43 characters>"  # noqa: S105 - an example


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class VerifyBody(_Request):
    """A code that was sent to the user's own address or number."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": _CODE}]})

    code: SecretStr = Field(
        min_length=1, max_length=_CODE_MAX, description="The latest one; spaces do not matter."
    )


class CodeRequestBody(_Request):
    """Where a code is to be sent: an address or a number."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": _EMAIL}, {"phone": "+12025550123"}]}
    )

    email: str | None = Field(None, max_length=rules.EMAIL_MAX, description="This or `phone`.")
    phone: str | None = Field(None, max_length=rules.PHONE_MAX, description="This or `email`.")


class CodeRedeemBody(_Request):
    """The code that was sent to an address or a number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"email": _EMAIL, "code": _CODE},
                {"email": _EMAIL, "code": _CODE, "password": "four unlikely words together"},
            ]
        }
    )

    email: str | None = Field(None, max_length=rules.EMAIL_MAX, description="This or `phone`.")
    phone: str | None = Field(None, max_length=rules.PHONE_MAX, description="This or `email`.")
    code: SecretStr = Field(
        min_length=1, max_length=_CODE_MAX, description="The latest one; spaces do not matter."
    )
    password: SecretStr | None = Field(
        None,
        min_length=1,
        max_length=rules.PASSWORD_MAX,
        description="To keep the password when the address is confirmed for the first time; "
        "afterwards it is not looked at.",
    )


class RecoveryBody(_Request):
    """The address of an account whose password is lost."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": _EMAIL}]})

    email: str = Field(min_length=3, max_length=rules.EMAIL_MAX, description="Of the account.")


class RecoveryCompleteBody(_Request):
    """The token of the mail, and a new password."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"token": _LINK_TOKEN, "password": "four other unlikely words"}]
        }
    )

    token: SecretStr = Field(
        min_length=1, max_length=_LINK_TOKEN_MAX, description="From the mail, after `#token=`."
    )
    password: SecretStr = Field(min_length=1, max_length=rules.PASSWORD_MAX)


class PasswordChangeBody(_Request):
    """The password there is, and the one there shall be."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "current_password": "four unlikely words together",
                    "new_password": "four other unlikely words",
                }
            ]
        }
    )

    current_password: SecretStr = Field(min_length=1, max_length=rules.PASSWORD_MAX)
    new_password: SecretStr = Field(min_length=1, max_length=rules.PASSWORD_MAX)


class AcceptedAnswer(BaseModel):
    """That a message is on its way, if there is anybody to send it to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"expires_in": 600}]})

    expires_in: int = Field(description="Seconds that a code or link is good, if one was sent.")
