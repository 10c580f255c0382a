"""The bodies of second factors and challenges on the wire."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

from guilder.identity import rules
from guilder.identity.factors.models import Challenge
from guilder.identity.factors.rules import Method
from guilder.identity.factors.service import Overview
from guilder.identity.factors.totp import Enrolment
from guilder.kernel.clock import rfc3339

_TIME = "2026-01-31T12:05:00.000Z"
_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # noqa: S105 - of RFC 6238
_CODES = ["k3q9-7mzt-0vwx-4n8c-2d5h-6rjy", "5t1b-x0fs-9gqk-j7ew-3m8a-zp4v"]

_CODES_EXAMPLE: JsonDict = {"recovery_codes": [*_CODES]}


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ProofBody(_Request):
    """What is given for a challenge: a code, or what a passkey has made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"method": "totp", "code": "287082", "remember_device": True},
                {"method": "recovery_code", "code": _CODES[0]},
                {"method": "password", "code": "four unlikely words together"},
            ]
        }
    )

    method: Literal["totp", "passkey", "recovery_code", "password"] = Field(
        description="One of the challenge's."
    )
    code: SecretStr | None = Field(
        None,
        min_length=1,
        max_length=rules.PASSWORD_MAX,
        description="The app's code, a recovery code, or the password; not for a passkey.",
    )
    assertion: dict[str, Any] | None = Field(
        None, description="For a passkey: the credential as `toJSON()` makes it."
    )
    remember_device: bool = Field(
        default=False,
        description="At sign-in: do not ask for the second factor on this device for 30 days. It "
        "shows itself by the `device_token` of the answer.",
    )


class ApprovalAnswer(BaseModel):
    """That a step-up was proved."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "challenge_id": "challenge_01h455vb4pex5vsknk084sn02q",
                    "status": "approved",
                    "expires_at": _TIME,
                }
            ]
        }
    )

    challenge_id: str = Field(description="For the header `Step-Up` of the request that asked.")
    status: Literal["approved"]
    expires_at: str = Field(description="Until when that request may come. RFC 3339, UTC.")

    @classmethod
    def of(cls, challenge: Challenge) -> "ApprovalAnswer":
        """Shape an approved challenge for the wire."""
        return cls(
            challenge_id=challenge.id,
            status="approved",
            expires_at=rfc3339(challenge.expires_at),
        )


class TotpAnswer(BaseModel):
    """What an app is set up with. It is shown once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "secret": _SECRET,
                    "uri": f"otpauth://totp/Guilder:payer@example.com?secret={_SECRET}",
                    "qr_svg": "<svg/>",
                }
            ]
        }
    )

    secret: str = Field(description="Base32, to type into an app.")
    uri: str = Field(description="`otpauth://`, to open in an app on the same device.")
    qr_svg: str = Field(description="The same as a QR code: an SVG document.")

    @classmethod
    def of(cls, enrolment: Enrolment) -> "TotpAnswer":
        """Shape what an app is set up with for the wire."""
        return cls(secret=enrolment.secret, uri=enrolment.uri, qr_svg=enrolment.qr_svg)


class TotpConfirmBody(_Request):
    """The code that the app shows."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "287082"}]})

    code: SecretStr = Field(min_length=1, max_length=32, description="Spaces do not matter.")


class RecoveryCodesAnswer(BaseModel):
    """Recovery codes, shown once."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CODES_EXAMPLE]})

    recovery_codes: list[str] = Field(
        description="Each is good once. Empty if there were codes before, which stay good."
    )


class TrustedDeviceAnswer(BaseModel):
    """A device on which the second factor is not asked for at sign-in."""

    id: str = Field(description="TypeID.")
    device: str = Field(description="What it said about itself, in words of ours.")
    created_at: str = Field(description="RFC 3339, UTC, milliseconds.")
    expires_at: str = Field(description="When it is trusted no longer. RFC 3339, UTC.")


class FactorsAnswer(BaseModel):
    """What a user has set up. No secrets."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "methods": ["totp"],
                    "recovery_codes_left": 10,
                    "trusted_devices": [
                        {
                            "id": "trusted_device_01h455vb4pex5vsknk084sn02q",
                            "device": "Firefox on Linux",
                            "created_at": "2026-01-31T12:00:00.000Z",
                            "expires_at": "2026-03-02T12:00:00.000Z",
                        }
                    ],
                }
            ]
        }
    )

    methods: list[Method] = Field(description="Second factors, without recovery codes.")
    recovery_codes_left: int
    trusted_devices: list[TrustedDeviceAnswer] = Field(description="Newest first.")

    @classmethod
    def of(cls, overview: Overview) -> "FactorsAnswer":
        """Shape what a user has set up for the wire."""
        return cls(
            methods=list(overview.methods),
            recovery_codes_left=overview.recovery_codes_left,
            trusted_devices=[
                TrustedDeviceAnswer(
                    id=each.id,
                    device=each.device,
                    created_at=rfc3339(each.created_at),
                    expires_at=rfc3339(each.expires_at),
                )
                for each in overview.devices
            ],
        )
