"""Ends sessions: stored and recorded at once, refused here at once and elsewhere a moment later."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Final

import structlog
from msgspec.structs import replace

from guilder.audit.trail import AuditTrail
from guilder.identity.models import Session
from guilder.identity.revocations import Revocations
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.kernel.ids import SessionId, UserId
from guilder.storage.base import Collection, Range, Storage, Transaction
from guilder.storage.errors import VersionConflict
from guilder.storage.paging import every_document

ATTEMPTS: Final = 16
"""A session changes at most a few times in a row under us: it is rotated, then ended."""

SIGNED_OUT: Final = "signed_out"
ENDED_BY_USER: Final = "ended_by_user"
ENDED_BY_STAFF: Final = "ended_by_staff"
CREDENTIALS_CHANGED: Final = "credentials_changed"
REFRESH_TOKEN_REUSED: Final = "refresh_token_reused"  # noqa: S105 - a word, no secret

_log = structlog.get_logger(__name__)


def every_session(
    sessions: Collection[Session],
    user_id: UserId,
    *,
    after: tuple[datetime, str] | None = None,
    is_latest_first: bool = False,
) -> AsyncIterator[Session]:
    """Return every stored session of a user, those that are over too.

    Args:
        sessions: Where they are.
        user_id: Whose.
        after: Begin after that time of opening and id.
        is_latest_first: By time of opening; else the earliest come first.
    """
    return every_document(
        sessions,
        {"user_id": user_id},
        within=Range(field="created_at"),
        after=after,
        descending=is_latest_first,
    )


class SessionEnds:
    """How a session ends, whatever for."""

    def __init__(
        self, *, storage: Storage, clock: Clock, revocations: Revocations, audit: AuditTrail
    ) -> None:
        """Take what ending needs; does nothing yet."""
        self._storage = storage
        self._sessions = storage.documents(Session)
        self._clock = clock
        self._revocations = revocations
        self._audit = audit

    async def end(
        self,
        session_id: str,
        *,
        because: str,
        client: str | None,
        actor: UserId | None = None,
        only_if: Callable[[Session], bool] = lambda _: True,
    ) -> bool:
        """End a session; tell whether it was this call that did.

        Args:
            session_id: Any id at all.
            because: A word of `Session.revoked_because`.
            client: The client's address; None if there is none.
            actor: Who ends it; None for whoever has it.
            only_if: Looks at the session as it is; whatever it refuses is left alone.

        Raises:
            Unavailable: It changed over and over.
        """
        for _ in range(ATTEMPTS):
            session = await self._sessions.get(session_id)
            if session is None or session.revoked_at is not None or not only_if(session):
                return False
            try:
                async with self._storage.transaction() as transaction:
                    await self.store(transaction, session, because=because)
                    await self._audit.record(
                        "session.ended",
                        actor=actor or session.user_id,
                        subject=session.user_id,
                        details={"session_id": session.id, "because": because},
                        address=client,
                        transaction=transaction,
                    )
            except VersionConflict:
                continue
            self.announce(session, because=because)
            return True
        raise Unavailable(retry_after_s=1)

    async def end_all(
        self,
        user_id: UserId,
        *,
        because: str,
        client: str | None,
        actor: UserId | None = None,
        but: SessionId | None = None,
    ) -> None:
        """End a user's sessions. One that is opened meanwhile may stay.

        Args:
            user_id: Whose.
            because: A word of `Session.revoked_because`.
            client: The client's address; None if there is none.
            actor: Who ends them; None for the user.
            but: The one that stays.

        Raises:
            Unavailable: One changed over and over. Those before it have ended.
        """
        async for session in every_session(self._sessions, user_id):
            if session.id != but and session.revoked_at is None:
                await self.end(session.id, because=because, client=client, actor=actor)

    async def store(self, transaction: Transaction, session: Session, *, because: str) -> None:
        """Write that a session has ended. Call `announce` after the commit.

        Raises:
            VersionConflict: It has changed meanwhile.
        """
        now = self._clock()
        changed = replace(session, revoked_at=now, revoked_because=because, updated_at=now)
        await transaction.documents(Session).replace(changed)

    def announce(self, session: Session, *, because: str) -> None:
        """Refuse the session's access tokens in this process from now on."""
        self._revocations.add(session.session_id, self._clock())
        _log.info("session_ended", session_id=session.id, user_id=session.user_id, because=because)
