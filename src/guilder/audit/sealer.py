"""Gives events their place in the chain, a moment after they were recorded.

Not at once: whoever records would wait for everybody who records, and a refused sign-in would wait
for the slowest transaction of others. The order inside the chain is decided here, once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from guilder.audit.chain import seal_hash
from guilder.audit.models import (
    GENESIS_HASH,
    HEAD_ID,
    AuditEvent,
    AuditHead,
    AuditSeal,
    AuditWaiting,
)
from guilder.kernel.clock import Clock
from guilder.kernel.errors import check
from guilder.ledger.background import BackgroundTask
from guilder.storage.base import Storage
from guilder.storage.errors import DuplicateDocument, VersionConflict

BATCH = 200
"""Events sealed in one transaction, and most that are counted as waiting."""
_EVERY_MS = 1_000
_STUCK_AFTER = timedelta(seconds=60)

_log = structlog.get_logger(__name__)


class AuditSealer:
    """Seals in the background. Every process has one, and they take turns by themselves.

    Invariants:
        The head is changed, at its expected version, in the transaction that adds the seals: of
        two that seal at once, one adds all of its seals and the other none.

    Attributes:
        position: Of the last event that this process knows to be sealed.
        waiting: How many waited after its latest look; `BATCH` stands for that many or more.
    """

    def __init__(self, storage: Storage, *, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._task = BackgroundTask("audit-sealer", self.step, every_ms=_EVERY_MS)
        self._oldest_at: datetime | None = None
        self._looked_at = clock()
        self.position = 0
        self.waiting = 0

    def start(self) -> None:
        """Begin to seal."""
        self._task.start()

    async def stop(self) -> None:
        """Stop; what waits is sealed by others, or after the next start."""
        await self._task.stop()

    @property
    def oldest_waiting_s(self) -> int:
        """For how many seconds the oldest event has waited; 0 if none does."""
        if self._oldest_at is None:
            return 0
        return max(0, (self._clock() - self._oldest_at) // timedelta(seconds=1))

    @property
    def is_stuck(self) -> bool:
        """Whether events wait for over a minute, or nobody could look for that long."""
        now = self._clock()
        return any(
            now - since > _STUCK_AFTER
            for since in (self._looked_at, self._oldest_at)
            if since is not None
        )

    def state(self) -> str:
        """Say in a few words how the record is."""
        said = f"sealed up to {self.position}, {self.waiting} waiting"
        return f"STUCK: {said} for {self.oldest_waiting_s} seconds" if self.is_stuck else said

    async def step(self) -> bool:
        """Seal what waits; tell whether there is more.

        Raises:
            DuplicateDocument: The head was set back: somebody has changed the record.
            StorageUnavailable: Nobody knows whether it was sealed; the next step finds out.
        """
        head = await self._head()
        self.position = head.position
        waiting = await self._storage.documents(AuditWaiting).page({}, limit=BATCH)
        self._note(waiting)
        events = await self._events(waiting)
        if not events:
            return False
        try:
            head = await self._seal(head, events)
        except VersionConflict:
            return False  # Another process has just sealed.
        self.position = head.position
        gone = {each.id for each in events}
        self._note([each for each in waiting if each.id not in gone])
        # Outside of the database: whoever keeps the log can tell if the chain is written anew.
        _log.info("audit_sealed", position=head.position, hash=head.hash)
        return len(events) == BATCH

    async def _head(self) -> AuditHead:
        heads = self._storage.documents(AuditHead)
        head = await heads.get(HEAD_ID)
        if head is not None:
            return head
        now = self._clock()
        head = AuditHead(id=HEAD_ID, position=0, hash=GENESIS_HASH, created_at=now, updated_at=now)
        try:
            await heads.insert(head)
        except DuplicateDocument:
            return await self._head()
        return head

    async def _events(self, waiting: Sequence[AuditWaiting]) -> list[AuditEvent]:
        """Return the events that wait, in the order in which they will stand in the chain.

        One that is gone cannot be sealed. It goes on waiting, which is seen.
        """
        ids = [each.id for each in waiting]
        found = await self._storage.documents(AuditEvent).get_many(ids)
        if len(found) < len(ids):
            _log.error("audit_events_gone", count=len(ids) - len(found))
        return [found[each] for each in ids if each in found]

    async def _seal(self, head: AuditHead, events: Sequence[AuditEvent]) -> AuditHead:
        """Add the seals of `events` after `head`, and return the new head.

        Raises:
            VersionConflict: Somebody else has sealed since `head` was read.
        """
        now = self._clock()
        seals = seals_after(head, events, now=now)
        last = seals[-1]
        wanted = replace(head, position=last.position, hash=last.hash, updated_at=now)
        async with self._storage.transaction() as transaction:
            # The head comes first: the second of two sealers stops here and has done nothing.
            changed = await transaction.documents(AuditHead).replace(wanted)
            for seal in seals:
                taken = await transaction.documents(AuditWaiting).delete(seal.id)
                check(taken, "an event that waited under this head still waits")
                await transaction.documents(AuditSeal).insert(seal)
        return changed

    def _note(self, waiting: Sequence[AuditWaiting]) -> None:
        """Remember how many wait, and since when."""
        self.waiting = len(waiting)
        self._oldest_at = min((each.created_at for each in waiting), default=None)
        self._looked_at = self._clock()


def seals_after(head: AuditHead, events: Sequence[AuditEvent], *, now: datetime) -> list[AuditSeal]:
    """Return the seals of `events`, in their order, behind a chain that ends with `head`."""
    seals: list[AuditSeal] = []
    position, last = head.position, head.hash
    for event in events:
        position += 1
        last = seal_hash(last, event, position=position, sealed_at=now)
        seals.append(
            AuditSeal(id=event.id, position=position, hash=last, created_at=now, updated_at=now)
        )
    return seals
