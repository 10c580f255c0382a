"""New passwords: by a link in a mail for those who have lost theirs, and by the old one."""

import dataclasses

import structlog
from msgspec.structs import replace

from guilder.audit.rules import UNKNOWN
from guilder.audit.trail import AuditTrail
from guilder.identity import rules
from guilder.identity.addresses import Addresses, Contact
from guilder.identity.authentication import Principal
from guilder.identity.codes import Links
from guilder.identity.contacts import as_verified, lets_in
from guilder.identity.errors import (
    LinkInvalid,
    PasswordChecksBusy,
    PasswordWrong,
    Unauthenticated,
)
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.passwords import Passwords
from guilder.identity.sessions import Sessions
from guilder.identity.throttles import SIGN_IN, Throttles
from guilder.identity.user_changes import UserChanges, carry_over
from guilder.kernel.clock import Clock
from guilder.kernel.errors import InvalidRequest, Unavailable
from guilder.kernel.ids import UserId, new_id
from guilder.notifications.models import Channel
from guilder.storage.base import Storage, Transaction

RECOVERY_TTL_S = 1800
"""For how long a link in a mail sets a password."""
PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a purpose
"""The purpose of links in recovery mails."""
_REQUEST = "recovery_request"
_CHANGE = "password_change"
_log = structlog.get_logger(__name__)


