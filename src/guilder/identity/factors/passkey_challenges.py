"""Challenges that passkeys answer: random, stored, short-lived, and good for one answer.

The browser signs the challenge, so the answer itself says which one it belongs to.
"""

import hashlib
import secrets
from datetime import timedelta
from enum import StrEnum
from typing import Final

from guilder.identity.factors.passkey_models import PasskeyChallenge
from guilder.kernel.clock import Clock
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage

TTL_S: Final = 300
"""WebAuthn Level 3, 15.1: five minutes where the device asks who it is."""
_BYTES = 32


class Purpose(StrEnum):
    """What an answer is for. An answer for one is none for another."""

    REGISTER = "register"
    SIGN_IN = "sign_in"
    FACTOR = "factor"


class PasskeyChallenges:
    """Gives out challenges and takes each back once.

    Invariants:
        However many answers to one challenge come at once, one of them is looked at.
    """

    def __init__(self, storage: Storage, *, clock: Clock) -> None:
        """Take what storing needs; does nothing yet."""
        self._challenges = storage.documents(PasskeyChallenge)
        self._clock = clock

    async def give(
        self, purpose: Purpose, *, user_id: UserId | None = None, subject: str = ""
    ) -> bytes:
        """Return a new challenge of 256 random bits.

        Args:
            purpose: What the answer is for.
            user_id: Who may answer; None for whoever has a passkey.
            subject: What else the answer is bound to.
        """
        challenge = secrets.token_bytes(_BYTES)
        now = self._clock()
        await self._challenges.insert(
            PasskeyChallenge(
                id=_id_of(purpose, challenge),
                user_id=user_id,
                subject=subject,
                kept_until=now + timedelta(seconds=TTL_S),
                created_at=now,
                updated_at=now,
            )
        )
        return challenge

    async def take(
        self,
        purpose: Purpose,
        challenge: bytes,
        *,
        user_id: UserId | None = None,
        subject: str = "",
    ) -> bool:
        """Use a challenge up; tell whether it was good for this.

        One that is shown for something else is used up too.
        """
        challenge_id = _id_of(purpose, challenge)
        found = await self._challenges.get(challenge_id)
        if found is None or not await self._challenges.delete(challenge_id):
            return False
        is_meant = found.user_id == user_id and found.subject == subject
        return is_meant and self._clock() < found.kept_until


def _id_of(purpose: Purpose, challenge: bytes) -> str:
    return hashlib.sha256(f"passkey:{purpose}:".encode() + challenge).hexdigest()
