"""Reads what identity has left in the outbox, as a worker would: for tests that need the code."""

from dataclasses import dataclass

import msgspec

from guilder.notifications.models import Message, MessageState
from guilder.notifications.outbox import place
from guilder.storage.base import Storage
from tests.support.identity import quick_vault


@dataclass(frozen=True)
class Letter:
    """A message that is to be sent."""

    template: str
    to: str
    values: dict[str, str]


async def letters(storage: Storage, to: str) -> list[Letter]:
    """Return what is to be sent to somebody, in the order in which it was left."""
    vault = quick_vault()
    stored = await storage.documents(Message).page({}, limit=1000)
    waiting = [each for each in stored if each.state is MessageState.WAITING]
    found = []
    for message in sorted(waiting, key=lambda each: (each.created_at, each.id)):
        assert message.to is not None
        assert message.values is not None
        raw = vault.open(message.values, context=place(message.id, "values"))
        found.append(
            Letter(
                message.template,
                vault.open(message.to, context=place(message.id, "to")),
                msgspec.json.decode(raw, type=dict[str, str]),
            )
        )
    return [each for each in found if each.to == to]


async def latest(storage: Storage, to: str, template: str) -> dict[str, str]:
    """Return the values of the last message of a kind to somebody."""
    return [each.values for each in await letters(storage, to) if each.template == template][-1]
