"""Another address or number: shown to be the user's own before it takes the place of the old one.

A code goes to the new one. Whether somebody else has it is told to nobody but those who give that
code. The old one is told when it is over, and nothing that was sent there works any more. Step-up
comes before.
"""

from datetime import timedelta

import structlog

from guilder.identity.addresses import Contact
from guilder.identity.authentication import Principal
from guilder.identity.claims import make_way
from guilder.identity.codes import TTL_MAX_S
from guilder.identity.contacts import CODE, CODE_REQUEST
from guilder.identity.errors import CodeExpired, CodeWrong, SmsNotOffered, Unauthenticated
from guilder.identity.ground import Ground
from guilder.identity.models import ContactChange, User
from guilder.identity.recovery import PASSWORD_RESET
from guilder.identity.throttles import Throttles
from guilder.identity.user_changes import UserChanges
from guilder.kernel.errors import Unavailable
from guilder.notifications.models import Channel
from guilder.storage.base import Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.vault.vault import context_of

_PURPOSE = "contact_change"
_TEMPLATES = {Channel.EMAIL: "verify_email", Channel.SMS: "verify_phone"}
_LIFE = timedelta(seconds=TTL_MAX_S)
_TRIES = 8
_TAIL = 2
"""Digits of a number that a mask leaves."""

_log = structlog.get_logger(__name__)


