"""Sessions: opened by signing in, carried on by refresh tokens, ended by signing out or reuse."""

import hmac
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity import rules
from guilder.identity.addresses import Addresses
from guilder.identity.authentication import Principal
from guilder.identity.config import IdentityConfig
from guilder.identity.devices import NO_DEVICE, Device, Devices, place_of
from guilder.identity.errors import (
    InvalidCredentials,
    RefreshTokenInvalid,
    RefreshTokenReused,
)
from guilder.identity.models import Session, User, UserRecord
from guilder.identity.notices import Notices
from guilder.identity.refresh_tokens import RefreshToken, RefreshTokens
from guilder.identity.session_ends import (
    ATTEMPTS,
    CREDENTIALS_CHANGED,
    REFRESH_TOKEN_REUSED,
    SIGNED_OUT,
    SessionEnds,
    every_session,
)
from guilder.identity.tokens import AccessTokens
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.kernel.ids import SessionId, UserId, new_id
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict


class SignIn(Struct, frozen=True, kw_only=True):
    """What somebody who signed in is given.

    Args:
        expires_in_s: Life of the access token.
        refresh_expires_in_s: What is left of the session.
        device_token: At a sign-in, what this device shows at the next one.
    """

    access_token: str
    expires_in_s: int
    refresh_token: str
    refresh_expires_in_s: int
    user: UserRecord
    device_token: str | None = None

    def __repr__(self) -> str:
        """Return nothing that signs anybody in."""
        return f"SignIn({self.user.id!r})"


class SecondFactorGate(Protocol):
    """What asks for a second factor before a session is opened; `Challenges` does."""

    async def check_sign_in(self, user: User, *, client: str | None, device: Device) -> None:
        """Return if the user has none, or need not give it on this device.

        Raises:
            SecondFactorRequired: With the challenge that asks for it.
        """


