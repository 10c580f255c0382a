"""Identity's use-cases behind one door: register, sign in, refresh, sign out, and find a user."""

from collections.abc import Sequence

import structlog

from guilder.audit.trail import AuditTrail
from guilder.identity.addresses import Addresses, Contact
from guilder.identity.authentication import Principal
from guilder.identity.claims import holds
from guilder.identity.config import IdentityConfig
from guilder.identity.devices import NO_DEVICE, Device, Devices
from guilder.identity.directory import Directory
from guilder.identity.errors import PasswordChecksBusy, Unauthenticated
from guilder.identity.factor_parts import factor_parts
from guilder.identity.factors.passkey_parts import passkey_parts
from guilder.identity.factors.service import SecondFactors
from guilder.identity.from_config import access_tokens_of, codes_of, throttles_of
from guilder.identity.ground import Ground
from guilder.identity.housekeeping import Housekeeping
from guilder.identity.models import User, UserRecord
from guilder.identity.notices import Notices
from guilder.identity.own_sessions import OwnSessions
from guilder.identity.passwords import Passwords
from guilder.identity.registration import Application, OnRegistered, Registrar, Registration
from guilder.identity.revocations import Revocations
from guilder.identity.session_ends import SessionEnds
from guilder.identity.sessions import Sessions, SignIn
from guilder.identity.throttles import REGISTER
from guilder.identity.ways_in import ways_in
from guilder.kernel.clock import Clock
from guilder.kernel.errors import InvalidRequest
from guilder.kernel.ids import UserId
from guilder.ledger.background import BackgroundTask
from guilder.notifications.outbox import Outbox
from guilder.storage.base import Storage
from guilder.vault.vault import Vault

_SWEEP_EVERY_MS = 600_000

_log = structlog.get_logger(__name__)


