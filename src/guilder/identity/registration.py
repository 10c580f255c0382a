"""Registering: stores a new user, or answers taken addresses exactly as if it had.

Nobody learns from the answer, or from its time, whether an address is taken: either way there is
one look-up of the key, of the address and of the number, one password hash, and one commit. Nor
does anybody from what follows: who is reached by one of the two is stored, and the other one, which
is taken, stands in the record under no key (see `claims`). Nobody gets a record that was there
before, whatever the password: the same answer twice would tell that the first one was true. A retry
finds itself by its idempotency key.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity import rules
from guilder.identity.addresses import Addresses, Contact
from guilder.identity.claims import is_verified, unclaimed
from guilder.identity.codes import OneTimeCodes
from guilder.identity.config import IdentityConfig
from guilder.identity.contacts import CONTACT
from guilder.identity.models import RegistrationAnswer, User, UserRecord
from guilder.identity.notices import Notices
from guilder.identity.password_hashers import salt_of
from guilder.identity.passwords import Passwords
from guilder.identity.user_changes import Also
from guilder.kernel.clock import Clock
from guilder.kernel.errors import InvalidRequest, Unavailable
from guilder.kernel.ids import UserId, WalletId, derived_uuid, encode_id, new_id
from guilder.ledger.errors import IdempotencyKeyReused
from guilder.notifications.models import Channel
from guilder.storage.base import Storage, Transaction
from guilder.storage.errors import DuplicateDocument
from guilder.vault.vault import derived_key

OnRegistered: TypeAlias = Callable[[Transaction, User], Awaitable[None]]
"""Called with each new user inside the transaction that stores it."""

_TOKEN_BYTES = 32
_ATTEMPTS = 4
"""Each lost race (address, number, key) shows another's record at the next look: one to spare."""


class Application(Struct, frozen=True, kw_only=True):
    """What somebody registers with, as typed."""

    name: str
    email: str
    phone: str | None
    password: str

    def __repr__(self) -> str:
        """Return nothing personal: this may end up in a traceback."""
        return "Application(...)"


class Registration(Struct, frozen=True, kw_only=True):
    """The answer to a registration.

    Args:
        is_replayed: The idempotency key had been answered before.
    """

    record: UserRecord
    is_replayed: bool


