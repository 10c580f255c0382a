"""Registering: stores a new user, or answers a taken address exactly as if it had.

Nobody learns from the answer, or from its time, whether an address is taken: either way there is
one look-up of the key, of the address and of the number, one password hash, and one commit. Only
the owner of an address, who gives its password, gets the record that is there, so that a retry is
harmless. That makes registering a way to try passwords, so tries are counted. After too many no
password is the owner's any more. Nobody is refused for it: strangers must not keep anybody from
registering.
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
from guilder.identity.addresses import Addresses
from guilder.identity.codes import OneTimeCodes
from guilder.identity.config import IdentityConfig
from guilder.identity.contacts import CONTACT
from guilder.identity.errors import TooManyAttempts
from guilder.identity.models import RegistrationAnswer, User, UserRecord
from guilder.identity.notices import Notices
from guilder.identity.password_hashers import salt_of
from guilder.identity.passwords import Passwords
from guilder.identity.throttles import REGISTER_AGAIN, Throttles
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
        throttles: Throttles,
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
        self._throttles = throttles
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
            StorageUnavailable: The same request may be sent again: it finds its own record.
        """
        normal = await self._normal(application)
        may_compare = await self._counts(self._addresses.email_key(normal.email))
        for _ in range(_ATTEMPTS):
            try:
                return await self._attempt(
                    application, normal, key, may_compare=may_compare, client=client
                )
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

    async def _counts(self, account: str) -> bool:
        """Count a try at the account's password; tell whether it may be compared."""
        try:
            await self._throttles.check(REGISTER_AGAIN, account=account, address=None)
        except TooManyAttempts:
            return False
        return True

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
        may_compare: bool,
        client: str | None,
    ) -> Registration:
        answer_id = _answer_id(key)
        earlier = await self._answers.get(answer_id)
        if earlier is not None:
            return await self._replay(application, earlier)
        # Sealed also where nothing will be stored: the work must not tell a free address.
        user = self._new_user(normal)
        owner = await self._users.find_one({"email_key": user.email_key or ""})
        by_phone = user.phone_key and await self._users.find_one({"phone_key": user.phone_key})
        salt = salt_of(owner.password_hash) if owner else None
        password_hash = await self._passwords.hash(application.password, salt=salt)
        user = replace(user, password_hash=password_hash)
        holder = owner or by_phone or None
        is_owner = owner and hmac.compare_digest(password_hash, owner.password_hash)
        if owner and is_owner and may_compare:
            record = self._addresses.record(owner)
        else:
            # For a taken address this very record is the decoy: made alike, and not stored.
            record = self._addresses.record(user)
        answer = self._answer(answer_id, application, password_hash, record, user.created_at)
        await self._store(answer, user, holder, client)
        return Registration(record=record, is_replayed=False)

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
        self, answer: RegistrationAnswer, user: User, holder: User | None, client: str | None
    ) -> None:
        """Store the answer, and the user unless somebody holds the address or the number."""
        async with self._storage.transaction() as transaction:
            await transaction.documents(RegistrationAnswer).insert(answer)
            # Recorded either way, which also costs the same.
            await self._audit.record(
                "user.registered",
                actor=UNKNOWN if holder else user.id,
                subject=holder.id if holder else user.id,
                outcome="refused" if holder else "done",
                address=client,
                transaction=transaction,
            )
            if holder is None:
                await transaction.documents(User).insert(user)
                for hook in self._on_registered:
                    await hook(transaction, user)
            await self._tell(transaction, user, holder)

    async def _tell(self, transaction: Transaction, user: User, holder: User | None) -> None:
        """Send the new user a code; or tell whoever has the address or number that somebody tried.

        Either way a code is stored and a message left. A stranger's try must not replace the code
        that the holder may be waiting for, so it is stored for nobody.
        """
        contact = self._addresses.contact_of(user, Channel.EMAIL)
        subject = contact.key if contact and holder is None else user.id
        code = await self._codes.issue(purpose=CONTACT, subject=subject, transaction=transaction)
        if holder is not None:
            await self._notices.tell(transaction, holder, "sign_up_attempt")
        elif contact is not None:
            await self._notices.code(
                transaction, "verify_email", to=contact, code=code, user_id=user.user_id
            )

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


def _answer_id(key: str | None) -> str:
    # Nobody is signed in yet: a key belongs to whoever sends it with the same body.
    if key is None:
        return new_id("registration")
    return encode_id("registration", derived_uuid("registration", key))
