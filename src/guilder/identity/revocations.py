"""Which sessions have ended before their access tokens: kept in memory, so that looking is free.

A sign-out in this process counts at once. Those of other processes are read from the database about
twice a second. If that fails for long, nobody is let in: a guard that cannot see stays shut.
"""

import time
from datetime import datetime, timedelta

from guilder.identity.models import Session
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.kernel.ids import SessionId
from guilder.ledger.background import BackgroundTask
from guilder.storage.base import Range, Storage

_OVERLAP = timedelta(seconds=30)
"""Each look goes this far back behind the last: covers slow commits and clocks that differ."""
_PAGE = 500


class Revocations:
    """The ended sessions whose access tokens could still be alive.

    Invariants:
        A session stays here for at least the life of an access token after it ended.
    """

    def __init__(
        self, *, storage: Storage, clock: Clock, access_ttl_s: int, poll_s: float, stale_s: float
    ) -> None:
        """Know of no session yet; `start` reads them."""
        self._sessions = storage.documents(Session)
        self._clock = clock
        self._keep = timedelta(seconds=access_ttl_s) + _OVERLAP
        self._stale_s = stale_s
        self._ended: dict[SessionId, datetime] = {}
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

    async def look(self) -> None:
        """Read the sessions that ended since the last look, and forget those too old to matter."""
        now = self._clock()
        since = now - self._keep if self._looked_until is None else self._looked_until - _OVERLAP
        after: tuple[datetime, str] | None = None
        while True:
            within = Range(field="revoked_at", at_least=since)
            page = await self._sessions.page({}, within=within, after=after, limit=_PAGE)
            for session in page:
                if session.revoked_at is not None:
                    self._ended[session.session_id] = session.revoked_at
                    after = (session.revoked_at, session.id)
            if len(page) < _PAGE:
                break
        self._looked_until = now
        self._forget_before(now - self._keep)

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