class Registrar:
    """The use-case of registering."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        config: IdentityConfig,
        passwords: Passwords,
        addresses: Addresses,
        on_registered: Sequence[OnRegistered],
        audit: AuditTrail,
        codes: OneTimeCodes,
        notices: Notices,
    ) -> None:
        """Take what registering needs; does nothing yet."""
        self._storage = storage
        self._users = storage.documents(User)
        self._answers = storage.documents(RegistrationAnswer)
        self._clock = clock
        self._passwords = passwords
        self._addresses = addresses
        self._on_registered = tuple(on_registered)
        self._audit = audit
        self._codes = codes
        self._notices = notices
        self._fingerprint_key = derived_key(config.pepper, "registration-fingerprint")
        self._answer_ttl = timedelta(seconds=config.registration_ttl_s)

    async def register(
        self, application: Application, *, key: str | None, client: str | None = None
    ) -> Registration:
        """Store a user or answer as if.

        Args:
            application: As typed.
            key: The client's idempotency key.
            client: Its address, for the record; None if there is none.

        Raises:
            InvalidRequest: Fields that no user may have, all of them at once.
            IdempotencyKeyReused: The key was answered for another request.
            PasswordChecksBusy: Too many passwords are being checked.
            StorageUnavailable: The same request may be sent again. With its key it finds its own
                answer; without one, whoever was stored signs in.
        """
        normal = await self._normal(application)
        for _ in range(_ATTEMPTS):
            try:
                return await self._attempt(application, normal, key, client=client)
            except DuplicateDocument:
                # Somebody was faster. The next look sees their record and answers from it.
                continue
        raise Unavailable(retry_after_s=1)

    async def admit(
        self, *, name: str, verified_email: str, client: str | None, also: Also
    ) -> User:
        """Store a new user whom somebody else vouches for. There is no password that works.

        Args:
            name: In normal form.
            verified_email: In normal form; known to be the user's.
            client: The client's address, for the record.
            also: Called with the new user in the transaction that stores it.

        Raises:
            DuplicateDocument: Somebody has the address, or by `also`.
            PasswordChecksBusy: Too many passwords are being hashed.
        """
        user = self._new_user(_Normal(name=name, email=verified_email, phone=None))
        nobodys = await self._passwords.hash(secrets.token_urlsafe(_TOKEN_BYTES))
        user = replace(user, password_hash=nobodys, email_verified_at=user.created_at)
        async with self._storage.transaction() as transaction:
            await transaction.documents(User).insert(user)
            for hook in self._on_registered:
                await hook(transaction, user)
            await self._audit.record(
                "user.registered",
                actor=user.id,
                subject=user.id,
                address=client,
                transaction=transaction,
            )
            await also(transaction, user)
        return user

    async def _normal(self, application: Application) -> "_Normal":
        name = rules.normal_name(application.name)
        email = rules.normal_email(application.email)
        phone = None if application.phone is None else rules.normal_phone(application.phone)
        context = tuple(word for word in (name, email, phone) if word)
        errors = [
            *([] if name else [rules.NAME_ERROR]),
            *([] if email else [rules.EMAIL_ERROR]),
            *([] if phone or application.phone is None else [rules.PHONE_ERROR]),
        ]
        weakness = await self._passwords.problem(application.password, context)
        if name is None or email is None or errors or weakness:
            raise InvalidRequest(fields=(*errors, *([weakness] if weakness else [])))
        return _Normal(name=name, email=email, phone=phone)

    async def _attempt(
        self,
        application: Application,
        normal: "_Normal",
        key: str | None,
        *,
        client: str | None,
    ) -> Registration:
        answer_id = _answer_id(key)
        earlier = await self._answers.get(answer_id)
        if earlier is not None:
            return await self._replay(application, earlier)
        # Sealed also where nothing will be stored: the work must not tell a free address.
        user = self._new_user(normal)
        holders = await self._holders(user)
        password_hash = await self._passwords.hash(application.password)
        user = replace(user, password_hash=password_hash)
        # If both are taken this very record is a decoy: made alike, and not stored.
        record = self._addresses.record(user)
        answer = self._answer(answer_id, application, password_hash, record, user.created_at)
        await self._store(answer, user, holders, client)
        return Registration(record=record, is_replayed=False)

    async def _holders(self, user: User) -> "_Holders":
        phone = None
        email = await self._users.find_one({"email_key": user.email_key or ""})
        if user.phone_key is not None:
            phone = await self._users.find_one({"phone_key": user.phone_key})
        return _Holders(email=email, phone=phone)

    def _new_user(self, normal: "_Normal") -> User:
        now = self._clock()
        bare = User(
            id=UserId(new_id("user")),
            name=normal.name,
            email=None,
            email_key=None,
            phone=None,
            password_hash="",
            wallet_id=WalletId(new_id("wallet")),
            created_at=now,
            updated_at=now,
        )
        user = self._addresses.with_email(bare, normal.email)
        return self._addresses.with_phone(user, normal.phone)

    async def _replay(self, application: Application, earlier: RegistrationAnswer) -> Registration:
        password_hash = await self._passwords.hash(application.password, salt=earlier.salt)
        fingerprint = self._fingerprint(application, password_hash)
        if not hmac.compare_digest(fingerprint, earlier.fingerprint):
            raise IdempotencyKeyReused
        return Registration(record=self._addresses.answer_of(earlier), is_replayed=True)

    async def _store(
        self, answer: RegistrationAnswer, user: User, holders: "_Holders", client: str | None
    ) -> None:
        """Store the answer, and the user if the address or the number is free."""
        stored = holders.left_to(user)
        async with self._storage.transaction() as transaction:
            await transaction.documents(RegistrationAnswer).insert(answer)
            # Recorded either way, which also costs the same.
            await self._audit.record(
                "user.registered",
                actor=stored.id if stored else UNKNOWN,
                subject=stored.id if stored else holders.shown_id,
                outcome="done" if stored else "refused",
                address=client,
                transaction=transaction,
            )
            if stored is not None:
                await transaction.documents(User).insert(stored)
                for hook in self._on_registered:
                    await hook(transaction, stored)
            await self._tell(transaction, user, holders)

    async def _tell(self, transaction: Transaction, user: User, holders: "_Holders") -> None:
        """Write to the address, and to whoever has shown the number.

        As many codes and messages are stored whatever is taken.
        """
        email = self._addresses.contact_of(user, Channel.EMAIL)
        phone = self._addresses.contact_of(user, Channel.SMS)
        if email is not None:
            await self._write_to_address(transaction, user, email, holders.email)
        if phone is not None:
            owner = holders.owner_of_phone
            to = self._addresses.reach_of(owner) if owner else None
            owner_id = owner.user_id if owner else None
            await self._notices.attempt(transaction, to=to or phone, user_id=owner_id)

    async def _write_to_address(
        self, transaction: Transaction, user: User, email: Contact, holder: User | None
    ) -> None:
        """Send a code there; or, if the address is taken, that somebody tried.

        A stranger's try must not replace the code that the holder may be waiting for, so it is
        stored for nobody. The note goes nowhere else, or who only says to have the address would
        learn who came first.
        """
        subject = user.id if holder else email.key
        code = await self._codes.issue(purpose=CONTACT, subject=subject, transaction=transaction)
        if holder is None:
            await self._notices.code(
                transaction, "verify_email", to=email, code=code, user_id=user.user_id
            )
        else:
            to = self._addresses.contact_of(holder, Channel.EMAIL) or email
            await self._notices.attempt(transaction, to=to, user_id=holder.user_id)

    def _answer(
        self,
        answer_id: str,
        application: Application,
        password_hash: str,
        record: UserRecord,
        now: datetime,
    ) -> RegistrationAnswer:
        return RegistrationAnswer(
            id=answer_id,
            salt=salt_of(password_hash),
            fingerprint=self._fingerprint(application, password_hash),
            answer=self._addresses.sealed_answer(answer_id, record),
            expires_at=now + self._answer_ttl,
            created_at=now,
            updated_at=now,
        )

    def _fingerprint(self, application: Application, password_hash: str) -> str:
        values = (application.name, application.email, application.phone, password_hash)
        raw = msgspec.json.encode(values)
        return hmac.digest(self._fingerprint_key, raw, hashlib.sha256).hex()


class _Normal(Struct, frozen=True, kw_only=True):
    name: str
    email: str
    phone: str | None


class _Holders(Struct, frozen=True, kw_only=True):
    """Who is found already by what somebody registers with."""

    email: User | None
    phone: User | None

    def left_to(self, user: User) -> User | None:
        """Return the user as they can be found, by what is free; None if nothing is."""
        if self.email is not None:
            user = unclaimed(user, Channel.EMAIL)
        if self.phone is not None:
            user = unclaimed(user, Channel.SMS)
        return user if user.email_key or user.phone_key else None

    @property
    def owner_of_phone(self) -> User | None:
        """Who has shown the number, and is not written to because of the address.

        Not who merely has it: somebody with two tries at a number would get a message about the
        second, or not, if the number was another's before.
        """
        owner = self.phone
        if owner is None or not is_verified(owner, Channel.SMS):
            return None
        return None if self.email is not None and self.email.id == owner.id else owner

    @property
    def shown_id(self) -> str:
        """Id of who has shown the address or the number: whose copy of events may tell of it."""
        if self.email is not None and is_verified(self.email, Channel.EMAIL):
            return self.email.id
        if self.phone is not None and is_verified(self.phone, Channel.SMS):
            return self.phone.id
        return UNKNOWN


def _answer_id(key: str | None) -> str:
    # Nobody is signed in yet: a key belongs to whoever sends it with the same body.
    if key is None:
        return new_id("registration")
    return encode_id("registration", derived_uuid("registration", key))
