"""Development's mailbox: keeps for an hour what would have been sent, so that a code can be read
without an account at anybody's.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from guilder.kernel.clock import Clock
from guilder.kernel.ids import derived_uuid, encode_id
from guilder.notifications.models import Channel, MailboxLetter
from guilder.notifications.rules import Limit
from guilder.notifications.sending import Fate, Letter, Outcome
from guilder.storage.base import Range, Storage
from guilder.storage.errors import DuplicateDocument
from guilder.vault.errors import SealBroken
from guilder.vault.vault import Vault, context_of

LIFE: Final = timedelta(hours=1)
SHOWN: Final = 100
"""Most letters on the page."""


class KeptLetter(Struct, frozen=True, kw_only=True):
    """What would have been sent.

    Args:
        values: What it was made of: the code or the link by itself.
    """

    id: str
    channel: Channel
    to: str
    template: str
    subject: str
    text: str
    values: Mapping[str, str]
    created_at: datetime


class Mailbox:
    """Keeps letters, and shows them, newest first."""

    def __init__(self, storage: Storage, *, vault: Vault, clock: Clock) -> None:
        self._letters = storage.documents(MailboxLetter)
        self._vault = vault
        self._clock = clock

    def slot(self, channel: Channel) -> "MailboxSender":
        """Return what takes the letters of one channel."""
        return MailboxSender(self, channel)

    async def keep(self, letter: Letter, channel: Channel) -> None:
        """Keep a letter; once, however often it comes."""
        now = self._clock()
        kept = KeptLetter(
            id=encode_id("letter", derived_uuid("letter", letter.id)),
            channel=channel,
            to=letter.to,
            template=letter.template,
            subject=letter.subject,
            text=letter.text if channel is Channel.EMAIL else letter.short,
            values=letter.values,
            created_at=now,
        )
        sealed = self._vault.seal(msgspec.json.encode(kept).decode(), context=_place(kept.id))
        try:
            await self._letters.insert(
                MailboxLetter(id=kept.id, created_at=now, updated_at=now, content=sealed)
            )
        except DuplicateDocument:
            return

    async def letters(self) -> list[KeptLetter]:
        """Return the letters of the last hour, newest first, at most `SHOWN`."""
        within = Range(field="created_at", at_least=self._clock() - LIFE)
        found = await self._letters.page({}, within=within, descending=True, limit=SHOWN)
        return [letter for each in found if (letter := self._opened(each)) is not None]

    async def sweep(self) -> bool:
        """Remove letters that are over; tell whether there may be more."""
        within = Range(field="created_at", below=self._clock() - LIFE)
        over = await self._letters.page({}, within=within, limit=SHOWN)
        for each in over:
            await self._letters.delete(each.id)
        return len(over) == SHOWN

    def _opened(self, kept: MailboxLetter) -> KeptLetter | None:
        try:
            content = self._vault.open(kept.content, context=_place(kept.id))
        except SealBroken:
            # Development's secrets were made anew: it says nothing to anybody any more.
            return None
        return msgspec.json.decode(content, type=KeptLetter)


class MailboxSender:
    """The way into the mailbox. It takes everything, as often as it comes."""

    def __init__(self, mailbox: Mailbox, channel: Channel) -> None:
        self._mailbox = mailbox
        self._channel = channel

    def refusal(self, to: str) -> str | None:
        """Refuse nobody: it goes nowhere."""

    def limits(self, to: str) -> tuple[Limit, ...]:  # noqa: ARG002 - as `Sender` has it
        """Brake nobody: whoever develops asks often."""
        return ()

    async def send(self, letter: Letter) -> Outcome:
        """Put it into the mailbox."""
        await self._mailbox.keep(letter, self._channel)
        return Outcome(Fate.SENT)

    async def aclose(self) -> None:
        """Have nothing to give back."""


def _place(letter_id: str) -> str:
    return context_of(MailboxLetter.collection, letter_id, "content")
