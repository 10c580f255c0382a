"""The idempotency key of a request: how it is read, and what makes two requests the same request.

Source:
    IETF draft-ietf-httpapi-idempotency-key-header. Why it is the transfer's id: `docs/decisions/`.
"""

import hashlib
import hmac
import re
from typing import Final, cast

import msgspec
from starlette.requests import Request

from guilder.kernel.errors import FieldError, GuilderError, InvalidRequest, Kind

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = {"Idempotent-Replayed": "true"}
"""Marks an answer that was given before."""

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_encode = msgspec.json.Encoder(order="sorted").encode

KEY_PARAMETER: Final = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": "1 to 255 printable ASCII characters, made by the client and kept for "
    "every retry of the same request, for ever.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "5b1d6f0e-6b6c-4c3c-9a58-0d6a4b0c7f11",
}
"""The header in OpenAPI, where it is required."""


class IdempotencyKeyRequired(GuilderError):
    """A request that moves money has an `Idempotency-Key`, so that no retry moves it twice."""

    code = "idempotency_key_required"
    kind = Kind.MALFORMED
    title = "An Idempotency-Key header is required"


def idempotency_key(request: Request) -> str:
    """Return the key under which a request may be sent again.

    Returns:
        1 to 255 printable ASCII characters, with no space at either end.

    Raises:
        IdempotencyKeyRequired: There is none.
        InvalidRequest: It is longer, or of other characters, or sent twice.
    """
    keys = request.headers.getlist(HEADER)
    if not keys:
        raise IdempotencyKeyRequired
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest(fields=(_KEY_ERROR,))
    return keys[0]


def fingerprint_key(request: Request) -> bytes:
    """Return the key that the application was composed with, for `request_fingerprint`."""
    return cast("bytes", request.app.state.fingerprint_key)


def request_fingerprint(secret: bytes, method: str, path: str, body: object) -> bytes:
    """Return 32 bytes that are equal for equal requests.

    Keyed, because it is stored: whoever has a dump could else try every phone number there is, and
    see which of them was paid.

    Args:
        secret: `fingerprint_key`, the same for ever.
        method: Such as `POST`.
        path: Of the operation, without prefix: an alias is the same operation.
        body: The decoded body. White space and the order of fields are gone by
            then; every value counts.
    """
    raw = _encode(body)
    return hmac.digest(secret, f"{method} {path}\n".encode() + raw, hashlib.sha256)


_KEY_ERROR = FieldError(
    "/header/Idempotency-Key", "wrong_form", "Give 1 to 255 printable ASCII characters, once."
)
