"""Where a feature leaves what somebody is to be told, in the transaction of the change itself."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from guilder.kernel.clock import Clock
from guilder.kernel.errors import check
from guilder.kernel.ids import UserId, derived_uuid, encode_id, new_id
from guilder.notifications.models import Channel, Message, MessageState
from guilder.notifications.rules import TEMPLATES, is_complete
from guilder.storage.base import Storage, Transaction
from guilder.storage.errors import DuplicateDocument
from guilder.vault.vault import Vault, context_of

__all__ = ["Channel", "Outbox"]

WORTH_SENDING: Final = timedelta(hours=24)
"""For how long it is tried, if the message itself has no earlier end."""
KEPT: Final = timedelta(days=7)
"""How long it stays known, without content, that a message was sent; and its key with it."""


class Outbox:
    """Takes messages. A worker sends them after the commit.

    Args:
        vault: Seals receiver and content.
        on_put: Told of each message, so that a worker looks soon. It may come before the commit.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        vault: Vault,
        clock: Clock,
        on_put: Callable[[Channel], None] = lambda _: None,
    ) -> None:
        self._storage = storage
        self._vault = vault
        self._clock = clock
        self._on_put = on_put

    async def put(
        self,
        transaction: Transaction | None,
        *,
        channel: Channel,
        to: str,
        template: str,
        values: Mapping[str, str],
        user_id: UserId | None,
        expires_at: datetime | None = None,
        key: str | None = None,
        is_decoy: bool = False,
    ) -> None:
        """Leave a message, as part of a transaction or by itself.

        Args:
            transaction: That of the change which the message is about. None: one of its own.
            channel: The way it takes.
            to: Address, or number in E.164.
            template: One of `rules.TEMPLATES`, which says what values it needs.
            values: What it is filled with. A link leads to ourselves.
            user_id: Whom it is about, if they are known.
            expires_at: When it is not worth sending any more; at most 24 hours from now. A code's
                message ends with the code, and is not put off when the receiver has had too many.
            key: Messages with equal keys are one: the first that was put within a week.
            is_decoy: Nobody is to be told, and it shall not be seen from the work that nobody is:
                everything is done but the sending.

        Invariants:
            Nothing is sent if the transaction does not commit; else it is sent at least once, or
            its end is written down. Neither receiver nor values are readable in the database.

        Raises:
            InvariantViolation: The template is unknown, or a value it needs is missing.
            DuplicateDocument: Another transaction put the same key at the same time. Without a
                transaction that is no error.
        """
        check(template in TEMPLATES, f"there is no template {template}")
        check(is_complete(template, values), f"{template} needs {TEMPLATES[template].needs}")
        now = self._clock()
        message_id = new_id("message") if key is None else self._id_of(key)
        ends_at = min(expires_at or now + WORTH_SENDING, now + WORTH_SENDING)
        message = Message(
            id=message_id,
            created_at=now,
            updated_at=now,
            channel=channel,
            template=template,
            to=self._vault.seal(to, context=place(message_id, "to")),
            values=self._vault.seal(
                msgspec.json.encode(dict(values)).decode(), context=place(message_id, "values")
            ),
            user_id=user_id,
            due_at=now,
            ends_at=ends_at,
            remove_at=ends_at + KEPT,
        )
        if is_decoy:
            # Stored all the same: a row less would show in the time of the answer.
            message = replace(
                message, state=MessageState.EXPIRED, to=None, values=None, failure="decoy"
            )
        await self._insert(transaction, message, is_keyed=key is not None)
        self._on_put(channel)

    async def _insert(
        self, transaction: Transaction | None, message: Message, *, is_keyed: bool
    ) -> None:
        messages = (transaction or self._storage).documents(Message)
        # Looked for first: inside a transaction a duplicate would be the end of it.
        if is_keyed and await messages.get(message.id) is not None:
            return
        try:
            await messages.insert(message)
        except DuplicateDocument:
            if transaction is not None:
                raise

    def _id_of(self, key: str) -> str:
        """Return the id that belongs to a key. Keyed: a key may be made of who it is about."""
        return encode_id("message", derived_uuid(self._vault.blind_index("messages.key", key)))


def place(message_id: str, field: str) -> str:
    """Return where a sealed field of a message is kept."""
    return context_of(Message.collection, message_id, field)
