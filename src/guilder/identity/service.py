"""Identity's use-cases behind one door: register, sign in, refresh, sign out, and find a user."""

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from guilder.identity import rules
from guilder.identity.authentication import Principal
from guilder.identity.config import IdentityConfig
from guilder.identity.errors import InvalidCredentials, Unauthenticated
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.models import User
from guilder.identity.passwords import Passwords
from guilder.identity.registration import Application, OnRegistered, Registrar, Registration
from guilder.identity.revocations import Revocations
from guilder.identity.sessions import Sessions, SignIn
from guilder.identity.tokens import AccessTokens
from guilder.kernel.clock import Clock
from guilder.kernel.errors import FieldError, InvalidRequest
from guilder.kernel.ids import UserId
from guilder.ledger.background import BackgroundTask
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict

_SWEEP_EVERY_MS = 600_000

_log = structlog.get_logger(__name__)


class IdentityService:
    """Who somebody is.

    Invariants:
        Registering and signing in cost one bcrypt each and answer alike, whether an account
        exists or not. `principal` does no I/O.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        config: IdentityConfig,
        on_registered: Sequence[OnRegistered] = (),
    ) -> None:
        """Take what identity needs; `start` begins to follow other processes' sign-outs.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for lifetimes and records.
            config: Keys, names and lifetimes.
            on_registered: Called with each new user in the transaction that stores it.
        """
        self._users = storage.documents(User)
        self._clock = clock
        self._passwords = Passwords(config)
        self._access_tokens = AccessTokens(
            keys=config.signing_keys,
            issuer=config.issuer,
            audience=config.audience,
            ttl_s=config.access_ttl_s,
            clock=clock,
            cache_size=config.claims_cache_size,
        )
        self._revocations = Revocations(
            storage=storage,
            clock=clock,
            access_ttl_s=config.access_ttl_s,
            poll_s=config.revocation_poll_s,
            stale_s=config.revocation_stale_s,
        )
        self._sessions = Sessions(
            storage=storage,
            clock=clock,
            config=config,
            access_tokens=self._access_tokens,
            revocations=self._revocations,
        )
        self._registrar = Registrar(
            storage=storage,
            clock=clock,
            config=config,
            passwords=self._passwords,
            on_registered=on_registered,
        )
        sweep = Housekeeping(storage=storage, clock=clock).sweep
        self._sweeper = BackgroundTask("identity-sweep", sweep, every_ms=_SWEEP_EVERY_MS)

    async def start(self) -> None:
        """Learn which sessions have ended, and keep learning until `stop`."""
        await self._revocations.start()
        self._sweeper.start()

    async def stop(self) -> None:
        """End the background work and the hashing threads."""
        await self._sweeper.stop()
        await self._revocations.stop()
        self._passwords.close()

    def principal(self, access_token: str) -> Principal:
        """Return whose access token it is, without any I/O.

        Raises:
            Unauthenticated: It is not valid, or its session has ended.
            Unavailable: It has not been possible for long to learn which sessions ended.
        """
        principal = self._access_tokens.verify(access_token)
        if self._revocations.is_revoked(principal.session_id):
            raise Unauthenticated
        return principal

    async def register(
        self, application: Application, *, idempotency_key: str | None = None
    ) -> Registration:
        """Store a new user, or answer a taken address or number exactly as if it were free.

        Raises:
            InvalidRequest: Fields that no user may have, all of them at once.
            IdempotencyKeyReused: The key was answered for another request.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        registration = await self._registrar.register(application, key=idempotency_key)
        _log.info("registration_answered", is_replayed=registration.is_replayed)
        return registration

    async def login(
        self, *, password: str, email: str | None = None, phone: str | None = None
    ) -> SignIn:
        """Open a session for whoever knows the password.

        Args:
            password: As typed.
            email: Either this or
            phone: this.

        Raises:
            InvalidRequest: Neither or both are given, or one that cannot exist.
            InvalidCredentials: Unknown, or another password.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        where, value = _sought(email, phone)
        if not rules.is_password_usable(password):
            raise InvalidCredentials
        user = await self._users.find_one({where: value})
        password_hash = user.password_hash if user else None
        if not await self._passwords.verify(password, password_hash) or user is None:
            _log.info("sign_in_refused", user_id=user.id if user else None)
            raise InvalidCredentials
        user = await self._with_current_hash(user, password)
        _log.info("signed_in", user_id=user.id)
        return await self._sessions.open(user)

    async def refresh(self, refresh_token: str) -> SignIn:
        """Replace a refresh token; one replaced a moment ago gets the same successor again.

        Raises:
            RefreshTokenInvalid: Not ours, or its session is over.
            RefreshTokenReused: Replaced before, and the grace is over. The session is ended.
        """
        return await self._sessions.refresh(refresh_token)

    async def logout(self, refresh_token: str) -> None:
        """End the session of a refresh token, if it is one of ours. Done twice, it is done once."""
        await self._sessions.end(refresh_token)

    async def get_user(self, user_id: UserId) -> User | None:
        """Return a user."""
        return await self._users.get(user_id)

    async def names_of(self, user_ids: Sequence[UserId]) -> dict[UserId, str]:
        """Return the names of those of the users that exist."""
        found = await self._users.get_many(user_ids)
        return {user.user_id: user.name for user in found.values()}

    async def find_by_email(self, email: str) -> User | None:
        """Return the user with that address, in whatever case it is written."""
        normal = rules.normal_email(email)
        return (
            await self._users.find_one({"email_key": rules.email_key(normal)}) if normal else None
        )

    async def find_by_phone(self, phone: str) -> User | None:
        """Return the user with that number, in whatever way it is written."""
        normal = rules.normal_phone(phone)
        return await self._users.find_one({"phone": normal}) if normal else None

    async def _with_current_hash(self, user: User, password: str) -> User:
        if not self._passwords.needs_rehash(user.password_hash):
            return user
        password_hash = await self._passwords.hash(password)
        try:
            return await self._users.replace(replace(user, password_hash=password_hash))
        except VersionConflict:
            # Somebody changed the user meanwhile; the hash is renewed at the next sign-in.
            return user


def _sought(email: str | None, phone: str | None) -> tuple[str, str]:
    if (email is None) == (phone is None):
        raise InvalidRequest(fields=(_EITHER_ERROR,))
    if email is not None:
        normal = rules.normal_email(email)
        if normal is None:
            raise InvalidRequest(fields=(rules.EMAIL_ERROR,))
        return "email_key", rules.email_key(normal)
    number = rules.normal_phone(phone or "")
    if number is None:
        raise InvalidRequest(fields=(rules.PHONE_ERROR,))
    return "phone", number


_EITHER_ERROR = FieldError(
    "/email", "email_or_phone", "Give either an e-mail address or a phone number."
)
