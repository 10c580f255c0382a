"""What a sender is given and what it says. It never raises: what became of a message decides what
is done next, and each of the four ends must be thought of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from guilder.notifications.rules import Limit


class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    """Taken by the other side."""
    REFUSED = "refused"
    """Not taken, and never will be."""
    POSTPONED = "postponed"
    """Certainly not taken; later it may be."""
    UNCLEAR = "unclear"
    """Nobody knows: it may have been taken."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt.

    Args:
        fate: What became of the message.
        reason: A word of ours: never the other side's text, which may name the receiver.
        reference: The other side's id of the message.
        is_their_fault: The other side is away or in trouble, whatever the message is.
    """

    fate: Fate
    reason: str | None = None
    reference: str | None = None
    is_their_fault: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message, opened and written out.

    Args:
        id: Of the stored message: the same at every attempt.
        to: Address, or number.
        subject: One line.
        text: For people, in lines.
        html: The same, for mail.
        short: The same for SMS, one line.
        values: What it was made of.
        seconds_left: Until it is not worth receiving any more.
    """

    id: str
    to: str = field(repr=False)
    template: str
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    short: str = field(repr=False)
    values: Mapping[str, str] = field(repr=False)
    created_at: datetime
    seconds_left: int


class Sender(Protocol):
    """The way out of one channel."""

    def refusal(self, to: str) -> str | None:
        """Return why nothing is ever sent to this receiver, or None. No I/O."""

    def limits(self, to: str) -> tuple[Limit, ...]:
        """Return the brakes of a receiver that is not refused. No I/O."""

    async def send(self, letter: Letter) -> Outcome:
        """Send it, once, within a bounded time. Its receiver is not refused."""

    async def aclose(self) -> None:
        """Give connections back."""


class NoSender:
    """Stands where a channel is not set up: messages wait until it is, or end."""

    def refusal(self, to: str) -> str | None:
        """Refuse nobody: it may be set up before the message ends."""

    def limits(self, to: str) -> tuple[Limit, ...]:  # noqa: ARG002 - as `Sender` has it
        """Brake nobody: nothing is sent."""
        return ()

    async def send(self, letter: Letter) -> Outcome:  # noqa: ARG002 - as `Sender` has it
        """Send nothing."""
        return Outcome(Fate.POSTPONED, "not_set_up", is_their_fault=True)

    async def aclose(self) -> None:
        """Have nothing to give back."""
