"""Shows that an address or a number is the user's own: a code goes there and comes back.

One code at a time is good for a contact, whatever it was sent for: whoever reads it may sign in by
code anyway. So the code that registration sends also signs in.
"""

from datetime import datetime

from msgspec.structs import replace

from guilder.audit.trail import AuditTrail
from guilder.identity.addresses import Addresses, Contact
from guilder.identity.authentication import Principal
from guilder.identity.claims import claimed, is_verified, make_way
from guilder.identity.codes import OneTimeCodes
from guilder.identity.errors import CodeExpired, CodeWrong, SmsNotOffered, Unauthenticated
from guilder.identity.models import User
from guilder.identity.notices import Notices
from guilder.identity.throttles import Throttles
from guilder.identity.user_changes import UserChanges
from guilder.kernel.clock import Clock
from guilder.kernel.errors import NotFound
from guilder.notifications.models import Channel
from guilder.storage.base import Storage, Transaction

CONTACT = "contact"
"""The purpose of codes that are sent to a contact."""
CODE = "code"
"""The action under which tries at such codes are counted, by contact."""
CODE_REQUEST = "code_request"
"""The action under which asking for them is counted, by contact."""
_TEMPLATES = {Channel.EMAIL: "verify_email", Channel.SMS: "verify_phone"}


class Contacts:
    """The use-cases of a signed-in user's address and number."""

    def __init__(
        self,
        *,
        storage: Storage,
        clock: Clock,
        addresses: Addresses,
        codes: OneTimeCodes,
        throttles: Throttles,
        requests: Throttles,
        notices: Notices,
        audit: AuditTrail,
        sms_offered: bool,
    ) -> None:
        """Take what verifying needs; does nothing yet.

        Args:
            storage: Migrated with `models.MODELS`.
            clock: Time for records.
            addresses: Opens addresses and numbers.
            codes: Shared with signing in by code.
            throttles: Counts tries at codes.
            requests: Counts how often codes are asked for.
            notices: Sends them.
            audit: The record of security events.
            sms_offered: There is a way to send SMS.
        """
        self._storage = storage
        self._users = storage.documents(User)
        self._changes = UserChanges(storage, clock=clock)
        self._clock = clock
        self._addresses = addresses
        self._codes = codes
        self._throttles = throttles
        self._requests = requests
        self._notices = notices
        self._audit = audit
        self._sms_offered = sms_offered

    async def resend(self, principal: Principal, channel: Channel, *, client: str | None) -> None:
        """Send the signed-in user a new code; nothing, if the contact is verified already.

        One that is somebody else's gets a code as any other does.

        Raises:
            NotFound: The user has no such contact.
            SmsNotOffered: It is a number, and no SMS are sent here.
            TooManyAttempts: At this contact, or from this client.
        """
        user, contact = await self._contact(principal, channel)
        self.check_offered(channel)
        if is_verified(user, channel):
            return
        await self._requests.check(CODE_REQUEST, account=contact.key, address=client)
        code = await self._codes.issue(purpose=CONTACT, subject=contact.key)
        async with self._storage.transaction() as transaction:
            await self._notices.code(
                transaction, _TEMPLATES[channel], to=contact, code=code, user_id=user.user_id
            )
            await self._audit.record(
                "code.requested",
                actor=user.id,
                subject=user.id,
                details={"channel": channel.value},
                address=client,
                transaction=transaction,
            )

    async def verify(
        self, principal: Principal, channel: Channel, code: str, *, client: str | None
    ) -> User:
        """Use a code up, and note that the contact is the user's. Done twice, it is done once.

        From whoever has it without having shown it, it is taken.

        Raises:
            NotFound: The user has no such contact.
            ContactTaken: Somebody else has shown it before. The code is still good.
            CodeWrong: Not the latest code, used before, or too many attempts.
            CodeExpired: It is the latest code, and too late.
            TooManyAttempts: At this contact, or from this client.
        """
        user, contact = await self._contact(principal, channel)
        if is_verified(user, channel):
            return user
        await self._throttles.check(CODE, account=contact.key, address=client)
        try:
            given = await self._codes.given(purpose=CONTACT, subject=contact.key, code=code)
        except (CodeWrong, CodeExpired):
            await self._throttles.failed(CODE, account=contact.key, address=client)
            raise

        def verified(latest: User) -> User:
            if self._addresses.contact_of(latest, channel) != contact:
                raise CodeWrong  # Changed meanwhile: the code says nothing about the new one.
            return as_verified(claimed(latest, contact), channel, self._clock())

        async def first(transaction: Transaction) -> None:
            await make_way(transaction, contact, claimant=user.user_id)

        async def also(transaction: Transaction, changed: User) -> None:
            await self._codes.spend(given, transaction=transaction)
            await self._audit.record(
                "contact.verified",
                actor=changed.id,
                subject=changed.id,
                details={"channel": channel.value},
                address=client,
                transaction=transaction,
            )

        changed = await self._changes.change(user.user_id, verified, also=also, first=first)
        await self._throttles.succeeded(CODE, account=contact.key, address=client)
        await self._requests.succeeded(CODE_REQUEST, account=contact.key, address=client)
        return changed

    def check_offered(self, channel: Channel) -> None:
        """Refuse a way that messages cannot take here.

        Raises:
            SmsNotOffered: No SMS are sent here.
        """
        if channel is Channel.SMS and not self._sms_offered:
            raise SmsNotOffered

    async def _contact(self, principal: Principal, channel: Channel) -> tuple[User, Contact]:
        user = await self._users.get(principal.user_id)
        if user is None:
            raise Unauthenticated
        contact = self._addresses.contact_of(user, channel)
        if contact is None:
            raise NotFound
        return user, contact


def as_verified(user: User, channel: Channel, now: datetime) -> User:
    """Return the user with the contact verified, since now if it was not before."""
    if is_verified(user, channel):
        return user
    if channel is Channel.EMAIL:
        return replace(user, email_verified_at=now)
    return replace(user, phone_verified_at=now)


def lets_in(user: User, channel: Channel) -> bool:
    """Tell whether who reads what is sent to a contact is taken for its user.

    An address that nobody has shown to read may be mistyped, and then be a stranger's. It counts
    until the user has shown something better; a number, which others get by and by, never does.
    """
    if channel is Channel.EMAIL:
        return user.email_verified_at is not None or user.phone_verified_at is None
    return user.phone_verified_at is not None
