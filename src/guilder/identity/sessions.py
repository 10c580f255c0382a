"""Sessions: opened by signing in, carried on by refresh tokens, ended by signing out or reuse."""

import hmac
from datetime import timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity import rules
from guilder.identity.addresses import Addresses
from guilder.identity.authentication import Principal
from guilder.identity.config import IdentityConfig
from guilder.identity.errors import (
    InvalidCredentials,
    RefreshTokenInvalid,
    RefreshTokenReused,
)
from guilder.identity.models import Session, User, UserRecord
from guilder.identity.notices import Notices
from guilder.identity.refresh_tokens import RefreshToken, RefreshTokens
from guilder.identity.revocations import Revocations
from guilder.identity.tokens import AccessTokens
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.kernel.ids import SessionId, UserId, new_id
from guilder.storage.base import Range, Scalar, Storage, Transaction
from guilder.storage.errors import VersionConflict

_ATTEMPTS = 16
"""A session changes at most a few times in a row under us: it is rotated, then ended."""
_PAGE = 200

_log = structlog.get_logger(__name__)


class SignIn(Struct, frozen=True, kw_only=True):
    """What somebody who signed in is given.

    Args:
        expires_in_s: Life of the access token.
        refresh_expires_in_s: What is left of the session.
    """

    access_token: str
    expires_in_s: int
    refresh_token: str
    refresh_expires_in_s: int
    user: UserRecord

    def __repr__(self) -> str:
        """Return nothing that signs anybody in."""
        return f"SignIn({self.user.id!r})"


