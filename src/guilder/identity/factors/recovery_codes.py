"""Recovery codes: for whoever has lost the second factor.

120 random bits each, so a keyed hash is all that has to be stored (ASVS 6.5.2 asks for 112), and
a code is found by its hash.
"""

import hashlib
import hmac
import re
import secrets

from guilder.identity.factors.errors import FactorWrong
from guilder.identity.factors.models import RecoveryCode
from guilder.kernel.clock import Clock
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage, Transaction

COUNT = 10
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base32: nothing in it is easily taken for something else."""
_LENGTH = 24
_GROUP = 4
_PLAIN = re.compile(rf"[{_ALPHABET}]{{{_LENGTH}}}", re.ASCII)
_TYPED_MAX = 64
_ALIKE = str.maketrans({"i": "1", "l": "1", "o": "0", " ": None, "-": None})


class RecoveryCodes:
    """The codes of all users, each good once."""

    def __init__(self, storage: Storage, *, clock: Clock, key: bytes) -> None:
        """Take what codes need; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for records.
            key: Keys the hashes.
        """
        self._codes = storage.documents(RecoveryCode)
        self._clock = clock
        self._key = key

    async def left(self, user_id: UserId) -> int:
        """Return how many of the user's codes were not used."""
        return len(await self._codes.page({"user_id": user_id}, limit=COUNT))

    async def replace(self, transaction: Transaction, user_id: UserId) -> list[str]:
        """Return ten new codes, the only ones that are good from now on. Stored nowhere."""
        await self.remove(transaction, user_id)
        now = self._clock()
        made = [_made() for _ in range(COUNT)]
        for code in made:
            await transaction.documents(RecoveryCode).insert(
                RecoveryCode(
                    id=self._id(user_id, code), user_id=user_id, created_at=now, updated_at=now
                )
            )
        return ["-".join(_groups(code)) for code in made]

    async def remove(self, transaction: Transaction, user_id: UserId) -> None:
        """End all codes of a user."""
        codes = transaction.documents(RecoveryCode)
        for each in await codes.page({"user_id": user_id}, limit=2 * COUNT):
            await codes.delete(each.id)

    async def take(self, transaction: Transaction, user_id: UserId, code: str) -> None:
        """Use a code up. One of many at once succeeds.

        Args:
            transaction: Of what the code is used for.
            user_id: Whose code it is.
            code: As typed: case, blanks and dashes do not matter.

        Raises:
            FactorWrong: None of the user's, or used before.
            VersionConflict: It is being used in this moment.
        """
        plain = code[:_TYPED_MAX].lower().translate(_ALIKE)
        if not _PLAIN.fullmatch(plain):
            raise FactorWrong
        if not await transaction.documents(RecoveryCode).delete(self._id(user_id, plain)):
            raise FactorWrong

    def _id(self, user_id: str, code: str) -> str:
        return hmac.digest(self._key, f"{user_id}:{code}".encode(), hashlib.sha256).hex()


def _made() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def _groups(code: str) -> list[str]:
    return [code[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP)]
