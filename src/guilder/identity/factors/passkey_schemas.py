"""The bodies of passkeys on the wire.

What a browser makes goes as `PublicKeyCredential.toJSON()` writes it, in its own words. Members
that are not declared here are let pass inside of it, and only there: browsers add some by and by.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from guilder.identity.factors.passkey_ceremonies import Json
from guilder.identity.factors.passkey_models import PasskeyRecord
from guilder.identity.factors.passkey_rules import CREDENTIAL_ID_MAX, NAME_MAX
from guilder.identity.factors.passkeys import Added, Options
from guilder.kernel.clock import rfc3339

_TIME = "2026-01-31T12:00:00.000Z"
_ID = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
_CHALLENGE = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA"
_CLIENT_DATA = "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0"
_AUTHENTICATOR_DATA = "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAQ"
_CREDENTIAL: JsonDict = {"id": _ID, "rawId": _ID, "type": "public-key"}
_PASSKEY: JsonDict = {
    "id": "passkey_01h455vb4pex5vsknk084sn02q",
    "name": "Telephone",
    "synced": True,
    "copy_suspected": False,
    "created_at": _TIME,
    "last_used_at": None,
}

Encoded = Annotated[
    str, StringConstraints(min_length=1, max_length=16_384, pattern=r"^[A-Za-z0-9_-]+$")
]
"""Bytes in base64url without padding."""
EncodedId = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=(CREDENTIAL_ID_MAX * 4 + 2) // 3, pattern=r"^[A-Za-z0-9_-]+$"
    ),
]
PasskeyName = Annotated[
    str, StringConstraints(min_length=1, max_length=NAME_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class _FromBrowser(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    @property
    def plain(self) -> Json:
        """As plain data, in the browser's names."""
        return self.model_dump(by_alias=True, exclude_none=True)


class _Attestation(_FromBrowser):
    client_data: Encoded = Field(alias="clientDataJSON")
    attestation: Encoded = Field(alias="attestationObject")
    transports: list[Annotated[str, StringConstraints(max_length=32)]] = Field(
        default=[], max_length=16
    )


class _Assertion(_FromBrowser):
    client_data: Encoded = Field(alias="clientDataJSON")
    authenticator_data: Encoded = Field(alias="authenticatorData")
    signature: Encoded
    user_handle: Encoded | None = Field(None, alias="userHandle")


class _Credential(_FromBrowser):
    id: EncodedId
    raw_id: EncodedId = Field(alias="rawId")
    type: Literal["public-key"]


class NewCredential(_Credential):
    """What `navigator.credentials.create` has made."""

    response: _Attestation


class ShownCredential(_Credential):
    """What `navigator.credentials.get` has made."""

    response: _Assertion


class PasskeyAddBody(_Request):
    """A passkey that a browser has just made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Telephone",
                    "credential": {
                        **_CREDENTIAL,
                        "response": {
                            "clientDataJSON": _CLIENT_DATA,
                            "attestationObject": "o2NmbXRkbm9uZQ",
                            "transports": ["internal"],
                        },
                    },
                }
            ]
        }
    )

    name: PasskeyName = Field(description="As its owner calls it.")
    credential: NewCredential = Field(description="As `PublicKeyCredential.toJSON()` makes it.")


class PasskeyRenameBody(_Request):
    """Another name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Old telephone"}]})

    name: PasskeyName


class PasskeySignInBody(_Request):
    """What a passkey has answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "credential": {
                        **_CREDENTIAL,
                        "response": {
                            "clientDataJSON": _CLIENT_DATA,
                            "authenticatorData": _AUTHENTICATOR_DATA,
                            "signature": "MEUCIQDx",
                            "userHandle": "dXNlcl8wMWgyeGNlanF0ZjJuYnJleHgzdnFqaHA0MQ",
                        },
                    }
                }
            ]
        }
    )

    credential: ShownCredential = Field(description="As `PublicKeyCredential.toJSON()` makes it.")


class PasskeyOptionsAnswer(BaseModel):
    """What a browser needs to answer a challenge."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "public_key": {
                        "challenge": _CHALLENGE,
                        "timeout": 300_000,
                        "rpId": "pay.example.com",
                        "allowCredentials": [],
                        "userVerification": "required",
                    },
                    "expires_in": 300,
                }
            ]
        }
    )

    public_key: dict[str, Any] = Field(
        description="In the words of WebAuthn, for `parseRequestOptionsFromJSON` or "
        "`parseCreationOptionsFromJSON` of `PublicKeyCredential`; what these return is the "
        "`publicKey` of `navigator.credentials.get` or `create`."
    )
    expires_in: int = Field(description="Seconds for which the answer is waited for.")

    @classmethod
    def of(cls, options: Options) -> "PasskeyOptionsAnswer":
        """Shape options for the wire."""
        return cls(public_key=options.public_key, expires_in=options.expires_in_s)


class PasskeyAnswer(BaseModel):
    """A passkey, as its owner sees it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PASSKEY]})

    id: str = Field(description="TypeID.")
    name: str = Field(description="As its owner calls it.")
    synced: bool = Field(description="It may be on several devices of its owner.")
    copy_suspected: bool = Field(
        description="It has shown an older count than before: somebody may have a copy. Remove it."
    )
    created_at: str = Field(description="RFC 3339, UTC, milliseconds.")
    last_used_at: str | None = Field(description="RFC 3339, UTC, milliseconds.")

    @classmethod
    def of(cls, passkey: PasskeyRecord) -> "PasskeyAnswer":
        """Shape a passkey for the wire."""
        used = passkey.last_used_at
        return cls(
            id=passkey.id,
            name=passkey.name,
            synced=passkey.is_synced,
            copy_suspected=passkey.copy_suspected_at is not None,
            created_at=rfc3339(passkey.created_at),
            last_used_at=None if used is None else rfc3339(used),
        )


class PasskeyAddedAnswer(BaseModel):
    """A passkey that was added, and recovery codes if it is the first factor."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"passkey": _PASSKEY, "recovery_codes": []}]}
    )

    passkey: PasskeyAnswer
    recovery_codes: list[str] = Field(
        description="Each is good once; shown only here. Empty if there were codes before, which "
        "stay good."
    )

    @classmethod
    def of(cls, added: Added) -> "PasskeyAddedAnswer":
        """Shape a new passkey for the wire."""
        return cls(passkey=PasskeyAnswer.of(added.passkey), recovery_codes=added.recovery_codes)


class PasskeysAnswer(BaseModel):
    """All passkeys of a user."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [_PASSKEY]}]})

    data: list[PasskeyAnswer] = Field(description="In the order in which they were added.")