class Sessions:
    """The use-cases of a session."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        config: IdentityConfig,
        access_tokens: AccessTokens,
        ends: SessionEnds,
        devices: Devices,
        addresses: Addresses,
        audit: AuditTrail,
        notices: Notices,
        gate: SecondFactorGate,
    ) -> None:
        """Take what sessions need; does nothing yet."""
        self._gate = gate
        self._storage = storage
        self._audit = audit
        self._sessions = storage.documents(Session)
        self._users = storage.documents(User)
        self._clock = clock
        self._config = config
        self._access_tokens = access_tokens
        self._refresh_tokens = RefreshTokens(config.pepper)
        self._ends = ends
        self._devices = devices
        self._addresses = addresses
        self._notices = notices

    async def open(
        self,
        user: User,
        *,
        client: str | None = None,
        device: Device = NO_DEVICE,
        has_both_factors: bool = False,
    ) -> SignIn:
        """Store a new session of `user` and return its first tokens. Every way in ends here.

        Whoever signs in from a device for the first time is given a token for it, and the user is
        told.

        Args:
            user: As read before what they signed in with was checked.
            client: The client's address; None if there is none.
            device: What the request says about its device.
            has_both_factors: The user has given a second factor too, or one that is two at once.

        Raises:
            SecondFactorRequired: The user has a second factor, and has not given it.
            InvalidCredentials: What the user signed in with was replaced in this moment.
        """
        if not has_both_factors:
            await self._gate.check_sign_in(user, client=client, device=device)
        token = self._refresh_tokens.first(SessionId(new_id("session")))
        session = self._new(user, token, client, device, has_second_factor=has_both_factors)
        recognised = await self._devices.recognised(user, device)
        is_news = recognised is None and await self._devices.is_told_of(user)
        async with self._storage.transaction() as transaction:
            await transaction.documents(Session).insert(session)
            if recognised is None:
                device_token = await self._devices.add(transaction, user)
            else:
                device_token = recognised.token
            if is_news:
                where = {"device": session.device, "place": place_of(client)}
                await self._notices.tell(transaction, user, "new_device", values=where)
            await self._audit.record(
                "session.opened",
                actor=user.id,
                subject=user.id,
                details={
                    "session_id": session.id,
                    "device": "known" if recognised else "new",
                },
                address=client,
                transaction=transaction,
            )
        await self._check_still_good(session)
        if recognised is not None:
            await self._devices.keep(recognised)
        return replace(self._sign_in(session, token, user), device_token=device_token)

    def _new(
        self,
        user: User,
        token: RefreshToken,
        client: str | None,
        device: Device,
        *,
        has_second_factor: bool,
    ) -> Session:
        now = self._clock()
        return Session(
            id=token.session_id,
            user_id=user.user_id,
            wallet_id=user.wallet_id,
            generation=token.generation,
            token_hash=token.digest,
            rotated_at=now,
            expires_at=now + self._config.session_ttl(user.role),
            credentials_version=user.credentials_version,
            device=device.words,
            place=self._addresses.sealed_place(token.session_id, place_of(client)),
            has_second_factor=has_second_factor,
            created_at=now,
            updated_at=now,
        )

    async def _check_still_good(self, session: Session) -> None:
        """Refuse a session that was opened while what opened it was replaced.

        Whoever replaces it ends all sessions afterwards. So this one was stored early enough to be
        found by that, or the replacement is seen here.
        """
        user = await self._users.get(session.user_id)
        if user is None or session.is_outdated(user):
            await self.end_all(session.user_id)
            raise InvalidCredentials

    async def refresh(
        self, text: str, *, client: str | None = None, device: Device = NO_DEVICE
    ) -> SignIn:
        """Replace a refresh token and return the session's new tokens.

        Args:
            text: As sent.
            client: The client's address; None if there is none.
            device: What the request says about its device.

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
        for _ in range(ATTEMPTS):
            session = await self._sessions.get(token.session_id)
            if session is None:
                raise RefreshTokenInvalid
            seen = self._seen(session, client, device)
            try:
                return await self._take_turn(session, token, seen, client)
            except VersionConflict:
                # Another request changed the session, and perhaps what this one deserves.
                continue
        raise Unavailable(retry_after_s=1)

    def _seen(self, session: Session, client: str | None, device: Device) -> Session:
        """Return the session as last used from there."""
        place = self._addresses.sealed_place(session.id, place_of(client))
        return replace(session, device=device.words, place=place)

    async def end(self, text: str, *, client: str | None = None) -> None:
        """End the session that a refresh token, even an old one, belongs to; else do nothing."""
        token = self._refresh_tokens.read(text)
        if token is not None:
            await self._ends.end(token.session_id, because=SIGNED_OUT, client=client)

    async def end_all(self, user_id: UserId, *, client: str | None = None) -> None:
        """End the user's sessions that were opened before the latest change of credentials.

        To end all of them, raise `credentials_version` first: it alone ends them at their next
        refresh, also if this is never called. This ends their access tokens too.
        """
        user = await self._users.get(user_id)

        def is_due(session: Session) -> bool:
            is_over = self._clock() >= session.expires_at
            return not is_over and (user is None or session.is_outdated(user))

        async for session in every_session(self._sessions, user_id):
            if is_due(session):
                await self._ends.end(
                    session.id, because=CREDENTIALS_CHANGED, client=client, only_if=is_due
                )

    def session_of(self, text: str) -> SessionId | None:
        """Return which session a refresh token belongs to, whether it is over or not."""
        token = self._refresh_tokens.read(text)
        return None if token is None else token.session_id

    async def _take_turn(
        self, session: Session, token: RefreshToken, seen: Session, client: str | None
    ) -> SignIn:
        match self._turn(session, token):
            case rules.Turn.ROTATE:
                return await self._rotate(seen, token)
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
                    address=client,
                )
                await self._end_reused(session, seen)
                raise RefreshTokenReused
            case rules.Turn.INVALID:
                raise RefreshTokenInvalid

    async def _end_reused(self, session: Session, seen: Session) -> None:
        """End a session of which there are two, and tell the user, also from where it was seen."""
        user = await self._users.get(session.user_id)
        async with self._storage.transaction() as transaction:
            await self._ends.store(transaction, session, because=REFRESH_TOKEN_REUSED)
            if user is not None:
                where = {"device": seen.device, "place": self._addresses.place_of(seen)}
                await self._notices.tell(transaction, user, "session_reuse", values=where)
        self._ends.announce(session, because=REFRESH_TOKEN_REUSED)

    def _turn(self, session: Session, token: RefreshToken) -> rules.Turn:
        now = self._clock()
        is_latest = token.generation == session.generation
        expected = token if is_latest else self._refresh_tokens.successor(token)
        return rules.refresh_turn(
            is_live=session.is_live(now, self._config.session_idle),
            generation=token.generation,
            latest_generation=session.generation,
            is_genuine=hmac.compare_digest(expected.digest, session.token_hash),
            since_rotation=now - session.rotated_at,
            grace=self._config.refresh_grace,
        )

    async def _rotate(self, session: Session, token: RefreshToken) -> SignIn:
        successor = self._refresh_tokens.successor(token)
        now = self._clock()
        user = await self._user_now(session)
        changed = replace(
            session,
            expires_at=self._end_of(session, user),
            generation=successor.generation,
            token_hash=successor.digest,
            rotated_at=now,
            updated_at=now,
        )
        return self._sign_in(await self._sessions.replace(changed), successor, user)

    async def _answer(self, session: Session, token: RefreshToken) -> SignIn:
        return self._sign_in(session, token, await self._user_now(session))

    async def _user_now(self, session: Session) -> User:
        """Return the user of a session that goes on.

        Raises:
            RefreshTokenInvalid: It does not: other credentials, or too old for the role of now.
        """
        user = await self._users.get(session.user_id)
        if user is None or session.is_outdated(user):
            raise RefreshTokenInvalid
        if self._clock() >= self._end_of(session, user):
            raise RefreshTokenInvalid
        return user

    def _end_of(self, session: Session, user: User) -> datetime:
        """Return when a session ends whatever happens, also if it is older than its user's role."""
        return session.ends_at(self._config.session_ttl(user.role))

    def _sign_in(self, session: Session, token: RefreshToken, user: User) -> SignIn:
        ends_at = self._end_of(session, user)
        principal = Principal(
            session.user_id,
            session.wallet_id,
            session.session_id,
            role=user.role,
            rights_version=user.rights_version,
            has_second_factor=session.has_second_factor
            or not self._config.staff_second_factor_required,
        )
        left_s = max(0, (ends_at - self._clock()) // timedelta(seconds=1))
        return SignIn(
            access_token=self._access_tokens.issue(principal, until=ends_at),
            expires_in_s=min(self._config.access_ttl_s, left_s),
            refresh_token=self._refresh_tokens.write(token),
            refresh_expires_in_s=left_s,
            user=self._addresses.record(user),
        )
