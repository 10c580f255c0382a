"""Counts what is sent to one receiver, in the database: for all processes, and over restarts.

The last line: whatever asks for messages above has throttles of its own.
"""

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from guilder.kernel.clock import Clock
from guilder.kernel.errors import Unavailable
from guilder.notifications.models import Brake
from guilder.notifications.rules import Limit, room
from guilder.storage.base import Storage
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.vault.vault import Vault

_TRIES: Final = 200
"""Others may take places at the same moment; each failed try is a place that somebody else took."""


class Brakes:
    """Gives out places.

    Args:
        vault: Its keyed hash stands for the receiver.
    """

    def __init__(self, storage: Storage, *, vault: Vault, clock: Clock) -> None:
        self._brakes = storage.documents(Brake)
        self._vault = vault
        self._clock = clock

    async def take(self, limits: tuple[Limit, ...], *, slot: str) -> datetime | None:
        """Take a place under every limit; return when to come again if one of them has none.

        Args:
            limits: The narrowest first. Places that were taken before one had none stay taken.
            slot: Name of the place: who has it already, keeps it.

        Invariants:
            However many processes ask at once, no more than a limit's `most` slots are let
            through in any of its windows.

        Raises:
            Unavailable: Nobody knows whether there is room, so there is none.
        """
        for limit in limits:
            free_at = await self._take(limit, slot)
            if free_at is not None:
                return free_at
        return None

    async def _take(self, limit: Limit, slot: str) -> datetime | None:
        brake_id = self._vault.blind_index("messages.brakes", limit.counted)
        for _ in range(_TRIES):
            stored = await self._brakes.get(brake_id)
            now = self._clock()
            sent = room(stored.sent if stored else {}, slot, limit, now)
            if isinstance(sent, datetime):
                return sent
            remove_at = now + limit.window
            try:
                if stored is None:
                    await self._brakes.insert(
                        Brake(
                            id=brake_id,
                            created_at=now,
                            updated_at=now,
                            sent=sent,
                            remove_at=remove_at,
                        )
                    )
                elif sent != stored.sent:
                    await self._brakes.replace(
                        replace(stored, sent=sent, updated_at=now, remove_at=remove_at)
                    )
            except (DuplicateDocument, VersionConflict):
                continue
            return None
        raise Unavailable
