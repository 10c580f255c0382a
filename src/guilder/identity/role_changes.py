"""Sets roles. What was made of the old one is refused at once, and a refresh gives the new one."""

from msgspec.structs import replace

from guilder.audit.trail import AuditTrail
from guilder.identity.models import User
from guilder.identity.roles import Role
from guilder.identity.user_changes import UserChanges
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import UserId
from guilder.storage.base import Storage, Transaction


class RoleChanges:
    """The only writer of `User.role`."""

    def __init__(self, storage: Storage, *, clock: Clock, audit: AuditTrail) -> None:
        """Take what changing needs; does nothing yet."""
        self._users = storage.documents(User)
        self._clock = clock
        self._audit = audit
        self._changes = UserChanges(storage, clock=clock)

    async def set(
        self, user_id: UserId, role: Role, *, actor: str, client: str | None = None
    ) -> User:
        """Give somebody a role; one that he has already changes nothing.

        Args:
            user_id: Whose.
            role: The new one.
            actor: Id of who sets it, or `SYSTEM` for whoever has the command line.
            client: The client's address, for the record.

        Raises:
            NotFound: There is no such user.
            Unavailable: Somebody else was faster over and over.
        """
        user = await self._users.get(user_id)
        if user is None:
            raise NotFound
        if user.role is role:
            return user
        before = user.role

        def with_role(latest: User) -> User:
            nonlocal before
            before = latest.role
            if before is role:
                return latest  # Somebody else was faster with the same.
            return replace(latest.with_rights_changed(self._clock()), role=role)

        async def also(transaction: Transaction, changed: User) -> None:
            if before is role:
                return
            await self._audit.record(
                "role.changed",
                actor=actor,
                subject=changed.id,
                details={"from": before, "to": role},
                address=client,
                transaction=transaction,
            )

        return await self._changes.change(user_id, with_role, also=also)