class Recovery:
    """The use-cases of setting a new password.

    Invariants:
        Known and unknown addresses are answered alike, after the same reads and writes.
        With a new password every session ends, but the one that asked for it; also if this process
        dies in between. The user is told.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        addresses: Addresses,
        links: Links,
        throttles: Throttles,
        requests: Throttles,
        notices: Notices,
        passwords: Passwords,
        sessions: Sessions,
        audit: AuditTrail,
        page: str | None,
    ) -> None:
        """Take what recovery needs; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for records.
            addresses: Opens addresses and numbers.
            links: Tokens in mails.
            throttles: Counts tries at passwords.
            requests: Counts how often a mail is asked for.
            notices: Sends it.
            passwords: Hashes and compares.
            sessions: Ended in the end.
            audit: The record of security events.
            page: Where the link in the mail leads; without one, the mail shows the token itself.
        """
        self._storage = storage
        self._users = storage.documents(User)
        self._changes = UserChanges(storage, clock=clock)
        self._clock = clock
        self._addresses = addresses
        self._links = links
        self._throttles = throttles
        self._requests = requests
        self._notices = notices
        self._passwords = passwords
        self._sessions = sessions
        self._audit = audit
        self._page = page

    async def request(self, contact: Contact, *, client: str | None) -> None:
        """Mail a link to an address, if somebody has it.

        Raises:
            TooManyAttempts: At this address, or from this client.
        """
        await self._requests.check(_REQUEST, account=contact.key, address=client)
        found = await self._users.find_one(contact.where)
        user = found if found is not None and lets_in(found, contact.channel) else None
        # For nobody, too, a token is made: its subject does not exist.
        subject = user.id if user else new_id("user")
        async with self._storage.transaction() as transaction:
            token = await self._links.issue(
                purpose=PASSWORD_RESET,
                subject=subject,
                ttl_s=RECOVERY_TTL_S,
                transaction=transaction,
            )
            await self._notices.reset(
                transaction,
                to=contact,
                token=token,
                page=self._page,
                ttl_s=RECOVERY_TTL_S,
                user_id=user.user_id if user else None,
            )
            await self._audit.record(
                "recovery.requested",
                actor=UNKNOWN,
                subject=user.id if user else UNKNOWN,
                address=client,
                transaction=transaction,
            )

    async def complete(self, token: str, password: str, *, client: str | None) -> None:
        """Set a new password with the token of a mail, and end every session.

        Raises:
            LinkInvalid: The token is unknown, used or expired.
            InvalidRequest: The password is too easy to guess. The token is still good.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        user_id = UserId(await self._links.subject_of(purpose=PASSWORD_RESET, token=token))
        user = await self._users.get(user_id)
        if user is None:
            raise LinkInvalid
        password_hash = await self._new_hash(user, password, pointer="/password")

        def recovered(latest: User) -> User:
            if latest.email_key is None:
                raise LinkInvalid  # The address has been shown to be somebody else's since.
            # Who has the mail reads what is sent to the address.
            verified = as_verified(latest, Channel.EMAIL, self._clock())
            return _with_password(verified, password_hash)

        async def also(transaction: Transaction, changed: User) -> None:
            await self._links.redeem(purpose=PASSWORD_RESET, token=token, transaction=transaction)
            await self._links.revoke(
                purpose=PASSWORD_RESET, subject=user_id, transaction=transaction
            )
            await self._notices.tell(transaction, changed, "password_changed")
            await self._record(transaction, changed, because="recovery", client=client)

        changed = await self._changes.change(user_id, recovered, also=also)
        await self._sessions.end_all(user_id, client=client)
        # Of a number that was not shown, who waits no more would learn whose it is.
        shown = (changed.email_key, changed.phone_key if changed.phone_verified_at else None)
        for key in shown:
            if key is not None:
                await self._throttles.clear(SIGN_IN, account=key)
        _log.info("password_recovered", user_id=user_id)

    async def change(
        self, principal: Principal, *, current: str, new: str, client: str | None
    ) -> None:
        """Replace the signed-in user's password; every other session ends.

        Raises:
            TooManyAttempts: Of this user, or from this client.
            PasswordWrong: `current` is not the password.
            InvalidRequest: `new` is too easy to guess.
            PasswordChecksBusy: Too many passwords are being checked.
        """
        user = await self._users.get(principal.user_id)
        if user is None:
            raise Unauthenticated
        await self._prove(user, current, client)
        password_hash = await self._new_hash(user, new, pointer="/new_password")

        def changed_by(latest: User) -> User:
            if latest.credentials_version != user.credentials_version:
                raise Unavailable(retry_after_s=1)  # What was proved above is out of date.
            return _with_password(latest, password_hash)

        async def also(transaction: Transaction, changed: User) -> None:
            await carry_over(transaction, principal, changed)
            await self._links.revoke(
                purpose=PASSWORD_RESET, subject=user.id, transaction=transaction
            )
            await self._notices.tell(transaction, changed, "password_changed")
            await self._record(transaction, changed, because="change", client=client)

        await self._changes.change(user.user_id, changed_by, also=also)
        await self._sessions.end_all(user.user_id, client=client)
        _log.info("password_changed", user_id=user.id)

    async def _prove(self, user: User, password: str, client: str | None) -> None:
        """Find out whether it is the user who asks.

        Raises:
            PasswordWrong: Or it is somebody at the user's machine.
        """
        await self._throttles.check(_CHANGE, account=user.id, address=client)
        try:
            is_right = rules.is_password_usable(password) and await self._passwords.verify(
                password, user.password_hash
            )
        except PasswordChecksBusy:
            await self._throttles.taken_back(_CHANGE, account=user.id, address=client)
            raise
        if is_right:
            await self._throttles.succeeded(_CHANGE, account=user.id, address=client)
            return
        await self._throttles.failed(_CHANGE, account=user.id, address=client)
        await self._audit.record(
            "password.changed", actor=user.id, subject=user.id, outcome="refused", address=client
        )
        raise PasswordWrong

    async def _new_hash(self, user: User, password: str, *, pointer: str) -> str:
        record = self._addresses.record(user)
        context = tuple(word for word in (record.name, record.email, record.phone) if word)
        problem = await self._passwords.problem(password, context)
        if problem is not None:
            raise InvalidRequest(fields=(dataclasses.replace(problem, pointer=pointer),))
        return await self._passwords.hash(password)

    async def _record(
        self, transaction: Transaction, user: User, *, because: str, client: str | None
    ) -> None:
        await self._audit.record(
            "password.changed",
            actor=user.id,
            subject=user.id,
            details={"because": because},
            address=client,
            transaction=transaction,
        )


def _with_password(user: User, password_hash: str) -> User:
    """Return the user with another password. No session opened before counts any more."""
    return replace(
        user, password_hash=password_hash, credentials_version=user.credentials_version + 1
    )
