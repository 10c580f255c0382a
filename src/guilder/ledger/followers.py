"""Followers read the journal after their position and write what follows, together with the new
position.

One document transaction for both: exactly once, restartable at any point, rebuildable from zero.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

import msgspec

from guilder.kernel.clock import Clock
from guilder.storage.base import Document, LedgerStorage, Storage, Transaction
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.storage.records import Transfer

_AT_ONCE = 500

Reaction = Callable[[Transaction, Sequence[Transfer]], Awaitable[None]]
"""Writes what follows from transfers, in order of position, into the transaction it is given."""


class FollowerPosition(Document, frozen=True, kw_only=True):
    """How far a follower has read. Its id is the follower's name."""

    collection: ClassVar[str] = "follower_positions"

    position: int


class Follower:
    """One reader of the journal.

    Args:
        name: Unique and lasting: the position is kept under it.
        react: May read and write documents; must not call anything outside.
    """

    def __init__(
        self,
        storage: Storage,
        book: LedgerStorage,
        *,
        name: str,
        react: Reaction,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._book = book
        self._name = name
        self._react = react
        self._clock = clock

    async def follow(self) -> bool:
        """Read on from the position once; tell whether there may be more.

        Raises:
            StorageUnavailable: Reading on later is safe.
        """
        known = await self._storage.documents(FollowerPosition).get(self._name)
        transfers = await self._book.transfers_after(known.position if known else 0, _AT_ONCE)
        if not transfers:
            return False
        try:
            async with self._storage.transaction() as transaction:
                await self._react(transaction, transfers)
                await self._move(transaction, known, transfers[-1].position)
        except (VersionConflict, DuplicateDocument):
            # Somebody else wrote one of these; what is left to do is seen by reading again.
            return True
        return len(transfers) == _AT_ONCE

    async def _move(
        self, transaction: Transaction, known: FollowerPosition | None, position: int
    ) -> None:
        positions = transaction.documents(FollowerPosition)
        now = self._clock()
        if known is None:
            fresh = FollowerPosition(
                id=self._name, position=position, created_at=now, updated_at=now
            )
            await positions.insert(fresh)
        else:
            await positions.replace(
                msgspec.structs.replace(known, position=position, updated_at=now)
            )