class Sessions:
    """The use-cases of a session."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        config: IdentityConfig,
        access_tokens: AccessTokens,
        revocations: Revocations,
        addresses: Addresses,
        audit: AuditTrail,
        notices: Notices,
    ) -> None:
        """Take what sessions need; does nothing yet."""
        self._storage = storage
        self._audit = audit
        self._sessions = storage.documents(Session)
        self._users = storage.documents(User)
        self._clock = clock
        self._config = config
        self._access_tokens = access_tokens
        self._refresh_tokens = RefreshTokens(config.pepper)
        self._revocations = revocations
        self._addresses = addresses
        self._notices = notices

    async def open(self, user: User) -> SignIn:
        """Store a new session of `user` and return its first tokens.

        Raises:
            InvalidCredentials: What the user signed in with was replaced in this moment.
        """
        now = self._clock()
        token = self._refresh_tokens.first(SessionId(new_id("session")))
        session = Session(
            id=token.session_id,
            user_id=user.user_id,
            wallet_id=user.wallet_id,
            generation=token.generation,
            token_hash=token.digest,
            rotated_at=now,
            expires_at=now + self._config.refresh_ttl,
            credentials_version=user.credentials_version,
            created_at=now,
            updated_at=now,
        )
        async with self._storage.transaction() as transaction:
            await transaction.documents(Session).insert(session)
            await self._audit.record(
                "session.opened",
                actor=user.id,
                subject=user.id,
                details={"session_id": session.id},
                transaction=transaction,
            )
        await self._check_still_good(session)
        return self._sign_in(session, token, user)

    async def _check_still_good(self, session: Session) -> None:
        """Refuse a session that was opened while what opened it was replaced.

        Whoever replaces it ends all sessions afterwards. So this one was stored early enough to be
        found by that, or the replacement is seen here.
        """
        user = await self._users.get(session.user_id)
        if user is None or _is_outdated(session, user):
            await self.end_all(session.user_id)
            raise InvalidCredentials

    async def refresh(self, text: str) -> SignIn:
        """Replace a refresh token and return the session's new tokens.

        Invariants:
            However many requests send one token at once, its session has one valid token
            afterwards, and all of them that succeed were given that one.

        Raises:
            RefreshTokenInvalid: Not ours, or its session is over.
            RefreshTokenReused: Replaced before, and the grace is over. The session is ended.
        """
        token = self._refresh_tokens.read(text)
        if token is None:
            raise RefreshTokenInvalid
        for _ in range(_ATTEMPTS):
            session = await self._sessions.get(token.session_id)
            if session is None:
                raise RefreshTokenInvalid
            try:
                return await self._take_turn(session, token)
            except VersionConflict:
                # Another request changed the session, and perhaps what this one deserves.
                continue
        raise Unavailable(retry_after_s=1)

    async def end(self, text: str) -> None:
        """End the session that a refresh token, even an old one, belongs to; else do nothing."""
        token = self._refresh_tokens.read(text)
        if token is None:
            return
        for _ in range(_ATTEMPTS):
            session = await self._sessions.get(token.session_id)
            if session is None or session.revoked_at is not None:
                return
            try:
                async with self._storage.transaction() as transaction:
                    await self._revoke(transaction, session, because="signed_out")
                    await self._audit.record(
                        "session.ended",
                        actor=session.user_id,
                        subject=session.user_id,
                        details={"session_id": session.id},
                        transaction=transaction,
                    )
            except VersionConflict:
                continue
            self._ended(session, because="signed_out")
            return
        raise Unavailable(retry_after_s=1)

    async def end_all(self, user_id: UserId) -> None:
        """End the user's sessions that were opened before the latest change of credentials.

        To end all of them, raise `credentials_version` first: it alone ends them at their next
        refresh, also if this is never called. This ends their access tokens too.
        """
        user = await self._users.get(user_id)
        after: tuple[Scalar, str] | None = None
        while True:
            page = await self._sessions.page(
                {"user_id": user_id},
                within=Range(field="created_at"),
                after=after,
                limit=_PAGE,
            )
            for session in page:
                after = (session.created_at, session.id)
                if user is None or _is_outdated(session, user):
                    await self._end_outdated(session.id)
            if len(page) < _PAGE:
                return

    async def _end_outdated(self, session_id: str) -> None:
        for _ in range(_ATTEMPTS):
            session = await self._sessions.get(session_id)
            if session is None or session.revoked_at is not None:
                return
            if self._clock() >= session.expires_at:
                return
            try:
                async with self._storage.transaction() as transaction:
                    await self._revoke(transaction, session, because="credentials_changed")
                    await self._audit.record(
                        "session.ended",
                        actor=session.user_id,
                        subject=session.user_id,
                        details={"session_id": session.id, "because": "credentials_changed"},
                        transaction=transaction,
                    )
            except VersionConflict:
                continue
            self._ended(session, because="credentials_changed")
            return
        raise Unavailable(retry_after_s=1)

    async def _take_turn(self, session: Session, token: RefreshToken) -> SignIn:
        match self._turn(session, token):
            case rules.Turn.ROTATE:
                return await self._rotate(session, token)
            case rules.Turn.REPEAT:
                return await self._answer(session, self._refresh_tokens.successor(token))
            case rules.Turn.REUSED:
                # Before the session ends, in a transaction of its own: every attempt is an event.
                await self._audit.record(
                    "refresh_token.reused",
                    actor=UNKNOWN,
                    subject=session.user_id,
                    outcome="refused",
                    details={"session_id": session.id},
                )
                await self._end_reused(session)
                self._ended(session, because="refresh_token_reused")
                raise RefreshTokenReused
            case rules.Turn.INVALID:
                raise RefreshTokenInvalid

    async def _end_reused(self, session: Session) -> None:
        """End a session of which there are two, and tell the user."""
        user = await self._users.get(session.user_id)
        async with self._storage.transaction() as transaction:
            await self._revoke(transaction, session, because="refresh_token_reused")
            if user is not None:
                await self._notices.tell(transaction, user, "session_reuse")

    def _turn(self, session: Session, token: RefreshToken) -> rules.Turn:
        now = self._clock()
        is_latest = token.generation == session.generation
        expected = token if is_latest else self._refresh_tokens.successor(token)
        return rules.refresh_turn(
            is_live=session.revoked_at is None and now < session.expires_at,
            generation=token.generation,
            latest_generation=session.generation,
            is_genuine=hmac.compare_digest(expected.digest, session.token_hash),
            since_rotation=now - session.rotated_at,
            grace=self._config.refresh_grace,
        )

    async def _rotate(self, session: Session, token: RefreshToken) -> SignIn:
        successor = self._refresh_tokens.successor(token)
        now = self._clock()
        user = await self._users.get(session.user_id)
        if user is None or _is_outdated(session, user):
            raise RefreshTokenInvalid
        changed = replace(
            session,
            generation=successor.generation,
            token_hash=successor.digest,
            rotated_at=now,
            updated_at=now,
        )
        return self._sign_in(await self._sessions.replace(changed), successor, user)

    async def _revoke(
        self, where: Storage | Transaction, session: Session, *, because: str
    ) -> None:
        now = self._clock()
        changed = replace(session, revoked_at=now, revoked_because=because, updated_at=now)
        await where.documents(Session).replace(changed)

    def _ended(self, session: Session, *, because: str) -> None:
        self._revocations.add(session.session_id, self._clock())
        _log.info("session_ended", session_id=session.id, user_id=session.user_id, because=because)

    async def _answer(self, session: Session, token: RefreshToken) -> SignIn:
        user = await self._users.get(session.user_id)
        if user is None or _is_outdated(session, user):
            raise RefreshTokenInvalid
        return self._sign_in(session, token, user)

    def _sign_in(self, session: Session, token: RefreshToken, user: User) -> SignIn:
        principal = Principal(session.user_id, session.wallet_id, session.session_id)
        left = session.expires_at - self._clock()
        return SignIn(
            access_token=self._access_tokens.issue(principal),
            expires_in_s=self._config.access_ttl_s,
            refresh_token=self._refresh_tokens.write(token),
            refresh_expires_in_s=max(0, left // timedelta(seconds=1)),
            user=self._addresses.record(user),
        )


def _is_outdated(session: Session, user: User) -> bool:
    """Tell whether the user has changed credentials since the session was opened."""
    return session.credentials_version < user.credentials_version
