"""Devices with passkeys, made of software: honest ones, and such as lie in one point."""

import base64
import dataclasses
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from soft_webauthn import SoftWebauthnDevice  # type: ignore[import-untyped]
from webauthn.helpers import encode_cbor, parse_cbor

ORIGIN = "http://localhost:8000"
PRESENT, VERIFIED, SYNCABLE, SYNCED, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
"""Flags of what a device says (WebAuthn Level 3, 6.1)."""
_RP, _FLAGS, _COUNT = slice(0, 32), 32, slice(33, 37)

Json = dict[str, Any]


@dataclasses.dataclass
class SoftDevice:
    """A device with one passkey.

    Args:
        flags: What it says of its user.
        counts: It shows how often it was used.
        origin: The page that asks.
    """

    flags: int = PRESENT | VERIFIED
    counts: bool = True
    origin: str = ORIGIN
    soft: SoftWebauthnDevice = dataclasses.field(default_factory=SoftWebauthnDevice)

    def make(self, public_key: Json, **lies: Any) -> Json:
        """Make the passkey, and return what a browser would send; see `_client_data` for lies."""
        options = {
            **public_key,
            "challenge": decoded(public_key["challenge"]),
            "user": {**public_key["user"], "id": decoded(public_key["user"]["id"])},
        }
        made = self.soft.create({"publicKey": options}, self.origin)
        attested = parse_cbor(made["response"]["attestationObject"])
        data = self._lying(attested["authData"], lies, ATTESTED)
        response = {
            "clientDataJSON": self._client_data("webauthn.create", public_key, lies),
            "attestationObject": encode_cbor({**attested, "authData": data}),
        }
        return self._credential({**response, **lies.get("response", {})}, lies) | {
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
        }

    def show(self, public_key: Json, **lies: Any) -> Json:
        """Answer a challenge, and return what a browser would send."""
        options = {
            **public_key,
            "challenge": decoded(public_key["challenge"]),
            "rpId": self.soft.rp_id,
        }
        shown = self.soft.get({"publicKey": options}, self.origin)["response"]
        data = self._lying(shown["authenticatorData"], lies, 0)
        client_data = self._client_data("webauthn.get", public_key, lies)
        signed = data + hashlib.sha256(client_data).digest()
        response = {
            "authenticatorData": data,
            "clientDataJSON": client_data,
            "signature": self.soft.private_key.sign(signed, ec.ECDSA(hashes.SHA256())),
            "userHandle": shown["userHandle"],
        }
        return self._credential({**response, **lies.get("response", {})}, lies)

    def _lying(self, data: bytes, lies: Json, more: int) -> bytes:
        """Return what the device says, with its own flags and count, or others."""
        told = bytearray(data)
        if "rp_id" in lies:
            told[_RP] = hashlib.sha256(lies["rp_id"].encode()).digest()
        told[_FLAGS] = lies.get("flags", self.flags) | more
        count = self.soft.sign_count if self.counts else 0
        told[_COUNT] = int(lies.get("count", count)).to_bytes(4, "big")
        return bytes(told)

    def _client_data(self, kind: str, public_key: Json, lies: Json) -> bytes:
        """Return what the browser says, but for `challenge`, `origin`, `type` and others to lie."""
        told = {
            "type": kind,
            "challenge": public_key["challenge"],
            "origin": self.origin,
            "crossOrigin": False,
            **lies.get("client_data", {}),
        }
        return json.dumps(told).encode()

    def _credential(self, response: Json, lies: Json) -> Json:
        credential_id = encoded(self.soft.credential_id)
        written = {
            name: encoded(value) if isinstance(value, bytes) else value
            for name, value in response.items()
            if value is not None
        }
        return {
            "id": credential_id,
            "rawId": credential_id,
            "type": "public-key",
            "response": written,
            **lies.get("credential", {}),
        }


def encoded(raw: bytes) -> str:
    """Write bytes as base64url."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Read base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
