"""The ways to prove oneself for a challenge, but for passkeys."""

from guilder.audit.trail import AuditTrail
from guilder.identity import rules
from guilder.identity.challenges import Given
from guilder.identity.factors.errors import FactorWrong
from guilder.identity.factors.recovery_codes import RecoveryCodes
from guilder.identity.factors.totp import Totp
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.passwords import Passwords
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict


class TotpProver:
    """The code that an app shows."""

    def __init__(self, totp: Totp) -> None:
        """Take the apps."""
        self._totp = totp

    async def is_set(self, user_id: UserId) -> bool:
        """Tell whether the user has an app."""
        return await self._totp.is_set(user_id)

    async def prove(self, user: User, given: Given, *, challenge_id: str) -> None:
        """Use the code up.

        Raises:
            FactorWrong: Another code, or one that was used.
        """
        del challenge_id
        await self._totp.take(user.user_id, given.code)


class RecoveryCodeProver:
    """One of the codes that were written down. The user is told of each that is used."""

    def __init__(
        self, codes: RecoveryCodes, *, storage: Storage, notices: Notices, audit: AuditTrail
    ) -> None:
        """Take what using one needs; does nothing yet."""
        self._codes = codes
        self._storage = storage
        self._notices = notices
        self._audit = audit

    async def is_set(self, user_id: UserId) -> bool:
        """Tell whether the user has a code left."""
        return await self._codes.left(user_id) > 0

    async def prove(self, user: User, given: Given, *, challenge_id: str) -> None:
        """Use the code up, and tell the user.

        Raises:
            FactorWrong: None of the user's, or used before.
        """
        left = max(0, await self._codes.left(user.user_id) - 1)
        try:
            async with self._storage.transaction() as transaction:
                await self._codes.take(transaction, user.user_id, given.code)
                await self._notices.tell(
                    transaction, user, "recovery_codes_used", {"left": str(left)}
                )
                await self._audit.record(
                    "recovery_code.used",
                    actor=user.id,
                    subject=user.id,
                    details={"challenge_id": challenge_id, "left": str(left)},
                    transaction=transaction,
                )
        except VersionConflict:
            raise FactorWrong from None  # Somebody else has used it in this moment.


class PasswordProver:
    """The password, given again."""

    def __init__(self, passwords: Passwords) -> None:
        """Take what compares passwords."""
        self._passwords = passwords

    async def is_set(self, user_id: UserId) -> bool:
        """Tell that there is one: who has lost it sets a new one by e-mail."""
        del user_id
        return True

    async def prove(self, user: User, given: Given, *, challenge_id: str) -> None:
        """Compare the password.

        Raises:
            FactorWrong: Another one.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        del challenge_id
        usable = rules.is_password_usable(given.code)
        if not usable or not await self._passwords.verify(given.code, user.password_hash):
            raise FactorWrong
