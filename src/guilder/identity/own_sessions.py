"""A user's own sessions: listed, and ended by the one who has them."""

from datetime import datetime

from msgspec.structs import replace

from guilder.identity.addresses import Addresses
from guilder.identity.config import IdentityConfig
from guilder.identity.models import Session, User
from guilder.identity.session_ends import ENDED_BY_USER, SessionEnds, every_session
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.kernel.ids import SessionId, UserId
from guilder.storage.base import Storage


class OwnSessions:
    """The use-cases of somebody who looks where they are signed in."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        config: IdentityConfig,
        ends: SessionEnds,
        addresses: Addresses,
    ) -> None:
        """Take what looking needs; does nothing yet."""
        self._sessions = storage.documents(Session)
        self._clock = clock
        self._config = config
        self._ends = ends
        self._addresses = addresses

    async def page(
        self, user: User, *, after: tuple[datetime, str] | None, limit: int
    ) -> list[Session]:
        """Return the user's sessions that are not over, the latest opened first.

        Args:
            user: As they are now.
            after: Time of opening and id of the last one of the page before.
            limit: At most so many.
        """
        found: list[Session] = []
        now, longest = self._clock(), self._config.session_ttl(user.role)
        every = every_session(self._sessions, user.user_id, after=after, is_latest_first=True)
        async for stored in every:
            session = replace(stored, expires_at=stored.ends_at(longest))
            if session.is_live(now, self._config.session_idle) and not session.is_outdated(user):
                found.append(session)
            if len(found) == limit:
                break
        return found

    def place_of(self, session: Session) -> str:
        """Return words for where a session was last used; empty if nobody knows."""
        return self._addresses.place_of(session)

    async def end_one(self, user_id: UserId, session_id: str, *, client: str | None = None) -> None:
        """End a session of the user's. One that is over already stays so.

        Raises:
            NotFound: The user has no such session.
        """
        session = await self._sessions.get(session_id)
        if session is None or session.user_id != user_id:
            raise NotFound
        await self._ends.end(session_id, because=ENDED_BY_USER, client=client)

    async def end_others(
        self, user_id: UserId, *, but: SessionId | None, client: str | None = None
    ) -> None:
        """End the user's sessions, all but one."""
        await self._ends.end_all(user_id, because=ENDED_BY_USER, client=client, but=but)
