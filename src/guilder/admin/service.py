"""The use-cases of those who run a deployment. Who may use which is declared by the routes."""

from dataclasses import dataclass

from guilder.admin.errors import OwnRole
from guilder.audit.models import AuditEvent
from guilder.audit.trail import AuditTrail, Entry, Search
from guilder.identity.authentication import Principal
from guilder.identity.models import User, UserRecord
from guilder.identity.role_changes import RoleChanges
from guilder.identity.roles import Role
from guilder.identity.service import IdentityService
from guilder.identity.session_ends import ENDED_BY_STAFF
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import UserId, decode_id
from guilder.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Person:
    """A user as staff may know him; addresses are masked before they leave the server."""

    record: UserRecord
    role: Role


class Administration:
    """Looks people up, sets roles, ends sessions, reads the record.

    Invariants:
        Looking somebody up is recorded, and so is every change.
    """

    def __init__(
        self, storage: Storage, *, clock: Clock, identity: IdentityService, audit: AuditTrail
    ) -> None:
        """Take what administration needs; does nothing yet."""
        self._events = storage.documents(AuditEvent)
        self._identity = identity
        self._audit = audit
        self._roles = RoleChanges(storage, clock=clock, audit=audit)

    async def person(self, user_id: str, *, seen_by: Principal, client: str | None) -> Person:
        """Return somebody's record.

        Raises:
            NotFound: There is no such user.
        """
        user = await self._identity.get_user(_user_id(user_id))
        if user is None:
            raise NotFound
        await self._audit.record(
            "user.viewed", actor=seen_by.user_id, subject=user.id, address=client
        )
        return self._person(user)

    async def set_role(
        self, user_id: str, role: Role, *, actor: Principal, client: str | None
    ) -> Person:
        """Give somebody a role, in force at once in this process and within a second in others.

        Raises:
            OwnRole: It is the actor's own.
            NotFound: There is no such user.
            Unavailable: Somebody else was faster over and over.
        """
        wanted = _user_id(user_id)
        if wanted == actor.user_id:
            raise OwnRole
        user = await self._roles.set(wanted, role, actor=actor.user_id, client=client)
        self._identity.rights_changed(user)
        return self._person(user)

    async def end_sessions(self, user_id: str, *, actor: Principal, client: str | None) -> None:
        """End somebody's sessions, at once in this process and within a second in others.

        The actor's own too, if asked. Each that ends is an event of the record.

        Raises:
            NotFound: There is no such user.
            Unavailable: A session changed over and over.
        """
        wanted = _user_id(user_id)
        if await self._identity.get_user(wanted) is None:
            raise NotFound
        await self._identity.session_ends.end_all(
            wanted, because=ENDED_BY_STAFF, client=client, actor=actor.user_id
        )

    async def events(self, wanted: Search, *, after: str | None, limit: int) -> list[Entry]:
        """Return events of the record, newest first.

        Args:
            wanted: Which ones.
            after: Id of the last event of the page before.
            limit: The most to return.

        Raises:
            NotFound: There is no event `after`.
        """
        last = None
        if after is not None:
            last = await self._events.get(after)
            if last is None:
                raise NotFound
        return await self._audit.search(wanted, after=last, limit=limit)

    def _person(self, user: User) -> Person:
        return Person(self._identity.record_of(user), user.role)


def _user_id(text: str) -> UserId:
    decode_id("user", text)
    return UserId(text)