class IdentityService:
    """Who somebody is.

    Attributes:
        directory: Finds people by what they are reached by.
        throttles: Slows down whoever guesses at passwords, codes and factors.
        codes: One-time codes that people type.
        links: Tokens of links in messages.
        contacts: Shows that addresses and numbers are their users' own.
        contact_changes: Puts others in their place.
        password_sign_in: Lets people in with a password.
        code_sign_in: Lets people in with a code.
        recovery: Sets new passwords.
        outside: Lets people in by accounts at other companies.
        sessions: Opened by every way in.
        own_sessions: Lists and ends them for those who have them.
        session_ends: How any of them ends.
        challenges: Asks for factors, and looks at what is given.
        step_up: Asks for fresh ones before what matters.
        factors: The second factors of signed-in users.
        passkeys: Those of signed-in users.
        passkey_proofs: Lets people in with one, and asks for one.

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
        self.directory = Directory(storage, addresses=self._addresses, config=config)
        self._passwords = Passwords(config)
        self.throttles = throttles_of(config, storage, clock)
        self.codes, self.links = codes_of(config, storage, clock)
        self._notices = Notices(
            outbox or Outbox(storage, vault=vault, clock=clock),
            addresses=self._addresses,
            clock=clock,
        )
        ground = Ground(
            storage=storage,
            clock=clock,
            config=config,
            vault=vault,
            addresses=self._addresses,
            passwords=self._passwords,
            throttles=self.throttles,
            codes=self.codes,
            links=self.links,
            notices=self._notices,
            audit=self._audit,
        )
        self._make_sessions(ground)
        self._registrar = Registrar(
            storage=storage,
            clock=clock,
            config=config,
            passwords=self._passwords,
            addresses=self._addresses,
            on_registered=on_registered,
            audit=self._audit,
            codes=self.codes,
            notices=self._notices,
        )
        ways = ways_in(
            ground, sessions=self.sessions, devices=self._devices, registrar=self._registrar
        )
        self.contacts, self.contact_changes = ways.contacts, ways.contact_changes
        self.password_sign_in, self.code_sign_in = ways.password_sign_in, ways.code_sign_in
        self.recovery, self.outside = ways.recovery, ways.outside
        self._make_factors(ground)
        sweep = Housekeeping(storage=storage, clock=clock).sweep
        self._sweeper = BackgroundTask("identity-sweep", sweep, every_ms=_SWEEP_EVERY_MS)

    def _make_sessions(self, ground: Ground) -> None:
        """Make what opens sessions, and what asks for a second factor before."""
        self._access_tokens = access_tokens_of(ground.config, ground.clock)
        self._revocations = Revocations(
            storage=ground.storage,
            clock=ground.clock,
            access_ttl_s=ground.config.access_ttl_s,
            poll_s=ground.config.revocation_poll_s,
            stale_s=ground.config.revocation_stale_s,
        )
        self.session_ends = SessionEnds(
            storage=ground.storage,
            clock=ground.clock,
            revocations=self._revocations,
            audit=self._audit,
        )
        self._devices = Devices(ground.storage, clock=ground.clock)
        self.factor_parts = factor_parts(
            storage=ground.storage,
            clock=ground.clock,
            config=ground.config,
            vault=ground.vault,
            throttles=self.throttles,
            passwords=self._passwords,
            notices=self._notices,
            audit=self._audit,
        )
        self.challenges = self.factor_parts.challenges
        self.step_up = self.factor_parts.step_up
        self.own_sessions = OwnSessions(
            storage=ground.storage,
            clock=ground.clock,
            config=ground.config,
            ends=self.session_ends,
            addresses=ground.addresses,
        )
        self.sessions = Sessions(
            gate=self.challenges,
            storage=ground.storage,
            clock=ground.clock,
            config=ground.config,
            access_tokens=self._access_tokens,
            ends=self.session_ends,
            devices=self._devices,
            addresses=self._addresses,
            audit=self._audit,
            notices=self._notices,
        )

    def _make_factors(self, ground: Ground) -> None:
        """Make what signed-in users do with their second factors."""
        self.factors = SecondFactors(
            self.factor_parts,
            storage=ground.storage,
            clock=ground.clock,
            addresses=self._addresses,
            sessions=self.sessions,
            throttles=self.throttles,
            notices=self._notices,
            audit=self._audit,
        )
        self.passkeys, self.passkey_proofs = passkey_parts(
            self.factor_parts,
            storage=ground.storage,
            clock=ground.clock,
            config=ground.config,
            vault=ground.vault,
            addresses=self._addresses,
            sessions=self.sessions,
            throttles=self.throttles,
            notices=self._notices,
            audit=self._audit,
        )

    async def start(self) -> None:
        """Learn which sessions have ended, and keep learning until `stop`."""
        await self._revocations.start()
        self._sweeper.start()

    async def stop(self) -> None:
        """End the background work and the hashing threads."""
        await self._sweeper.stop()
        await self._revocations.stop()
        await self.outside.aclose()
        self._passwords.close()

    def principal(self, access_token: str) -> Principal:
        """Return whose access token it is, without any I/O.

        Raises:
            Unauthenticated: It is not valid, its session has ended, or rights have changed since.
            Unavailable: It has not been possible for long to learn which sessions ended.
        """
        principal = self._access_tokens.verify(access_token)
        ended = principal.session_id is None or self._revocations.is_revoked(principal.session_id)
        if ended or self._revocations.is_outdated(principal.user_id, principal.rights_version):
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
            registration = await self._registrar.register(
                application, key=idempotency_key, client=client
            )
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
        device: Device = NO_DEVICE,
    ) -> SignIn:
        """Open a session for whoever knows the password.

        Args:
            password: As typed.
            email: Either this or
            phone: this.
            client: The client's address; None where only tries at the account are counted.
            device: What the request says about its device.

        Raises:
            InvalidRequest: Neither or both are given, or one that cannot exist.
            TooManyAttempts: At this account, or from this client.
            InvalidCredentials: Unknown, or another password.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        contact = self._addresses.named(email=email, phone=phone)
        return await self.password_sign_in.login(contact, password, client=client, device=device)

    async def refresh(
        self, refresh_token: str, *, client: str | None = None, device: Device = NO_DEVICE
    ) -> SignIn:
        """Replace a refresh token; one replaced a moment ago gets the same successor again.

        Raises:
            RefreshTokenInvalid: Not ours, or its session is over.
            RefreshTokenReused: Replaced before, and the grace is over. The session is ended.
        """
        return await self.sessions.refresh(refresh_token, client=client, device=device)

    async def logout(self, refresh_token: str, *, client: str | None = None) -> None:
        """End the session of a refresh token, if it is one of ours. Done twice, it is done once."""
        await self.sessions.end(refresh_token, client=client)

    async def get_user(self, user_id: UserId) -> User | None:
        """Return a user."""
        return await self._users.get(user_id)

    def rights_changed(self, user: User) -> None:
        """Refuse at once in this process what was made of rights that `user` has not any more.

        Call it after a change with `User.with_rights_changed` is stored; other processes follow
        within a second by themselves.
        """
        self._revocations.change(user)

    def is_outdated(self, user_id: UserId, rights_version: int) -> bool:
        """Tell whether a user's rights have changed since a version of them; no I/O."""
        return self._revocations.is_outdated(user_id, rights_version)

    def record_of(self, user: User) -> UserRecord:
        """Return what the user may see of their own record: address and number opened."""
        return self._addresses.record(user)

    async def names_of(self, user_ids: Sequence[UserId]) -> dict[UserId, str]:
        """Return the names of those of the users that exist."""
        found = await self._users.get_many(user_ids)
        return {user.user_id: user.name for user in found.values()}

    def reach_of(self, user: User) -> Contact | None:
        """Return where what concerns the user is sent, if anywhere."""
        contact = self._addresses.reach_of(user)
        return contact if contact is not None and holds(user, contact) else None

    async def find_by_email(self, email: str) -> User | None:
        """Return the user with that address, in whatever case it is written.

        Where contacts have to be verified, one that is not finds nobody.
        """
        return (await self.directory.by_emails((email,))).get(email)

    async def find_by_phone(self, phone: str) -> User | None:
        """Return the user with that number, in whatever way it is written.

        As with an address.
        """
        return (await self.directory.by_phones((phone,))).get(phone)

    def contact(self, *, email: str | None, phone: str | None) -> Contact:
        """Return whom a request names, by address or by number as typed.

        Raises:
            InvalidRequest: Neither or both are given, or one that cannot exist.
            SmsNotOffered: A number is given, and no SMS are sent here.
        """
        named = self._addresses.named(email=email, phone=phone)
        self.contacts.check_offered(named.channel)
        return named
