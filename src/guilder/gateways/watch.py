"""The care for intents until they have ended: finds what is due, takes it, writes changes down.

Any number of processes may do this at once, and any of them may die at any step.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import structlog
from msgspec.structs import replace

from guilder.gateways.models import Intent
from guilder.gateways.schedule import CheckSchedule
from guilder.kernel.clock import Clock
from guilder.kernel.errors import InvariantViolation
from guilder.storage.base import Collection, Range
from guilder.storage.errors import VersionConflict

T = TypeVar("T", bound=Intent)

_AT_ONCE = 20
_INSTANT = timedelta(milliseconds=1)
"""The finest unit of stored times: what is due now is below now and this."""
_log = structlog.get_logger(__name__)


class Watch(Generic[T]):
    """Looks after the intents of one kind.

    Args:
        schedule: When an intent is looked at again without being told to.
    """

    def __init__(self, intents: Collection[T], *, clock: Clock, schedule: CheckSchedule) -> None:
        self._intents = intents
        self._clock = clock
        self._schedule = schedule

    async def ours(self, our_reference: str, *, gateway: str) -> T | None:
        """Return the intent that a gateway's object is about, or None if it is none of ours."""
        intent = await self._intents.get(our_reference)
        return None if intent is None or intent.gateway != gateway else intent

    async def work_due(
        self, work: Callable[[T], Awaitable[None]], *, taken: Callable[[T, datetime], T]
    ) -> bool:
        """Take what is due and work on it; tell whether there may be more.

        Args:
            work: Called with each intent as it was stored when taken. What it raises is logged:
                unknown stays unknown until the next time.
            taken: Adds what is to be noted of an intent that is taken now.

        Invariants:
            The next time is durable before the work begins: afterwards we may not be there to
            note it. Of several processes, one takes an intent.
        """
        due = await self._intents.page(
            {"is_watched": True},
            within=Range(field="next_check_at", below=self._clock() + _INSTANT),
            limit=_AT_ONCE,
        )
        await asyncio.gather(*(self._work_on(intent, work, taken) for intent in due))
        return len(due) == _AT_ONCE

    async def change(self, intent: T, change: Callable[[T], T]) -> T:
        """Write a change of an intent, made anew on whatever it has become in the meantime."""
        while True:
            after = change(intent)
            if after == intent:
                return intent
            try:
                return await self._intents.replace(replace(after, updated_at=self._clock()))
            except VersionConflict:
                intent = await self.load(intent.id)

    async def load(self, intent_id: str) -> T:
        """Return an intent that is known to exist, as it stands."""
        intent = await self._intents.get(intent_id)
        if intent is None:
            raise InvariantViolation("an intent is never deleted")
        return intent

    async def _work_on(
        self,
        intent: T,
        work: Callable[[T], Awaitable[None]],
        taken: Callable[[T, datetime], T],
    ) -> None:
        try:
            mine = await self._take(intent, taken)
            if mine is not None:
                await work(mine)
        except Exception as error:  # noqa: BLE001 - one intent must not hold up the others
            _log.warning("intent_not_checked", intent=intent.id, error=repr(error))

    async def _take(self, intent: T, taken: Callable[[T, datetime], T]) -> T | None:
        """Note the next time, and return the intent as it is stored; None if it is not ours."""
        now = self._clock()
        next_check_at = self._schedule.next_after(now, created_at=intent.created_at)
        try:
            return await self._intents.replace(
                replace(taken(intent, now), next_check_at=next_check_at)
            )
        except VersionConflict:
            # Another process has it, or it moved on. It is due again if need be.
            return None
