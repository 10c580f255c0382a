"""Two kinds of password hashes behind one face: bcrypt, and argon2id.

A hash says what it is, so each is checked in its own way whatever is set today. What must not show
is which kind somebody has: where both may exist, every check costs one of each.
"""

import base64
import binascii
import hmac
import secrets

import argon2.low_level
import bcrypt
from pwdlib.hashers.argon2 import ARGON2_ENCODED_HASH_REGEX, Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from guilder.identity.config import PasswordAlgorithm
from guilder.kernel.errors import InvariantViolation

_BCRYPT_SALT_LENGTH = 29
"""Characters of a bcrypt hash that hold its version, cost and salt."""
_ARGON2 = "$argon2id$"
_ARGON2_PASSES = 2
_ARGON2_LANES = 1
_ARGON2_SALT_BYTES = 16
_ARGON2_HASH_BYTES = 32


def salt_of(password_hash: str) -> str:
    """Return the part of a hash under which another password can be hashed for comparison."""
    if password_hash.startswith(_ARGON2):
        return password_hash.rpartition("$")[0]
    return password_hash[:_BCRYPT_SALT_LENGTH]


def algorithm_of(password_hash: str) -> PasswordAlgorithm:
    """Return what made a hash, or a salt."""
    return "argon2id" if password_hash.startswith(_ARGON2) else "bcrypt"


class PasswordHashers:
    """Makes hashes of one kind, and compares with both. Slow on purpose: never on the event loop.

    Args:
        current: Makes new hashes.
        previous: The other kind, if users may still have such hashes.
        bcrypt_cost: Its logarithm to the base 2.
        argon2_memory_kib: With two passes and one lane.

    Invariants:
        Every call costs one hash of each of `current` and `previous`, whatever is given.
    """

    def __init__(
        self,
        current: PasswordAlgorithm,
        *,
        previous: PasswordAlgorithm | None,
        bcrypt_cost: int,
        argon2_memory_kib: int,
    ) -> None:
        self._current = current
        self._costs = {current} if previous is None else {current, previous}
        self._bcrypt_cost = bcrypt_cost
        self._bcrypt = BcryptHasher(rounds=bcrypt_cost)
        self._argon2_memory_kib = argon2_memory_kib
        self._argon2 = Argon2Hasher(
            time_cost=_ARGON2_PASSES,
            memory_cost=argon2_memory_kib,
            parallelism=_ARGON2_LANES,
            hash_len=_ARGON2_HASH_BYTES,
            salt_len=_ARGON2_SALT_BYTES,
        )

    def hash(self, secret: bytes, *, salt: str | None) -> str:
        """Return a hash: of the current kind, or of the kind, cost and salt of an earlier one."""
        salt = salt or self._new_salt(self._current)
        self._spend(secret, besides=algorithm_of(salt))
        return _hashed(secret, salt)

    def verify(self, secret: bytes, password_hash: str | None) -> bool:
        """Tell whether a secret is the one that was hashed; none is behind None."""
        # Nobody's password: whatever it hashes to, it is not compared.
        salt = salt_of(password_hash) if password_hash else self._new_salt(self._current)
        self._spend(secret, besides=algorithm_of(salt))
        found = _hashed(secret, salt)
        return hmac.compare_digest(found, password_hash or "")

    def needs_rehash(self, password_hash: str) -> bool:
        """Tell whether a hash is of another kind or cost than a new one would be."""
        if algorithm_of(password_hash) != self._current:
            return True
        if self._current == "bcrypt":
            return self._bcrypt.check_needs_rehash(password_hash)
        return self._argon2.check_needs_rehash(password_hash)

    def _spend(self, secret: bytes, *, besides: PasswordAlgorithm) -> None:
        """Do the work of the kinds that are not needed here, and throw it away."""
        for algorithm in self._costs - {besides}:
            _hashed(secret, self._new_salt(algorithm))

    def _new_salt(self, algorithm: PasswordAlgorithm) -> str:
        if algorithm == "bcrypt":
            return bcrypt.gensalt(self._bcrypt_cost).decode()
        salt = base64.b64encode(secrets.token_bytes(_ARGON2_SALT_BYTES)).rstrip(b"=").decode()
        cost = f"m={self._argon2_memory_kib},t={_ARGON2_PASSES},p={_ARGON2_LANES}"
        return f"{_ARGON2}v={argon2.low_level.ARGON2_VERSION}${cost}${salt}"


def _hashed(secret: bytes, salt: str) -> str:
    """Return the hash of a secret under the kind, cost and salt that `salt` names.

    Raises:
        InvariantViolation: The salt is none: a stored hash was damaged.
    """
    if algorithm_of(salt) == "bcrypt":
        return bcrypt.hashpw(secret, salt.encode()).decode()
    parts = ARGON2_ENCODED_HASH_REGEX.match(salt)
    if parts is None or parts["salt"] is None:
        raise InvariantViolation("a stored password hash is damaged")
    raw = parts["salt"] + "=" * (-len(parts["salt"]) % 4)
    try:
        return argon2.low_level.hash_secret(
            secret,
            base64.b64decode(raw, validate=True),
            time_cost=int(parts["time_cost"]),
            memory_cost=int(parts["memory_cost"]),
            parallelism=int(parts["parallelism"]),
            hash_len=_ARGON2_HASH_BYTES,
            type=argon2.Type.ID,
            version=int(parts["version"]),
        ).decode()
    except (binascii.Error, argon2.exceptions.HashingError) as error:
        raise InvariantViolation("a stored password hash is damaged") from error
