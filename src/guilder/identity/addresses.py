"""People's e-mail addresses and phone numbers: sealed where they are stored, found by keyed hashes.

The only place that knows how a `User` keeps them. Everybody else asks for a plain `UserRecord`.
"""

from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from guilder.identity import rules
from guilder.identity.models import RegistrationAnswer, Session, User, UserRecord
from guilder.kernel.errors import FieldError, InvalidRequest
from guilder.notifications.models import Channel
from guilder.vault.vault import Vault, context_of

_EITHER_ERROR = FieldError(
    "/email", "email_or_phone", "Give either an e-mail address or a phone number."
)
_EMAIL_INDEX = "users.email"
_PHONE_INDEX = "users.phone"
_read_record = msgspec.json.Decoder(UserRecord).decode


class Contact(Struct, frozen=True):
    """An address or a number.

    Args:
        channel: The way messages take to it.
        text: In the form that is stored and written to.
        key: Its blind index.
    """

    channel: Channel
    text: str
    key: str

    def __repr__(self) -> str:
        """Return nothing personal."""
        return f"Contact({self.channel!s})"

    @property
    def where(self) -> dict[str, str]:
        """What the user who has it is found by."""
        return {"email_key" if self.channel is Channel.EMAIL else "phone_key": self.key}


class Addresses:
    """Seals, opens and indexes what people are reached by. Does no I/O."""

    def __init__(self, vault: Vault) -> None:
        """Take the vault that all of them are sealed with."""
        self._vault = vault

    def email_key(self, email: str) -> str:
        """Return what a normal address is looked up by, whatever its case: 64 hex digits."""
        return self._vault.blind_index(_EMAIL_INDEX, rules.email_key(email))

    def phone_key(self, phone: str) -> str:
        """Return what a number in E.164 is looked up by: 64 hex digits."""
        return self._vault.blind_index(_PHONE_INDEX, phone)

    def with_email(self, user: User, email: str | None) -> User:
        """Return the user with another normal address, or without one. Stores nothing."""
        if email is None:
            return replace(user, email=None, email_key=None)
        sealed = self._vault.seal(email, context=_place(user.id, "email"))
        return replace(user, email=sealed, email_key=self.email_key(email))

    def with_phone(self, user: User, phone: str | None) -> User:
        """Return the user with another number in E.164, or without one. Stores nothing."""
        if phone is None:
            return replace(user, phone=None, phone_key=None)
        sealed = self._vault.seal(phone, context=_place(user.id, "phone"))
        return replace(user, phone=sealed, phone_key=self.phone_key(phone))

    def with_contact(self, user: User, contact: Contact, *, at: datetime) -> User:
        """Return the user with another address or number, shown to be their own at `at`."""
        if contact.channel is Channel.EMAIL:
            return replace(self.with_email(user, contact.text), email_verified_at=at)
        return replace(self.with_phone(user, contact.text), phone_verified_at=at)

    def named(self, *, email: str | None, phone: str | None) -> Contact:
        """Return whom a request names, by address or by number as typed.

        Raises:
            InvalidRequest: Neither or both are given, or one that cannot exist.
        """
        if (email is None) == (phone is None):
            raise InvalidRequest(fields=(_EITHER_ERROR,))
        if email is not None:
            address = rules.normal_email(email)
            if address is None:
                raise InvalidRequest(fields=(rules.EMAIL_ERROR,))
            return Contact(Channel.EMAIL, address, self.email_key(address))
        number = rules.normal_phone(phone or "")
        if number is None:
            raise InvalidRequest(fields=(rules.PHONE_ERROR,))
        return Contact(Channel.SMS, number, self.phone_key(number))

    def contact_of(self, user: User, channel: Channel) -> Contact | None:
        """Return how the user says to be reached on a way, if at all.

        It may find somebody else; see `claims.holds`.

        Raises:
            SealBroken: The stored value was changed, or its key is gone.
        """
        if channel is Channel.EMAIL:
            email = self.email_of(user)
            return None if email is None else Contact(channel, email, self.email_key(email))
        phone = self.phone_of(user)
        return None if phone is None else Contact(channel, phone, self.phone_key(phone))

    def reach_of(self, user: User) -> Contact | None:
        """Return where what concerns the user is sent: where they have shown to read, if anywhere.

        Whether the contact finds somebody else makes no difference: where messages go would tell
        it. Ask `claims.holds` before one is sent.

        Raises:
            SealBroken: The stored value was changed, or its key is gone.
        """
        is_number_better = user.email_verified_at is None and user.phone_verified_at is not None
        ways = [Channel.EMAIL, Channel.SMS]
        for channel in reversed(ways) if is_number_better else ways:
            contact = self.contact_of(user, channel)
            if contact is not None:
                return contact
        return None

    def email_of(self, user: User) -> str | None:
        """Return the address, as the user writes it.

        Raises:
            SealBroken: The stored value was changed, or its key is gone.
        """
        return self._opened(user.email, _place(user.id, "email"))

    def phone_of(self, user: User) -> str | None:
        """Return the number, in E.164.

        Raises:
            SealBroken: The stored value was changed, or its key is gone.
        """
        return self._opened(user.phone, _place(user.id, "phone"))

    def record(self, user: User) -> UserRecord:
        """Return what the user may see of their own record.

        Raises:
            SealBroken: A stored value was changed, or its key is gone.
        """
        return UserRecord(
            id=user.user_id,
            name=user.name,
            email=self.email_of(user),
            phone=self.phone_of(user),
            wallet_id=user.wallet_id,
            created_at=user.created_at,
            updated_at=user.updated_at,
            email_verified=user.email_verified_at is not None,
            phone_verified=user.phone_verified_at is not None,
        )

    def sealed_answer(self, answer_id: str, record: UserRecord) -> str:
        """Return the record as `RegistrationAnswer.answer` keeps it."""
        raw = msgspec.json.encode(record).decode()
        return self._vault.seal(raw, context=_answer_place(answer_id))

    def answer_of(self, answer: RegistrationAnswer) -> UserRecord:
        """Return the record that a registration was answered with.

        Raises:
            SealBroken: The stored value was changed, or its key is gone.
        """
        raw = self._vault.open(answer.answer, context=_answer_place(answer.id))
        return _read_record(raw)

    def sealed_place(self, session_id: str, place: str) -> str | None:
        """Return words for a place as `Session.place` keeps them; None for no place."""
        if not place:
            return None
        return self._vault.seal(place, context=_session_place(session_id))

    def place_of(self, session: Session) -> str:
        """Return where a session was last used; empty if nobody knows.

        Raises:
            SealBroken: The stored value was changed, or its key is gone.
        """
        return self._opened(session.place, _session_place(session.id)) or ""

    def _opened(self, sealed: str | None, place: str) -> str | None:
        return None if sealed is None else self._vault.open(sealed, context=place)


def _place(user_id: str, field: str) -> str:
    return context_of(User.collection, user_id, field)


def _answer_place(answer_id: str) -> str:
    return context_of(RegistrationAnswer.collection, answer_id, "answer")


def _session_place(session_id: str) -> str:
    return context_of(Session.collection, session_id, "place")
