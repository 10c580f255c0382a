"""Reads the whole audit record and finds the first place where it was changed.

Every position has its seal, every seal its event and the hash that follows from both, the last hash
is the head's, and every event is sealed or waits. Who can write everything can also compute all
hashes anew: that shows only against a head that was noted elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest

import msgspec
from msgspec import Struct

from guilder.audit.chain import seal_hash
from guilder.audit.errors import AuditHeadUnreadable
from guilder.audit.models import (
    GENESIS_HASH,
    HEAD_ID,
    AuditEvent,
    AuditHead,
    AuditSeal,
    AuditWaiting,
)
from guilder.kernel.clock import rfc3339
from guilder.storage.base import Range, Storage

_PAGE = 500


class Noted(Struct, frozen=True, kw_only=True):
    """A head, to be kept elsewhere.

    Args:
        position: Of the last sealed event.
        hash: Its hash, 64 hexadecimal digits.
        time: When it was noted, RFC 3339.
    """

    position: int
    hash: str
    time: str


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the record is not as it was written.

    Args:
        position: Of the event at fault, or the head's where it is about an event without a place.
        what: A sentence for the operator.
    """

    position: int
    what: str


@dataclass(slots=True)
class AuditReport:
    """What was verified.

    Args:
        position: Of the last event that was found right.
        hash: Its hash.
        waiting: Events that are recorded and not sealed yet.
        difference: None if everything is as it should be.
    """

    position: int = 0
    hash: str = GENESIS_HASH
    waiting: int = 0
    difference: Difference | None = None

    @property
    def ok(self) -> bool:
        """Whether the record is as it was written."""
        return self.difference is None


class _Wrong(Exception):
    """Ends the reading at the first difference."""


async def noted_head(storage: Storage, *, now: datetime) -> Noted:
    """Return where the chain ends, to be kept elsewhere."""
    head = await storage.documents(AuditHead).get(HEAD_ID)
    position, hash_ = (head.position, head.hash) if head else (0, GENESIS_HASH)
    return Noted(position=position, hash=hash_, time=rfc3339(now))


def read_noted(text: str | bytes) -> Noted:
    """Read a head as `guilder audit head` prints it.

    Raises:
        AuditHeadUnreadable: It is none.
    """
    try:
        return msgspec.json.decode(text, type=Noted)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AuditHeadUnreadable(f"This is not a noted head: {error}.") from error


async def verify(storage: Storage, *, noted: Noted | None = None) -> AuditReport:
    """Verify the record, also while events are recorded and sealed.

    Args:
        noted: A head that was kept elsewhere; the record must contain it.

    Returns:
        The report, with the first difference if there is one.

    Raises:
        StorageUnavailable: The database is away.
        NotMigrated: It is of a version without an audit record.
    """
    reading = _Reading(storage, noted)
    report = reading.report
    try:
        await reading.chain()
        await reading.events()
        await reading.waiting()
    except _Wrong as wrong:
        report.difference = Difference(report.position + 1, str(wrong))
    except (msgspec.MsgspecError, TypeError, ValueError):
        report.difference = Difference(
            report.position + 1, "what follows is no record that Guilder has written"
        )
    return report


