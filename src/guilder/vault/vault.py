"""Envelope encryption of single values, and blind indexes to find them by.

Each value has a data key of its own, and only that key is wrapped by the master key: changing the
master key re-wraps 32 bytes and leaves the value's own ciphertext as it is.

A sealed text is `v1.<key id>.<wrapped data key>.<ciphertext>`, the last two in base64url:

    wrapped     nonce (12 bytes), data key (32), tag (16): always 80 characters
    ciphertext  nonce (12 bytes), text in UTF-8 (n), tag (16): ceil(4 * (n + 28) / 3) characters

so a text of n bytes takes 101 + ceil(4 * (n + 28) / 3) characters: an address of 20 takes 165. The
length of the text shows; nothing else does.
"""

import binascii
import hashlib
import hmac
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guilder.kernel.errors import check
from guilder.vault.errors import SealBroken

SECRET_MIN_BYTES = 32
KEY_BYTES = 32
"""AES-256."""
_NONCE_BYTES = 12
"""What GCM takes as it is (NIST SP 800-38D, 8.2)."""
_TAG_BYTES = 16
_SHORTEST_BOX = _NONCE_BYTES + _TAG_BYTES
_FORM = "v1"
_PARTS = 4


def derived_key(secret: bytes, purpose: str) -> bytes:
    """Return the 32-byte key that belongs to one purpose: no two uses of a secret share a key."""
    return hmac.digest(secret, b"guilder:" + purpose.encode(), hashlib.sha256)


def context_of(collection: str, document_id: str, field: str) -> str:
    """Return the place of a stored value; a sealed value opens nowhere else.

    Invariants:
        Two places never have the same context: neither a collection nor a field has a slash.
    """
    check("/" not in collection and "/" not in field, "collections and fields have no slash")
    return f"{collection}/{document_id}/{field}"


@dataclass(frozen=True, slots=True)
class VaultKey:
    """A master key.

    Args:
        secret: At least 32 bytes, from which the key is derived.

    Raises:
        InvariantViolation: The secret is too short.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what could be guessed."""
        check(len(self.secret) >= SECRET_MIN_BYTES, "a vault's secret has at least 32 bytes")

    @property
    def key_id(self) -> str:
        """Name of the key, 16 hex digits: public, and says nothing about the secret."""
        return derived_key(self.secret, "vault:key-id")[:8].hex()

    @property
    def key(self) -> bytes:
        """The 32 bytes that wrap data keys."""
        return derived_key(self.secret, "vault:master-key")


