"""Which access tokens are refused before they expire: kept in memory, so that looking is free.

Those of sessions that have ended, and those that were made before their user's rights changed.

A change in this process counts at once. Those of other processes are read from the database about
twice a second. If that fails for long, nobody is let in: a guard that cannot see stays shut.
"""

import time
from datetime import datetime, timedelta

from guilder.identity.models import Session, User
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.kernel.ids import SessionId, UserId
from guilder.ledger.background import BackgroundTask
from guilder.storage.base import Range, Storage
from guilder.storage.paging import every_document

_OVERLAP = timedelta(seconds=30)
"""Each look goes this far back behind the last: covers slow commits and clocks that differ."""


class Revocations:
    """The ended sessions and changed users whose access tokens could still be alive.

    Invariants:
        What is here stays for at least the life of an access token after it happened.
        Rights are compared by number, not by time: a token made in the very moment of a change
        has either the old number or the new rights.
    """

    def __init__(
        self, *, storage: Storage, clock: Clock, access_ttl_s: int, poll_s: float, stale_s: float
    ) -> None:
        """Know of no session yet; `start` reads them."""
        self._sessions = storage.documents(Session)
        self._users = storage.documents(User)
        self._clock = clock
        self._keep = timedelta(seconds=access_ttl_s) + _OVERLAP
        self._stale_s = stale_s
        self._ended: dict[SessionId, datetime] = {}
        self._changed: dict[UserId, tuple[int, datetime]] = {}
        self._looked_until: datetime | None = None
        self._looked_at: float | None = None
        self._task = BackgroundTask(
            "identity-revocations", self._follow, every_ms=int(poll_s * 1000)
        )

    def add(self, session_id: SessionId, at: datetime) -> None:
        """Refuse a session's access tokens from now on in this process."""
        self._ended[session_id] = at

    def is_revoked(self, session_id: SessionId) -> bool:
        """Tell whether a session has ended.

        Raises:
            Unavailable: Following has been started, and could not look for too long to know.
        """
        if session_id in self._ended:
            return True
        if self._looked_at is not None and time.monotonic() - self._looked_at > self._stale_s:
            raise Unavailable(retry_after_s=1)
        return False

    def change(self, user: User) -> None:
        """Refuse from now on in this process what was made of older rights than `user` has."""
        if user.rights_changed_at is not None:
            known, _ = self._changed.get(user.user_id, (0, None))
            if user.rights_version >= known:
                self._changed[user.user_id] = (user.rights_version, user.rights_changed_at)

    def is_outdated(self, user_id: UserId, rights_version: int) -> bool:
        """Tell whether the user's rights have changed since a token was made of them."""
        latest, _ = self._changed.get(user_id, (0, None))
        return rights_version < latest

    async def look(self) -> None:
        """Read what happened since the last look, and forget what is too old to matter."""
        now = self._clock()
        since = now - self._keep if self._looked_until is None else self._looked_until - _OVERLAP
        await self._look_for_sessions(since)
        await self._look_for_users(since)
        self._looked_until = now
        self._forget_before(now - self._keep)

    async def _look_for_sessions(self, since: datetime) -> None:
        within = Range(field="revoked_at", at_least=since)
        async for session in every_document(self._sessions, {}, within=within):
            if session.revoked_at is not None:
                self._ended[session.session_id] = session.revoked_at

    async def _look_for_users(self, since: datetime) -> None:
        within = Range(field="rights_changed_at", at_least=since)
        async for user in every_document(self._users, {}, within=within):
            self.change(user)

    async def start(self) -> None:
        """Look once, then keep looking in the background."""
        await self._follow()
        self._task.start()

    async def stop(self) -> None:
        """Stop looking."""
        await self._task.stop()
        self._looked_at = None

    async def _follow(self) -> bool:
        await self.look()
        self._looked_at = time.monotonic()
        return False

    def _forget_before(self, limit: datetime) -> None:
        for session_id in [key for key, at in self._ended.items() if at < limit]:
            del self._ended[session_id]
        for user_id in [key for key, (_, at) in self._changed.items() if at < limit]:
            del self._changed[user_id]
