"""What waits to be sent, what a number or address was sent lately, and development's mailbox."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from guilder.kernel.ids import UserId
from guilder.storage.base import Document


class Channel(StrEnum):
    """The way a message takes."""

    EMAIL = "email"
    """To an address, over SMTP."""
    SMS = "sms"
    """To a number in E.164."""


class MessageState(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    """To be sent at `due_at`."""
    SENT = "sent"
    """The mail server or the SMS company has taken it."""
    FAILED = "failed"
    """Refused for good: sending it again would change nothing."""
    EXPIRED = "expired"
    """It could not be sent before its end."""


class Message(Document, frozen=True, kw_only=True):
    """Something to tell somebody, once.

    Invariants:
        `to` and `values` are sealed while it waits, and None ever after.
        Only the process that wrote the latest version of a waiting message sends it, until
        `due_at`.
    """

    collection: ClassVar[str] = "messages"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("channel", "state", "due_at"),
        ("remove_at",),
        ("user_id", "created_at"),
    )
    sealed: ClassVar[tuple[str, ...]] = ("to", "values")

    channel: Channel
    template: str
    to: str | None
    """Address or number, sealed."""
    values: str | None
    """What the template is filled with, as JSON, sealed."""
    user_id: UserId | None
    """Whom it is about; None if nobody is signed up yet."""
    state: MessageState = MessageState.WAITING
    due_at: datetime
    """When it is looked at again."""
    ends_at: datetime
    """From then on it is not worth sending."""
    remove_at: datetime
    """The record itself is removed some time after this."""
    attempts: int = 0
    """Times it was taken to be sent."""
    is_in_flight: bool = False
    """Taken, and the outcome not written down: it may have been sent."""
    doubts: int = 0
    """Attempts whose outcome nobody knows: each may have been seen by its receiver."""
    failure: str | None = None
    """Why the latest attempt failed: a word, never a server's text."""
    reference: str | None = None
    """The SMS company's id of it."""
    sent_at: datetime | None = None


class Brake(Document, frozen=True, kw_only=True):
    """What was sent lately to one number, block of numbers, country or address.

    The id is a keyed hash of what it counts: nobody learns a number from it.
    """

    collection: ClassVar[str] = "message_brakes"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("remove_at",),)

    sent: dict[str, datetime]
    """When a message was let through, by its id and doubts. Only the latest window's."""
    remove_at: datetime


class MailboxLetter(Document, frozen=True, kw_only=True):
    """A message that development shows instead of sending it."""

    collection: ClassVar[str] = "mailbox_letters"
    indexes: ClassVar[tuple[tuple[str, ...], ...]] = (("created_at",),)
    sealed: ClassVar[tuple[str, ...]] = ("content",)

    content: str
    """Receiver, subject and text as JSON, sealed."""


MODELS: tuple[type[Document], ...] = (Message, Brake, MailboxLetter)
"""For `Storage.migrate`."""
