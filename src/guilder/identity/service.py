"""Identity's use-cases behind one door: register, sign in, refresh, sign out, and find a user."""

import dataclasses
from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity import rules
from guilder.identity.addresses import Addresses, Contact
from guilder.identity.authentication import Principal
from guilder.identity.code_sign_in import CodeSignIn
from guilder.identity.codes import Links, OneTimeCodes
from guilder.identity.config import IdentityConfig
from guilder.identity.contacts import Contacts
from guilder.identity.errors import InvalidCredentials, PasswordChecksBusy, Unauthenticated
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.models import User, UserRecord
from guilder.identity.notices import Notices
from guilder.identity.passwords import Passwords
from guilder.identity.recovery import Recovery
from guilder.identity.registration import Application, OnRegistered, Registrar, Registration
from guilder.identity.revocations import Revocations
from guilder.identity.sessions import Sessions, SignIn
from guilder.identity.throttle_rules import ThrottlePolicy
from guilder.identity.throttles import REGISTER, SIGN_IN, Throttles
from guilder.identity.tokens import AccessTokens
from guilder.kernel.clock import Clock
from guilder.kernel.errors import InvalidRequest
from guilder.kernel.ids import UserId
from guilder.ledger.background import BackgroundTask
from guilder.notifications.outbox import Outbox
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict
from guilder.vault.vault import Vault, derived_key

_SWEEP_EVERY_MS = 600_000
_NEVER = 1_000_000
"""Failures in a row that nobody reaches."""

_log = structlog.get_logger(__name__)


