"""Whose a contact is: of whoever has shown to read it; until somebody has, of whoever came first.

Others may have it in their records all the same, under no key, so that it finds them nowhere. They
do not learn that it is somebody else's, unless they show that they read what is sent there.
"""

import structlog
from msgspec.structs import replace

from guilder.identity.addresses import Contact
from guilder.identity.errors import ContactTaken
from guilder.identity.models import User
from guilder.kernel.ids import UserId
from guilder.notifications.models import Channel
from guilder.storage.base import Transaction

_log = structlog.get_logger(__name__)


def holds(user: User, contact: Contact) -> bool:
    """Tell whether the contact finds this user."""
    key = user.email_key if contact.channel is Channel.EMAIL else user.phone_key
    return key == contact.key


def is_verified(user: User, channel: Channel) -> bool:
    """Tell whether the user has shown to read what is sent there; then it finds them, too."""
    at = user.email_verified_at if channel is Channel.EMAIL else user.phone_verified_at
    return at is not None


def claimed(user: User, contact: Contact) -> User:
    """Return the user found by a contact of theirs. Stores nothing; `make_way` comes before."""
    return _with_key(user, contact.channel, contact.key)


def unclaimed(user: User, channel: Channel) -> User:
    """Return the user with a contact that finds them no more, and stands in their record still."""
    return _with_key(user, channel, None)


async def make_way(transaction: Transaction, contact: Contact, *, claimant: UserId) -> None:
    """Take a contact from whoever has it without having shown it, for one who has.

    Nothing that the other one sees changes, the time of the last change neither: it would tell
    somebody who does not read the contact that it is in use.

    Raises:
        ContactTaken: Another one has shown it before.
        VersionConflict: That user changes in this moment.
    """
    users = transaction.documents(User)
    holder = await users.find_one(contact.where)
    if holder is None or holder.user_id == claimant:
        return
    if is_verified(holder, contact.channel):
        raise ContactTaken
    await users.replace(unclaimed(holder, contact.channel))
    _log.info("contact_moved", user_id=claimant, from_user_id=holder.id)


def _with_key(user: User, channel: Channel, key: str | None) -> User:
    if channel is Channel.EMAIL:
        return replace(user, email_key=key)
    return replace(user, phone_key=key)
