"""Changes a user together with all that belongs to the change: message, record, used-up code."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec.structs import replace

from guilder.identity.authentication import Principal
from guilder.identity.models import Session, User
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound, Unavailable
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict

_ATTEMPTS = 16

Also: TypeAlias = Callable[[Transaction, User], Awaitable[None]]
"""Told the changed user, in the transaction that stores it."""
First: TypeAlias = Callable[[Transaction], Awaitable[None]]
"""Makes room for a change, in its transaction."""


class UserChanges:
    """Stores changes of users; those that meet are done one after the other."""

    def __init__(self, storage: Storage, *, clock: Clock) -> None:
        """Take what changing needs; does nothing yet."""
        self._storage = storage
        self._users = storage.documents(User)
        self._clock = clock

    async def change(
        self,
        user_id: UserId,
        make: Callable[[User], User],
        *,
        also: Also,
        first: First | None = None,
    ) -> User:
        """Store `make(user)`, and what `also` writes, or neither.

        Args:
            user_id: Who changes.
            make: Returns the user as it is to be. Called again if somebody was faster, so it looks
                at what it is given, and may raise.
            also: Called with the changed user in the same transaction; again, if that was undone.
            first: Called in it before the user is stored. What then is a duplicate came in between,
                and all is done again.

        Raises:
            DuplicateDocument: Without `first`.
            NotFound: There is no such user, or the account is closed.
            Unavailable: Somebody was faster over and over.
        """
        for _ in range(_ATTEMPTS):
            user = await self._users.get(user_id)
            if user is None or user.closed_at is not None:
                raise NotFound
            wanted = replace(make(user), updated_at=self._clock())
            try:
                async with self._storage.transaction() as transaction:
                    if first is not None:
                        await first(transaction)
                    changed = await transaction.documents(User).replace(wanted)
                    await also(transaction, changed)
            except VersionConflict:
                continue
            except DuplicateDocument:
                if first is None:
                    raise
                continue
            return changed
        raise Unavailable(retry_after_s=1)


async def carry_over(
    transaction: Transaction,
    principal: Principal,
    user: User,
    *,
    is_factor_left: bool = True,
) -> None:
    """Let the session that changes its user's credentials go on, when all others end.

    Args:
        transaction: Of the change.
        principal: Of the session.
        user: As changed.
        is_factor_left: False if the user's last second factor is removed: at its next refresh the
            session is one without.
    """
    if principal.session_id is None:
        return
    sessions = transaction.documents(Session)
    session = await sessions.get(principal.session_id)
    if session is not None:
        await sessions.replace(
            replace(
                session,
                credentials_version=user.credentials_version,
                has_second_factor=session.has_second_factor and is_factor_left,
            )
        )
