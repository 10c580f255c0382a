"""Registering: stores a new user, or answers a taken address exactly as if it had.

Nobody learns from the answer, or from its time, whether an address is taken: either way there is
one look-up of the key, of the address and of the number, one bcrypt, and one commit. Only the owner
of an address, who gives its password, gets the record that is there, so that a retry is harmless.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec
from msgspec import Struct

from guilder.identity import rules
from guilder.identity.config import IdentityConfig, derived_key
from guilder.identity.models import RegistrationAnswer, User, UserRecord
from guilder.identity.passwords import Passwords, salt_of
from guilder.kernel.clock import Clock
from guilder.kernel.errors import InvalidRequest, Unavailable
from guilder.kernel.ids import UserId, WalletId, derived_uuid, encode_id, new_id
from guilder.ledger.errors import IdempotencyKeyReused
from guilder.storage.base import Storage, Transaction
from guilder.storage.errors import DuplicateDocument

OnRegistered: TypeAlias = Callable[[Transaction, User], Awaitable[None]]
"""Called with each new user inside the transaction that stores it."""

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
        on_registered: Sequence[OnRegistered],
    ) -> None:
        """Take what registering needs; does nothing yet."""
        self._storage = storage
        self._users = storage.documents(User)
        self._answers = storage.documents(RegistrationAnswer)
        self._clock = clock
        self._passwords = passwords
        self._on_registered = tuple(on_registered)
        self._fingerprint_key = derived_key(config.pepper, "registration-fingerprint")
        self._answer_ttl = timedelta(seconds=config.registration_ttl_s)

    async def register(self, application: Application, *, key: str | None) -> Registration:
        """Store a user or answer as if.

        Raises:
            InvalidRequest: Fields that no user may have, all of them at once.
            IdempotencyKeyReused: The key was answered for another request.
            PasswordChecksBusy: Too many passwords are being checked.
            StorageUnavailable: The same request may be sent again: it finds its own record.
        """
        normal = await self._normal(application)
        for _ in range(_ATTEMPTS):
            try:
                return await self._attempt(application, normal, key)
            except DuplicateDocument:
                # Somebody was faster. The next look sees their record and answers from it.
                continue
        raise Unavailable(retry_after_s=1)

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
        return _Normal(name=name, email=email, email_key=rules.email_key(email), phone=phone)

    async def _attempt(
        self, application: Application, normal: "_Normal", key: str | None
    ) -> Registration:
        answer_id = _answer_id(key)
        earlier = await self._answers.get(answer_id)
        if earlier is not None:
            return await self._replay(application, earlier)
        owner = await self._users.find_one({"email_key": normal.email_key})
        by_phone = normal.phone and await self._users.find_one({"phone": normal.phone})
        salt = salt_of(owner.password_hash) if owner else None
        password_hash = await self._passwords.hash(application.password, salt=salt)
        user = _new_user(normal, password_hash, self._clock())
        is_free = owner is None and not by_phone
        if owner and hmac.compare_digest(password_hash, owner.password_hash):
            record = owner.record()
        else:
            # For a taken address this very record is the decoy: made alike, and not stored.
            record = user.record()
        answer = self._answer(answer_id, application, password_hash, record, user.created_at)
        await self._store(answer, user if is_free else None)
        return Registration(record=record, is_replayed=False)

    async def _replay(self, application: Application, earlier: RegistrationAnswer) -> Registration:
        password_hash = await self._passwords.hash(application.password, salt=earlier.salt)
        fingerprint = self._fingerprint(application, password_hash)
        if not hmac.compare_digest(fingerprint, earlier.fingerprint):
            raise IdempotencyKeyReused
        return Registration(record=earlier.answer, is_replayed=True)

    async def _store(self, answer: RegistrationAnswer, user: User | None) -> None:
        async with self._storage.transaction() as transaction:
            await transaction.documents(RegistrationAnswer).insert(answer)
            if user is not None:
                await transaction.documents(User).insert(user)
                for hook in self._on_registered:
                    await hook(transaction, user)

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
            answer=record,
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
    email_key: str
    phone: str | None


def _new_user(normal: _Normal, password_hash: str, now: datetime) -> User:
    return User(
        id=UserId(new_id("user")),
        name=normal.name,
        email=normal.email,
        email_key=normal.email_key,
        phone=normal.phone,
        password_hash=password_hash,
        wallet_id=WalletId(new_id("wallet")),
        created_at=now,
        updated_at=now,
    )


def _answer_id(key: str | None) -> str:
    # Nobody is signed in yet: a key belongs to whoever sends it with the same body.
    if key is None:
        return new_id("registration")
    return encode_id("registration", derived_uuid("registration", key))