class Vault:
    """Seals values under the first key, and opens what any of the keys has sealed. Does no I/O.

    Invariants:
        No (key, nonce) pair seals twice. A data key is random and seals one value. Under a master
        key nonces are 96 random bits, which NIST allows 2^32 times: four thousand million values
        before the master key has to be changed.
        An opened value is what was sealed for that very context.
    """

    def __init__(self, keys: Sequence[VaultKey], *, index_secret: bytes) -> None:
        """Take the keys.

        Args:
            keys: At least one. The first seals; all of them open.
            index_secret: At least 32 bytes, the same for ever: other indexes find nothing.

        Raises:
            InvariantViolation: No key, or a secret that is too short.
        """
        check(keys, "a vault has at least one key")
        check(len(index_secret) >= SECRET_MIN_BYTES, "an index secret has at least 32 bytes")
        self._current = keys[0].key_id
        self._masters = {key.key_id: AESGCM(key.key) for key in reversed(keys)}
        self._index_secret = index_secret
        self._index_keys: dict[str, bytes] = {}

    def seal(self, text: str, *, context: str) -> str:
        """Return the text so that only a holder of the key can read it, and only in its place.

        Args:
            text: Anything, of any length; it need not be valid Unicode.
            context: Where it will be kept: `context_of` a stored field.

        Returns:
            ASCII without white space; another one each time.
        """
        data_key = secrets.token_bytes(KEY_BYTES)
        plain = text.encode("utf-8", "surrogatepass")
        box = _locked(AESGCM(data_key), plain, _value_data(context))
        return self._envelope(data_key, box, context)

    def open(self, sealed: str, *, context: str) -> str:
        """Return the text that was sealed for this context.

        Args:
            sealed: Any text at all.
            context: Where it was found.

        Raises:
            SealBroken: It was not sealed here, was changed, belongs elsewhere, or its key is gone.
        """
        key_id, wrapped, box = _parts(sealed)
        data_key = self._unwrapped(key_id, wrapped, context)
        plain = _unlocked(AESGCM(data_key), box, _value_data(context))
        return plain.decode("utf-8", "surrogatepass")

    def is_current(self, sealed: str) -> bool:
        """Tell whether the first key sealed it; does not open it.

        Raises:
            SealBroken: It has not the form of a sealed text.
        """
        return _parts(sealed)[0] == self._current

    def rewrap(self, sealed: str, *, context: str) -> str:
        """Return the same value under the first key, its own ciphertext untouched.

        The value is opened all the same: nothing that is already broken is given a new wrap.

        Raises:
            SealBroken: As for `open`.
        """
        key_id, wrapped, box = _parts(sealed)
        data_key = self._unwrapped(key_id, wrapped, context)
        _unlocked(AESGCM(data_key), box, _value_data(context))
        return self._envelope(data_key, box, context)

    def blind_index(self, purpose: str, value: str) -> str:
        """Return the keyed hash a value is looked up by: 64 hex digits.

        Args:
            purpose: What is looked up, such as `users.email`: equal values of two purposes
                cannot be told to be equal.
            value: In its one normal form.

        Invariants:
            The same for ever: master keys come and go without a change to it.
        """
        key = self._index_keys.get(purpose)
        if key is None:
            key = derived_key(self._index_secret, f"vault:blind-index:{purpose}")
            # Purposes are words of the code, not of callers: there are a handful.
            self._index_keys[purpose] = key
        raw = value.encode("utf-8", "surrogatepass")
        return hmac.digest(key, raw, hashlib.sha256).hex()

    def _envelope(self, data_key: bytes, box: bytes, context: str) -> str:
        master = self._masters[self._current]
        wrapped = _locked(master, data_key, _wrap_data(self._current, context))
        return f"{_FORM}.{self._current}.{_encoded(wrapped)}.{_encoded(box)}"

    def _unwrapped(self, key_id: str, wrapped: bytes, context: str) -> bytes:
        master = self._masters.get(key_id)
        if master is None:
            raise SealBroken
        data_key = _unlocked(master, wrapped, _wrap_data(key_id, context))
        if len(data_key) != KEY_BYTES:
            raise SealBroken
        return data_key


def _wrap_data(key_id: str, context: str) -> bytes:
    return f"guilder:vault:{_FORM}:key:{key_id}:{context}".encode("utf-8", "surrogatepass")


def _value_data(context: str) -> bytes:
    # Without the key's id, so that a new wrap leaves the ciphertext as it is.
    return f"guilder:vault:{_FORM}:value:{context}".encode("utf-8", "surrogatepass")


def _locked(cipher: AESGCM, plain: bytes, data: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, data)


def _unlocked(cipher: AESGCM, box: bytes, data: bytes) -> bytes:
    try:
        return cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], data)
    except InvalidTag:
        raise SealBroken from None


def _parts(sealed: str) -> tuple[str, bytes, bytes]:
    """Return key id, wrapped data key and ciphertext of any text that has the form."""
    parts = sealed.split(".")
    if len(parts) != _PARTS or parts[0] != _FORM:
        raise SealBroken
    return parts[1], _decoded(parts[2]), _decoded(parts[3])


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    try:
        raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SealBroken from None
    # One value has one spelling: base64 ignores the last character's spare bits, and `+` is `-`.
    if len(raw) < _SHORTEST_BOX or _encoded(raw) != text:
        raise SealBroken
    return raw