class ContactChanges:
    """The use-cases of changing an address or a number.

    Invariants:
        Whether the new one belongs to somebody is seen by those only who read what is sent there.
        The user has the old one until the code of the new one was given, and in one moment the new.
    """

    def __init__(self, ground: Ground, *, requests: Throttles) -> None:
        """Take what changing needs; does nothing yet.

        Args:
            ground: Storage, clock, codes, messages.
            requests: Counts how often codes are asked for.
        """
        self._ground = ground
        self._storage = ground.storage
        self._users = ground.storage.documents(User)
        self._waiting = ground.storage.documents(ContactChange)
        self._changes = UserChanges(ground.storage, clock=ground.clock)
        self._requests = requests

    def wanted(self, *, email: str | None = None, phone: str | None = None) -> Contact:
        """Return the new contact in its normal form.

        Raises:
            InvalidRequest: It cannot exist.
            SmsNotOffered: It is a number, and no SMS are sent here.
        """
        contact = self._ground.addresses.named(email=email, phone=phone)
        if contact.channel is Channel.SMS and not self._ground.config.sms_offered:
            raise SmsNotOffered
        return contact

    async def begin(self, principal: Principal, contact: Contact, *, client: str | None) -> None:
        """Send a code to a new address or number; it takes the place of one that waited.

        Args:
            principal: Whose contact changes.
            contact: The new one.
            client: The client's address.

        Raises:
            TooManyAttempts: By this user, to this contact, or from this client.
            Unavailable: Another one is begun in this moment.
        """
        user = await self._user(principal)
        await self._requests.check(CODE_REQUEST, account=contact.key, address=client)
        await self._requests.check(CODE_REQUEST, account=user.id, address=None)
        code = await self._ground.codes.issue(purpose=_PURPOSE, subject=_subject(user, contact))
        await self._put(user, contact)
        async with self._storage.transaction() as transaction:
            await self._ground.notices.code(
                transaction,
                _TEMPLATES[contact.channel],
                to=contact,
                code=code,
                user_id=user.user_id,
            )
            await self._record(transaction, "contact_change.begun", user, contact, client)

    async def complete(
        self, principal: Principal, channel: Channel, code: str, *, client: str | None
    ) -> User:
        """Use the code that was sent to the new address or number, which then takes its place.

        Raises:
            CodeWrong: Not the latest code, used before, too many attempts, or nothing waits.
            CodeExpired: It is the latest code, and too late.
            ContactTaken: Somebody else has shown it before. The code is still good.
            TooManyAttempts: By this user, or from this client.
        """
        user = await self._user(principal)
        await self._ground.throttles.check(CODE, account=user.id, address=client)
        try:
            changed = await self._complete(user, channel, code, client)
        except (CodeWrong, CodeExpired):
            await self._ground.throttles.failed(CODE, account=user.id, address=client)
            raise
        await self._ground.throttles.succeeded(CODE, account=user.id, address=client)
        _log.info("contact_changed", user_id=user.id, channel=channel.value)
        return changed

    async def _complete(self, user: User, channel: Channel, code: str, client: str | None) -> User:
        contact = await self._waiting_for(user, channel)
        given = await self._ground.codes.given(
            purpose=_PURPOSE, subject=_subject(user, contact), code=code
        )

        def changed(latest: User) -> User:
            if latest.credentials_version != user.credentials_version:
                raise CodeWrong  # Begun by somebody who may not be the user.
            return self._ground.addresses.with_contact(latest, contact, at=self._ground.clock())

        async def first(transaction: Transaction) -> None:
            await make_way(transaction, contact, claimant=user.user_id)

        async def also(transaction: Transaction, new: User) -> None:
            await self._ground.codes.spend(given, transaction=transaction)
            await transaction.documents(ContactChange).delete(_id(user, channel))
            await self._ground.links.revoke(
                purpose=PASSWORD_RESET, subject=user.id, transaction=transaction
            )
            await self._tell(transaction, user, new, contact)
            await self._record(transaction, "contact.changed", new, contact, client)

        return await self._changes.change(user.user_id, changed, also=also, first=first)

    async def _tell(self, transaction: Transaction, old: User, new: User, contact: Contact) -> None:
        """Tell the old address, so that whoever loses an account learns it; and the new one."""
        tell = self._ground.notices.tell
        if contact.channel is Channel.SMS:
            await tell(transaction, old, "phone_changed", {"new_phone": masked(contact)})
            return
        await tell(transaction, old, "email_changed_old", {"new_email": masked(contact)})
        await tell(transaction, new, "email_changed_new")

    async def _put(self, user: User, contact: Contact) -> None:
        """Note what is to be confirmed, in the place of what was to be before."""
        now = self._ground.clock()
        change_id = _id(user, contact.channel)
        place = context_of(ContactChange.collection, change_id, "contact")
        for _ in range(_TRIES):
            earlier = await self._waiting.get(change_id)
            fresh = ContactChange(
                id=change_id,
                user_id=user.user_id,
                contact=self._ground.vault.seal(contact.text, context=place),
                credentials_version=user.credentials_version,
                expires_at=now + _LIFE,
                version=earlier.version if earlier else 1,
                created_at=now,
                updated_at=now,
            )
            try:
                if earlier is None:
                    await self._waiting.insert(fresh)
                else:
                    await self._waiting.replace(fresh)
            except (VersionConflict, DuplicateDocument):
                continue
            return
        raise Unavailable(retry_after_s=1)

    async def _waiting_for(self, user: User, channel: Channel) -> Contact:
        """Return what is to be confirmed.

        Raises:
            CodeWrong: Nothing, or it was begun before the password changed.
        """
        change_id = _id(user, channel)
        found = await self._waiting.get(change_id)
        if found is None or found.credentials_version != user.credentials_version:
            raise CodeWrong
        place = context_of(ContactChange.collection, change_id, "contact")
        text = self._ground.vault.open(found.contact, context=place)
        is_email = channel is Channel.EMAIL
        return self._ground.addresses.named(
            email=text if is_email else None, phone=None if is_email else text
        )

    async def _record(
        self,
        transaction: Transaction,
        action: str,
        user: User,
        contact: Contact,
        client: str | None,
    ) -> None:
        await self._ground.audit.record(
            action,
            actor=user.id,
            subject=user.id,
            details={"channel": contact.channel.value},
            address=client,
            transaction=transaction,
        )

    async def _user(self, principal: Principal) -> User:
        user = await self._users.get(principal.user_id)
        if user is None:
            raise Unauthenticated
        return user


def masked(contact: Contact) -> str:
    """Return enough of an address or number for its owner to know it, and for nobody else.

    >>> masked(Contact(Channel.EMAIL, "payer@example.com", ""))
    'p***@example.com'
    >>> masked(Contact(Channel.SMS, "+12025550123", ""))
    '***23'
    """
    if contact.channel is Channel.SMS:
        return f"***{contact.text[-_TAIL:]}"
    local, _, domain = contact.text.rpartition("@")
    return f"{local[:1]}***@{domain}"


def _id(user: User, channel: Channel) -> str:
    return f"{user.id}:{channel.value}"


def _subject(user: User, contact: Contact) -> str:
    """Return whom a code is for: this user with this contact, and no other pair."""
    return f"{user.id}:{contact.key}"
