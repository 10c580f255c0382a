"""Ids: on the wire a TypeID (`wallet_01h455vb4pex5vsknk084sn02q`), inside the books a UUID.

Source:
    TypeID specification 0.3: prefix, `_`, and 26 characters of Crockford base32 for 128 bits.
    RFC 9562: UUIDv7 (time-ordered) for new ids, UUIDv8 for ids derived from other data.
"""

import hashlib
from typing import NewType
from uuid import UUID

import uuid_utils

from guilder.kernel.errors import NotFound

UserId = NewType("UserId", str)
WalletId = NewType("WalletId", str)
SessionId = NewType("SessionId", str)
TransferId = NewType("TransferId", str)
PaymentId = NewType("PaymentId", str)
PayoutId = NewType("PayoutId", str)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_DIGITS = {character: index for index, character in enumerate(_ALPHABET)}
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_LENGTH = 26


def new_uuid() -> UUID:
    """Return a new UUIDv7: later ones sort after earlier ones of this process."""
    return UUID(int=uuid_utils.uuid7().int)


def new_id(prefix: str) -> str:
    """Return a new TypeID with `prefix`."""
    return encode_id(prefix, new_uuid())


def encode_id(prefix: str, uuid: UUID) -> str:
    """Write a UUID as a TypeID.

    >>> encode_id("user", UUID("0188bac7-4afa-78aa-bc3b-bd1eef28d881"))
    'user_01h2xcejqtf2nbrexx3vqjhp41'
    """
    value = uuid.int
    pairs = [_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)]
    return f"{prefix}_{''.join(pairs)}"


def decode_id(prefix: str, text: str) -> UUID:
    """Read the UUID out of a TypeID.

    Raises:
        NotFound: `text` is no TypeID of that prefix. An id that cannot exist
            is answered like one that does not.
    """
    head, separator, digits = text.rpartition("_")
    if not separator or head != prefix or len(digits) != _LENGTH or digits[0] > "7":
        raise NotFound
    value = 0
    for character in digits:
        digit = _DIGITS.get(character)
        if digit is None:
            raise NotFound
        value = value << 5 | digit
    return UUID(int=value)


def derived_uuid(*parts: str | bytes) -> UUID:
    """Return the UUIDv8 that belongs to `parts`: equal parts, equal id, for ever.

    Invariants:
        Each part is hashed with its length, so ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(4, "big"))
        digest.update(raw)
    value = int.from_bytes(digest.digest()[:16], "big")
    value = value & ~(0xF << 76) | 8 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)