class _Reading:
    """One pass over the record."""

    def __init__(self, storage: Storage, noted: Noted | None) -> None:
        self._events = storage.documents(AuditEvent)
        self._waiting = storage.documents(AuditWaiting)
        self._seals = storage.documents(AuditSeal)
        self._heads = storage.documents(AuditHead)
        self._noted = noted
        self.report = AuditReport()

    async def chain(self) -> None:
        """Follow the chain to its head, which may move on meanwhile."""
        self._compare_noted(0, GENESIS_HASH)
        if await self._seals.page({}, within=Range(field="position", below=1), limit=1):
            raise _Wrong("a seal stands before the beginning")
        while True:
            position, hash_ = await self._head()
            while self.report.position < position:
                await self._page(position)
            if (position, hash_) != (self.report.position, self.report.hash):
                raise _Wrong("the head is not where the chain ends")
            beyond = await self._seals_after(position, 1)
            if not beyond:
                break
            if (await self._head())[0] < beyond[0].position:
                raise _Wrong("the chain goes on behind its head")
        if self._noted is not None and self._noted.position > self.report.position:
            raise _Wrong("the record ends before the head that was noted")

    async def events(self) -> None:
        """See that no event is without a place, except those that wait for one."""
        last: AuditEvent | None = None
        while page := await self._events.page(
            {}, after=(last.id, last.id) if last else None, limit=_PAGE
        ):
            last = page[-1]
            unsealed = await self._without_seal([each.id for each in page])
            waiting = await self._waiting.get_many(unsealed)
            lost = [each for each in unsealed if each not in waiting]
            # Sealed between the two looks, unless somebody has put it there.
            lost = await self._without_seal(lost)
            if lost:
                raise _Wrong(f"the event {lost[0]} has no place in the chain")
            self.report.waiting += len(waiting)

    async def waiting(self) -> None:
        """See that whatever waits is there, and has no place yet."""
        last: AuditWaiting | None = None
        while page := await self._waiting.page(
            {}, after=(last.id, last.id) if last else None, limit=_PAGE
        ):
            last = page[-1]
            ids = [each.id for each in page]
            found = await self._events.get_many(ids)
            lost = next((each for each in ids if each not in found), None)
            if lost is not None:
                raise _Wrong(f"the event {lost}, which is not sealed yet, is gone")
            sealed = list(await self._seals.get_many(ids))
            # Sealed between the two looks, unless it waits all the same.
            if await self._waiting.get_many(sealed):
                raise _Wrong("a sealed event waits to be sealed again")

    async def _head(self) -> tuple[int, str]:
        """Return where the chain ends, and with which hash."""
        head = await self._heads.get(HEAD_ID)
        if head is not None:
            return head.position, head.hash
        if await self._seals_after(0, 1):
            raise _Wrong("the head is gone")
        return 0, GENESIS_HASH  # Nothing was ever sealed.

    async def _page(self, end: int) -> None:
        """Follow the chain for a page, but not beyond the position `end`."""
        most = min(_PAGE, end - self.report.position)
        seals = await self._seals_after(self.report.position, most)
        events = await self._events.get_many([each.id for each in seals])
        if not seals:
            raise _Wrong("the chain ends before its head")
        for seal in seals:
            self._follow(seal, events.get(seal.id))

    def _follow(self, seal: AuditSeal, event: AuditEvent | None) -> None:
        """Take one step along the chain."""
        position = self.report.position + 1
        if seal.position != position:
            raise _Wrong("the seal of this position is gone")
        if event is None:
            raise _Wrong(f"the event {seal.id} is gone")
        expected = seal_hash(self.report.hash, event, position=position, sealed_at=seal.created_at)
        if not compare_digest(seal.hash, expected):
            raise _Wrong(f"the event {seal.id} is not as it was sealed")
        self._compare_noted(position, seal.hash)
        self.report.position, self.report.hash = position, seal.hash

    def _compare_noted(self, position: int, hash_: str) -> None:
        """Refuse a position that the head that was noted has with another hash."""
        noted = self._noted
        if noted is None or noted.position != position:
            return
        if not compare_digest(noted.hash, hash_):
            raise _Wrong(f"the record is not the one whose head was noted at {noted.time}")

    async def _seals_after(self, position: int, limit: int) -> list[AuditSeal]:
        within = Range(field="position", at_least=position + 1)
        return await self._seals.page({}, within=within, limit=limit)

    async def _without_seal(self, ids: list[str]) -> list[str]:
        """Return those of the events that are not in the chain."""
        seals = await self._seals.get_many(ids)
        return [each for each in ids if each not in seals]
