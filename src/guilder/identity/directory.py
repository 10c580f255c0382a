"""Finds people by what they are reached by, as others write it."""

from collections.abc import Iterable, Mapping

from guilder.identity.addresses import Addresses, Contact
from guilder.identity.claims import is_verified
from guilder.identity.config import IdentityConfig
from guilder.identity.models import User
from guilder.kernel.errors import InvalidRequest
from guilder.notifications.models import Channel
from guilder.storage.base import Storage
from guilder.storage.turns import in_turns


class Directory:
    """Who has which address or number.

    Invariants:
        Where contacts have to be verified, one that is not finds nobody. One that cannot exist
        finds nobody either. Many are found exactly as each of them alone.
    """

    def __init__(self, storage: Storage, *, addresses: Addresses, config: IdentityConfig) -> None:
        """Take what finding needs.

        Args:
            storage: Migrated with `User`.
            addresses: Knows what each contact is looked up by.
            config: Says whether contacts have to be verified.
        """
        self._users = storage.documents(User)
        self._addresses = addresses
        self._is_verified_required = config.verified_contact_required

    async def by_emails(self, emails: Iterable[str]) -> dict[str, User]:
        """Return the users with those addresses, by address as it is given, in whatever case."""
        contacts = {each: self._contact(email=each) async for each in in_turns(emails)}
        return await self._found("email_key", contacts, Channel.EMAIL)

    async def by_phones(self, phones: Iterable[str]) -> dict[str, User]:
        """Return the users with those numbers, by number as it is given, in whatever way."""
        contacts = {each: self._contact(phone=each) async for each in in_turns(phones)}
        return await self._found("phone_key", contacts, Channel.SMS)

    def _contact(self, *, email: str | None = None, phone: str | None = None) -> Contact | None:
        """Return the contact; None if there can be none."""
        try:
            return self._addresses.named(email=email, phone=phone)
        except InvalidRequest:
            return None

    async def _found(
        self, field: str, contacts: Mapping[str, Contact | None], channel: Channel
    ) -> dict[str, User]:
        """Return whom the contacts find, by text. One query, however many they are."""
        keys = {text: contact.key for text, contact in contacts.items() if contact is not None}
        users = await self._users.find_many(field, list(set(keys.values())))
        return {
            text: users[key]
            for text, key in keys.items()
            if key in users and (is_verified(users[key], channel) or not self._is_verified_required)
        }