class IdentityService:
    """Who somebody is.

    Attributes:
        throttles: Slows down whoever guesses at passwords, codes and factors.
        codes: One-time codes that people type.
        links: Tokens of links in messages.
        contacts: Shows that addresses and numbers are their users' own.
        code_sign_in: Lets people in with a code.
        recovery: Sets new passwords.

    Invariants:
        Registering and signing in cost one password hash each and answer alike, whether an account
        exists or not. `principal` does no I/O.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        config: IdentityConfig,
        vault: Vault,
        on_registered: Sequence[OnRegistered] = (),
        audit: AuditTrail | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        """Take what identity needs; `start` begins to follow other processes' sign-outs.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for lifetimes and records.
            config: Keys, names and lifetimes.
            vault: Seals addresses and numbers.
            on_registered: Called with each new user in the transaction that stores it.
            audit: The record of security events; one that keeps no addresses by default.
            outbox: Takes messages; by default one that whoever sends looks into by and by.
        """
        self._audit = audit or AuditTrail(storage, clock=clock)
        self._users = storage.documents(User)
        self._clock = clock
        self._addresses = Addresses(vault)
        self._passwords = Passwords(config)
        self.throttles = _throttles(storage, clock, config, config.throttles)
        code_key = derived_key(config.pepper, "one-time-codes")
        self.codes = OneTimeCodes(storage, clock=clock, key=code_key)
        self.links = Links(storage, clock=clock, key=code_key)
        self._notices = Notices(
            outbox or Outbox(storage, vault=vault, clock=clock),
            addresses=self._addresses,
            clock=clock,
        )
        self._is_verified_required = config.verified_contact_required
        self._access_tokens = _access_tokens(config, clock)
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
            addresses=self._addresses,
            audit=self._audit,
            notices=self._notices,
        )
        self._registrar = Registrar(
            storage=storage,
            clock=clock,
            config=config,
            passwords=self._passwords,
            addresses=self._addresses,
            throttles=self.throttles,
            on_registered=on_registered,
            audit=self._audit,
            codes=self.codes,
            notices=self._notices,
        )
        self._make_ways_in(storage, config)
        sweep = Housekeeping(storage=storage, clock=clock).sweep
        self._sweeper = BackgroundTask("identity-sweep", sweep, every_ms=_SWEEP_EVERY_MS)

    def _make_ways_in(self, storage: Storage, config: IdentityConfig) -> None:
        """Make what lets people in without a password, and gives them a new one."""
        # Asking for a code is no failure: it waits longer and longer, and never refused for good.
        patient = dataclasses.replace(config.throttles, consecutive_max=_NEVER)
        requests = _throttles(storage, self._clock, config, patient)
        self.contacts = Contacts(
            storage=storage,
            clock=self._clock,
            addresses=self._addresses,
            codes=self.codes,
            throttles=self.throttles,
            requests=requests,
            notices=self._notices,
            audit=self._audit,
            sms_offered=config.sms_offered,
        )
        self.code_sign_in = CodeSignIn(
            storage=storage,
            clock=self._clock,
            codes=self.codes,
            throttles=self.throttles,
            requests=requests,
            notices=self._notices,
            passwords=self._passwords,
            sessions=self._sessions,
            audit=self._audit,
        )
        self.recovery = Recovery(
            storage=storage,
            clock=self._clock,
            addresses=self._addresses,
            links=self.links,
            throttles=self.throttles,
            requests=requests,
            notices=self._notices,
            passwords=self._passwords,
            sessions=self._sessions,
            audit=self._audit,
            page=config.recovery_page,
        )

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
        self,
        application: Application,
        *,
        idempotency_key: str | None = None,
        client: str | None = None,
    ) -> Registration:
        """Store a new user, or answer a taken address or number exactly as if it were free.

        Args:
            application: As typed.
            idempotency_key: Made by the client.
            client: Its address; None where no address is counted.

        Raises:
            TooManyAttempts: From this client.
            InvalidRequest: Fields that no user may have, all of them at once.
            IdempotencyKeyReused: The key was answered for another request.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        await self.throttles.check(REGISTER, account=None, address=client)
        try:
            registration = await self._registrar.register(application, key=idempotency_key)
        except (InvalidRequest, PasswordChecksBusy):
            await self.throttles.taken_back(REGISTER, account=None, address=client)
            raise
        _log.info("registration_answered", is_replayed=registration.is_replayed)
        return registration

    async def login(
        self,
        *,
        password: str,
        email: str | None = None,
        phone: str | None = None,
        client: str | None = None,
    ) -> SignIn:
        """Open a session for whoever knows the password.

        Args:
            password: As typed.
            email: Either this or
            phone: this.
            client: The client's address; None where only tries at the account are counted.

        Raises:
            InvalidRequest: Neither or both are given, or one that cannot exist.
            TooManyAttempts: At this account, or from this client.
            InvalidCredentials: Unknown, or another password.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        contact = self._addresses.named(email=email, phone=phone)
        if not rules.is_password_usable(password):
            await self._audit.record(
                "sign_in.refused", actor=UNKNOWN, subject=UNKNOWN, outcome="refused"
            )
            raise InvalidCredentials
        await self.throttles.check(SIGN_IN, account=contact.key, address=client)
        user = await self._users.find_one(contact.where)
        password_hash = user.password_hash if user else None
        try:
            matches = await self._passwords.verify(password, password_hash)
        except PasswordChecksBusy:
            await self.throttles.taken_back(SIGN_IN, account=contact.key, address=client)
            raise
        # Not confirmed: refused and counted as a wrong password is, or it would tell it is right.
        if not matches or user is None or not self._may_enter(user):
            await self.throttles.failed(SIGN_IN, account=contact.key, address=client)
            _log.info("sign_in_refused", user_id=user.id if user else None)
            subject = user.id if user else UNKNOWN
            await self._audit.record(
                "sign_in.refused", actor=UNKNOWN, subject=subject, outcome="refused"
            )
            raise InvalidCredentials
        await self.throttles.succeeded(SIGN_IN, account=contact.key, address=client)
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

    def record_of(self, user: User) -> UserRecord:
        """Return what the user may see of their own record: address and number opened."""
        return self._addresses.record(user)

    async def names_of(self, user_ids: Sequence[UserId]) -> dict[UserId, str]:
        """Return the names of those of the users that exist."""
        found = await self._users.get_many(user_ids)
        return {user.user_id: user.name for user in found.values()}

    async def find_by_email(self, email: str) -> User | None:
        """Return the user with that address, in whatever case it is written."""
        normal = rules.normal_email(email)
        if normal is None:
            return None
        return await self._users.find_one({"email_key": self._addresses.email_key(normal)})

    async def find_by_phone(self, phone: str) -> User | None:
        """Return the user with that number, in whatever way it is written."""
        normal = rules.normal_phone(phone)
        if normal is None:
            return None
        return await self._users.find_one({"phone_key": self._addresses.phone_key(normal)})

    def contact(self, *, email: str | None, phone: str | None) -> Contact:
        """Return whom a request names, by address or by number as typed.

        Raises:
            InvalidRequest: Neither or both are given, or one that cannot exist.
            SmsNotOffered: A number is given, and no SMS are sent here.
        """
        named = self._addresses.named(email=email, phone=phone)
        self.contacts.check_offered(named.channel)
        return named

    def _may_enter(self, user: User) -> bool:
        return user.is_verified or not self._is_verified_required

    async def _with_current_hash(self, user: User, password: str) -> User:
        if not self._passwords.needs_rehash(user.password_hash):
            return user
        password_hash = await self._passwords.hash(password)
        try:
            return await self._users.replace(replace(user, password_hash=password_hash))
        except VersionConflict:
            # Somebody changed the user meanwhile; the hash is renewed at the next sign-in.
            return user


def _throttles(
    storage: Storage, clock: Clock, config: IdentityConfig, policy: ThrottlePolicy
) -> Throttles:
    return Throttles(
        storage,
        clock=clock,
        key=derived_key(config.pepper, "throttles"),
        policy=policy,
        counts_addresses=config.throttles_addresses,
    )


def _access_tokens(config: IdentityConfig, clock: Clock) -> AccessTokens:
    return AccessTokens(
        keys=config.signing_keys,
        issuer=config.issuer,
        audience=config.audience,
        ttl_s=config.access_ttl_s,
        clock=clock,
        cache_size=config.claims_cache_size,
    )
