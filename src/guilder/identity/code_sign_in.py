"""Signing in with a code that is sent to an address or a number, instead of a password.

Who shows a code for an address that nobody had shown before may not be who registered with it, and
set the password. That password and its sessions then end, unless it is given too.
"""

import secrets
from datetime import datetime
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity import rules
from guilder.identity.addresses import Contact
from guilder.identity.claims import holds
from guilder.identity.codes import GivenCode, OneTimeCodes
from guilder.identity.contacts import CODE, CODE_REQUEST, CONTACT, as_verified, lets_in
from guilder.identity.devices import NO_DEVICE, Device
from guilder.identity.errors import CodeExpired, CodeWrong, InvalidCredentials
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.passwords import Passwords
from guilder.identity.sessions import Sessions, SignIn
from guilder.identity.throttles import SIGN_IN, Throttles
from guilder.identity.user_changes import UserChanges
from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.storage.base import Storage, Transaction

_TOKEN_BYTES = 32
_log = structlog.get_logger(__name__)


class CodeSignIn:
    """The use-cases of signing in by code.

    Invariants:
        Known and unknown contacts are answered alike, after the same reads and writes.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        codes: OneTimeCodes,
        throttles: Throttles,
        requests: Throttles,
        notices: Notices,
        passwords: Passwords,
        sessions: Sessions,
        audit: AuditTrail,
    ) -> None:
        """Take what signing in needs; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for records.
            codes: Shared with verifying a contact.
            throttles: Counts tries at codes.
            requests: Counts how often codes are asked for.
            notices: Sends them.
            passwords: Of those who give one too.
            sessions: Opened in the end.
            audit: The record of security events.
        """
        self._storage = storage
        self._users = storage.documents(User)
        self._changes = UserChanges(storage, clock=clock)
        self._clock = clock
        self._codes = codes
        self._throttles = throttles
        self._requests = requests
        self._notices = notices
        self._passwords = passwords
        self._sessions = sessions
        self._audit = audit

    async def request(self, contact: Contact, *, client: str | None) -> None:
        """Send a code to a contact, if somebody may sign in with it.

        Raises:
            TooManyAttempts: At this contact, or from this client.
            Unavailable: Another code is being issued in this moment.
        """
        await self._requests.check(CODE_REQUEST, account=contact.key, address=client)
        user = await self._user(contact)
        code = await self._codes.issue(purpose=CONTACT, subject=contact.key)
        async with self._storage.transaction() as transaction:
            await self._notices.code(
                transaction,
                "sign_in_code",
                to=contact,
                code=code,
                user_id=user.user_id if user else None,
                is_decoy=user is None,
            )
            await self._audit.record(
                "code.requested",
                actor=UNKNOWN,
                subject=user.id if user else UNKNOWN,
                details={"channel": contact.channel.value},
                address=client,
                transaction=transaction,
            )

    async def redeem(
        self,
        contact: Contact,
        code: str,
        *,
        password: str | None,
        client: str | None,
        device: Device = NO_DEVICE,
    ) -> SignIn:
        """Open a session for whoever has the latest code.

        Args:
            contact: Where the code was sent.
            code: As typed.
            password: Looked at only where this shows for the first time that somebody reads what
                is sent there: it is kept if it is right.
            client: The client's address; None where only tries at the contact are counted.
            device: What the request says about its device.

        Raises:
            TooManyAttempts: At this contact, or from this client.
            CodeWrong: Not the latest code, used before, too many attempts, or nobody's.
            CodeExpired: It is the latest code, and too late.
            InvalidCredentials: The password is looked at, and wrong. The code is still good.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        await self._throttles.check(CODE, account=contact.key, address=client)
        user = await self._user(contact)
        try:
            given = await self._given(user, contact, code)
        except (CodeWrong, CodeExpired):
            await self._throttles.failed(CODE, account=contact.key, address=client)
            await self._audit.record(
                "sign_in.refused",
                actor=UNKNOWN,
                subject=user.id if user else UNKNOWN,
                outcome="refused",
                details={"way": "code"},
                address=client,
            )
            raise
        user = await self._let_in(given, contact, password, client)
        await self._throttles.succeeded(CODE, account=contact.key, address=client)
        await self._requests.succeeded(CODE_REQUEST, account=contact.key, address=client)
        _log.info("signed_in", user_id=user.id, way="code")
        return await self._sessions.open(user, client=client, device=device)

    async def _user(self, contact: Contact) -> User | None:
        user = await self._users.find_one(contact.where)
        return user if user is not None and lets_in(user, contact.channel) else None

    async def _given(self, user: User | None, contact: Contact, code: str) -> "_Given":
        """Count the attempt and compare, for nobody too."""
        right = await self._codes.given(purpose=CONTACT, subject=contact.key, code=code)
        if user is None:
            raise CodeWrong
        return _Given(user, right)

    async def _let_in(
        self, given: "_Given", contact: Contact, password: str | None, client: str | None
    ) -> User:
        """Use the code up; the first time also note that the contact is verified."""
        user = given.user
        if as_verified(user, contact.channel, self._clock()) is user:
            await self._codes.spend(given.code)
            return user
        nobodys = None
        if password is None:
            nobodys = await self._passwords.hash(secrets.token_urlsafe(_TOKEN_BYTES))
        elif not await self._is_right(user, password):
            raise InvalidCredentials
        return await self._verified(given, contact, nobodys, client)

    async def _is_right(self, user: User, password: str) -> bool:
        usable = rules.is_password_usable(password)
        return usable and await self._passwords.verify(password, user.password_hash)

    async def _verified(
        self, given: "_Given", contact: Contact, nobodys: str | None, client: str | None
    ) -> User:
        """Note that the contact is the user's.

        Args:
            given: The code, and the user as the password was looked at.
            contact: Where it was sent.
            nobodys: Hash of a password that nobody knows, to take the place of the one there is.
            client: The client's address, for the record.
        """
        user = given.user

        def verified(latest: User) -> User:
            is_same = latest.credentials_version == user.credentials_version
            is_theirs = holds(latest, contact) and lets_in(latest, contact.channel)
            if not is_same or not is_theirs:
                raise Unavailable(retry_after_s=1)  # What was decided above is out of date.
            return _without_password(latest, contact, nobodys, self._clock())

        async def also(transaction: Transaction, changed: User) -> None:
            await self._codes.spend(given.code, transaction=transaction)
            if nobodys is not None:
                await self._notices.tell(transaction, changed, "password_changed")
            await self._audit.record(
                "contact.verified",
                actor=changed.id,
                subject=changed.id,
                details={
                    "channel": contact.channel.value,
                    "password": "kept" if nobodys is None else "dropped",
                },
                address=client,
                transaction=transaction,
            )

        changed = await self._changes.change(user.user_id, verified, also=also)
        if nobodys is not None:
            await self._sessions.end_all(changed.user_id, client=client)
        # Who was refused until now, because nothing was confirmed, waits no longer for that.
        await self._throttles.clear(SIGN_IN, account=contact.key)
        return changed


class _Given(NamedTuple):
    """A right code, and whose it is."""

    user: User
    code: GivenCode


def _without_password(user: User, contact: Contact, nobodys: str | None, now: datetime) -> User:
    verified = as_verified(user, contact.channel, now)
    if nobodys is None:
        return verified
    return replace(
        verified, password_hash=nobodys, credentials_version=user.credentials_version + 1
    )
