"""What WebAuthn says to browsers, and how their answers are verified. Does no I/O.

Everything that comes from a browser is untrusted: whatever is wrong with it, and however the
library that reads it fails, ends in `CeremonyFailed`.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import webauthn
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import (
    bytes_to_base64url,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    options_to_json_dict,
    parse_attestation_object,
)
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from guilder.identity.factors.passkey_challenges import TTL_S
from guilder.identity.factors.passkey_models import Passkey
from guilder.identity.factors.passkey_rules import CREDENTIAL_ID_MAX, RelyingParty
from guilder.kernel.ids import UserId

Json = dict[str, Any]
"""An object of JSON, as `PublicKeyCredential.toJSON()` makes it, or as browsers parse it."""

_FORMATS: Final = (AttestationFormat.NONE, AttestationFormat.PACKED)
"""What answers to `attestation: none` have. The others carry certificates, which nobody asks for,
and which would be read before anything in them is known to be true.
"""
_PUBLIC_KEY_MAX: Final = 1_024
"""Bytes: an RSA key of 4096 bits has about half of that, and checking grows with its length."""
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")


class CeremonyFailed(Exception):
    """An answer is not what a browser and a device say to this challenge."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a new passkey has shown."""

    credential_id: str
    public_key: str
    sign_count: int
    aaguid: str
    is_synced: bool
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a passkey has shown."""

    sign_count: int
    is_synced: bool


class Ceremonies:
    """Speaks to browsers for one relying party.

    Invariants:
        Nothing passes that another page, another party's passkey, or a device that did not ask
        who its user is has answered.
    """

    def __init__(self, relying_party: RelyingParty) -> None:
        """Take whom passkeys are for."""
        self._party = relying_party

    def creation_options(
        self,
        user_id: UserId,
        *,
        name: str,
        display: str,
        challenge: bytes,
        known: Sequence[Passkey],
    ) -> Json:
        """Return what `PublicKeyCredential.parseCreationOptionsFromJSON` takes.

        Args:
            user_id: Whose passkey it will be; the device keeps it and shows it at sign-in.
            name: Address or number, by which people tell their accounts apart.
            display: The user's name.
            challenge: To be answered.
            known: Passkeys the user has already: their devices make no second one.
        """
        return options_to_json_dict(
            webauthn.generate_registration_options(
                rp_id=self._party.id,
                rp_name=self._party.name,
                user_id=user_id.encode(),
                user_name=name,
                user_display_name=display,
                challenge=challenge,
                timeout=TTL_S * 1_000,
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.REQUIRED,
                    user_verification=UserVerificationRequirement.REQUIRED,
                ),
                exclude_credentials=[_descriptor(each) for each in known],
            )
        )

    def request_options(self, challenge: bytes, *, allowed: Sequence[Passkey] = ()) -> Json:
        """Return what `PublicKeyCredential.parseRequestOptionsFromJSON` takes.

        Args:
            challenge: To be answered.
            allowed: Whose answers are wanted; none: of any passkey that the device offers.
        """
        return options_to_json_dict(
            webauthn.generate_authentication_options(
                rp_id=self._party.id,
                challenge=challenge,
                timeout=TTL_S * 1_000,
                allow_credentials=[_descriptor(each) for each in allowed],
                user_verification=UserVerificationRequirement.REQUIRED,
            )
        )

    def made(self, credential: Json, challenge: bytes) -> NewKey:
        """Return the new passkey that a browser says was made.

        Raises:
            CeremonyFailed: It answers no challenge of ours, or cannot be verified later.
        """
        verified = self._registered(credential, challenge)
        raw_id = verified.credential_id
        fits = (
            bytes_to_base64url(raw_id) == credential["id"]
            and len(raw_id) <= CREDENTIAL_ID_MAX
            and len(verified.credential_public_key) <= _PUBLIC_KEY_MAX
        )
        if not fits:
            raise CeremonyFailed
        return NewKey(
            credential_id=bytes_to_base64url(raw_id),
            public_key=bytes_to_base64url(verified.credential_public_key),
            sign_count=verified.sign_count,
            aaguid=verified.aaguid,
            is_synced=_is_synced(verified),
            transports=_transports(credential),
        )

    def _registered(self, credential: Json, challenge: bytes) -> VerifiedRegistration:
        try:
            _check_format(credential)
            verified = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._party.id,
                expected_origin=list(self._party.origins),
                require_user_verification=True,
            )
            # A point that is on no curve would fail at every sign-in.
            key = decode_credential_public_key(verified.credential_public_key)
            decoded_public_key_to_cryptography(key)
        except Exception as error:
            # Whatever it is: parsers of hostile bytes fail in more ways than they document.
            raise CeremonyFailed from error
        return verified

    def shown(self, credential: Json, challenge: bytes, passkey: Passkey) -> Shown:
        """Return what a browser says that a passkey has shown. The count is not yet judged.

        Raises:
            CeremonyFailed: It was not that passkey, or not for this challenge.
        """
        verified = self._asserted(credential, challenge, passkey)
        if bytes_to_base64url(verified.credential_id) != passkey.credential_id:
            raise CeremonyFailed
        return Shown(sign_count=verified.new_sign_count, is_synced=_is_synced(verified))

    def _asserted(
        self, credential: Json, challenge: bytes, passkey: Passkey
    ) -> VerifiedAuthentication:
        try:
            return webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._party.id,
                expected_origin=list(self._party.origins),
                credential_public_key=_bytes(passkey.public_key),
                # The library would judge the count before the signature, and so believe anybody.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except Exception as error:
            # As above.
            raise CeremonyFailed from error


def _check_format(credential: Json) -> None:
    attested = parse_attestation_object(_bytes(credential["response"]["attestationObject"]))
    if attested.fmt not in _FORMATS:
        raise CeremonyFailed


def challenge_of(credential: Mapping[str, Any]) -> bytes:
    """Return the challenge that an answer says it answers.

    Raises:
        CeremonyFailed: It says none, or comes from a page inside somebody else's page.
    """
    try:
        client_data = json.loads(_bytes(credential["response"]["clientDataJSON"]))
        if client_data.get("crossOrigin") is True or "topOrigin" in client_data:
            raise CeremonyFailed
        return _bytes(client_data["challenge"])
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise CeremonyFailed from error


def user_handle_of(credential: Mapping[str, Any]) -> str | None:
    """Return whom the device says that it signs in, if it says so; `challenge_of` comes before."""
    handle = credential["response"].get("userHandle")
    if handle is None:
        return None
    try:
        return _bytes(handle).decode()
    except (TypeError, ValueError):
        return ""


def _bytes(text: str) -> bytes:
    """Read base64url without padding, and nothing that only resembles it.

    Raises:
        ValueError: It is not.
    """
    if not _BASE64URL.fullmatch(text):
        raise binascii.Error("no base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        id=_bytes(passkey.credential_id),
        transports=[AuthenticatorTransport(each) for each in passkey.transports] or None,
    )


def _is_synced(verified: VerifiedRegistration | VerifiedAuthentication) -> bool:
    return verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE


def _transports(credential: Json) -> tuple[str, ...]:
    """Return the ways to the device that are known; browsers learn new ones."""
    told = credential["response"].get("transports") or ()
    return tuple(each.value for each in AuthenticatorTransport if each.value in told)
