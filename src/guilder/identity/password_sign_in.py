"""Signing in with a password."""

from typing import NoReturn

import structlog
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity import rules
from guilder.identity.addresses import Contact
from guilder.identity.claims import is_verified
from guilder.identity.devices import Device, Devices
from guilder.identity.errors import InvalidCredentials, PasswordChecksBusy
from guilder.identity.models import User
from guilder.identity.passwords import Passwords
from guilder.identity.sessions import Sessions, SignIn
from guilder.identity.throttles import SIGN_IN, Throttles
from guilder.storage.base import Storage
from guilder.storage.errors import VersionConflict

_log = structlog.get_logger(__name__)


class PasswordSignIn:
    """The use-case of signing in with a password.

    Invariants:
        Costs one password hash and answers alike, whether the account exists or not.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        throttles: Throttles,
        passwords: Passwords,
        sessions: Sessions,
        devices: Devices,
        audit: AuditTrail,
        is_verified_required: bool,
    ) -> None:
        """Take what signing in needs; does nothing yet."""
        self._users = storage.documents(User)
        self._throttles = throttles
        self._passwords = passwords
        self._sessions = sessions
        self._devices = devices
        self._audit = audit
        self._is_verified_required = is_verified_required

    async def login(
        self, contact: Contact, password: str, *, client: str | None, device: Device
    ) -> SignIn:
        """Open a session for whoever knows the password.

        Args:
            contact: Whose it is said to be.
            password: As typed.
            client: The client's address; None where only tries at the account are counted.
            device: What the request says about its device.

        Raises:
            TooManyAttempts: At this account, or from this client.
            InvalidCredentials: Unknown, not confirmed where that is required, or another password.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        if not rules.is_password_usable(password):
            await self._refuse(UNKNOWN, client)
        found = await self._users.find_one(contact.where)
        # Who has not shown the contact is nobody here, to the last detail: the password, a known
        # device or the record would tell whether it is theirs, and so whether it is another's.
        user = found if found is not None and self._may_enter(found, contact) else None
        known = await self._devices.recognised(user, device)
        source = {
            "account": contact.key,
            "address": client,
            "device": known.known.id if known else None,
        }
        await self._throttles.check(SIGN_IN, **source)
        try:
            matches = await self._passwords.verify(password, user.password_hash if user else None)
        except PasswordChecksBusy:
            await self._throttles.taken_back(SIGN_IN, **source)
            raise
        if not matches or user is None:
            await self._throttles.failed(SIGN_IN, **source)
            _log.info("sign_in_refused", user_id=user.id if user else None)
            await self._refuse(user.id if user else UNKNOWN, client)
        await self._throttles.succeeded(SIGN_IN, **source)
        user = await self._with_current_hash(user, password)
        _log.info("signed_in", user_id=user.id)
        return await self._sessions.open(user, client=client, device=device)

    async def _refuse(self, subject: str, client: str | None) -> NoReturn:
        await self._audit.record(
            "sign_in.refused", actor=UNKNOWN, subject=subject, outcome="refused", address=client
        )
        raise InvalidCredentials

    def _may_enter(self, user: User, contact: Contact) -> bool:
        return is_verified(user, contact.channel) or not self._is_verified_required

    async def _with_current_hash(self, user: User, password: str) -> User:
        if not self._passwords.needs_rehash(user.password_hash):
            return user
        password_hash = await self._passwords.hash(password)
        try:
            return await self._users.replace(replace(user, password_hash=password_hash))
        except VersionConflict:
            # Somebody changed the user meanwhile; the hash is renewed at the next sign-in.
            return user
