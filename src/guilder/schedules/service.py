"""Making and cancelling schedules, and the runner that pays what is due."""

import asyncio
from datetime import datetime, timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace

from guilder.identity.authentication import Principal
from guilder.kernel.clock import Clock
from guilder.kernel.currency import currency
from guilder.kernel.errors import NotFound, check
from guilder.kernel.ids import decode_id, derived_uuid, encode_id
from guilder.ledger.background import BackgroundTask
from guilder.ledger.errors import IdempotencyKeyReused, SameAccount
from guilder.ledger.journal import Journal
from guilder.ledger.marks import place
from guilder.schedules.errors import ScheduleEnded
from guilder.schedules.models import Occurrence, Schedule
from guilder.schedules.posting import (
    CANCELLED,
    advanced,
    mark_of,
    next_due_at,
    occurrence_of,
    transfer_of,
)
from guilder.schedules.rules import Every, ScheduleStatus, refuse_impossible, retry_at
from guilder.storage.base import Range, Storage
from guilder.storage.errors import DuplicateDocument, VersionConflict
from guilder.storage.records import Transfer
from guilder.wallets.limits import NO_LIMITS, LimitSource
from guilder.wallets.recipients import Recipient
from guilder.wallets.service import WalletService

PREFIX = "schedule"
_AT_ONCE = 100
_INSTANT = timedelta(milliseconds=1)
_log = structlog.get_logger(__name__)


class Plan(Struct, frozen=True, kw_only=True):
    """What somebody wants to be sent later.

    Args:
        every: None: once, at `start_at`.
        count: How many occurrences; with neither `count` nor `until` it goes on until cancelled.
        until: No occurrence is due after it.
        key: Idempotency key of the sender; it decides the schedule's id.
        fingerprint: 32 bytes of the whole request.
    """

    amount_minor: int
    currency: str
    recipient: Recipient
    description: str
    start_at: datetime
    every: Every | None
    count: int | None
    until: datetime | None
    key: str
    fingerprint: bytes


class Planned(Struct, frozen=True):
    """A schedule that was made, now or by an earlier request under the same key."""

    schedule: Schedule
    is_replayed: bool


class ScheduleService:
    """Schedules. The runner works between `start` and `stop`, in every process.

    Invariants:
        An occurrence is paid at most once, and never after it was given up or cancelled.
        Occurrences of one schedule are decided in order.
    """

    def __init__(
        self,
        storage: Storage,
        journal: Journal,
        *,
        wallets: WalletService,
        clock: Clock,
        limits: LimitSource = NO_LIMITS,
        every_ms: int = 5_000,
    ) -> None:
        """Take what schedules need.

        Args:
            storage: Migrated with `models.MODELS`.
            limits: What a payment must stay within.
            every_ms: How often the runner looks for what is due.
        """
        self._storage = storage
        self._schedules = storage.documents(Schedule)
        self._occurrences = storage.documents(Occurrence)
        self._journal = journal
        self._wallets = wallets
        self._clock = clock
        self._limits = limits
        self._runner = BackgroundTask("schedule-runner", self.post_due, every_ms=every_ms)

    def start(self) -> None:
        """Start the runner."""
        self._runner.start()

    async def stop(self) -> None:
        """Stop the runner."""
        await self._runner.stop()

    async def create(self, sender: Principal, plan: Plan) -> Planned:
        """Make a schedule, or return the one that this key has made.

        Raises:
            UnknownCurrency: No such currency.
            InvalidRequest: It starts in the past, or its end is none.
            RecipientNotFound: The recipient has no wallet.
            SameAccount: Somebody pays himself.
            IdempotencyKeyReused: The key has made another schedule.
        """
        currency(plan.currency)
        schedule_id = _id_of(sender, plan.key)
        found = await self._schedules.get(schedule_id)
        if found is None:
            fresh = await self._fresh(schedule_id, sender, plan)
            try:
                await self._schedules.insert(fresh)
            except DuplicateDocument:
                # The same request is running elsewhere.
                found = await self._schedules.get(schedule_id)
            else:
                return Planned(fresh, is_replayed=False)
        check(found is not None, "a schedule is never deleted")
        if found is None or found.fingerprint != plan.fingerprint.hex():
            raise IdempotencyKeyReused
        return Planned(found, is_replayed=True)

    async def has_made(self, sender: Principal, key: str) -> bool:
        """Tell whether a key has made a schedule before: then it makes no other."""
        return await self._schedules.get(_id_of(sender, key)) is not None

    async def schedule(self, schedule_id: str, owner: Principal) -> Schedule:
        """Return a schedule of the owner.

        Raises:
            NotFound: There is none, or it is another's.
        """
        decode_id(PREFIX, schedule_id)
        found = await self._schedules.get(schedule_id)
        if found is None or found.wallet_id != owner.wallet_id:
            raise NotFound
        return found

    async def page(
        self, owner: Principal, *, after: tuple[datetime, str] | None, limit: int
    ) -> list[Schedule]:
        """Return somebody's schedules, newest first."""
        return await self._schedules.page(
            {"wallet_id": owner.wallet_id},
            within=Range(field="created_at"),
            after=after,
            descending=True,
            limit=limit,
        )

    async def occurrences(
        self, schedule: Schedule, *, after: tuple[int, str] | None, limit: int
    ) -> list[Occurrence]:
        """Return what became of a schedule's occurrences, newest first."""
        return await self._occurrences.page(
            {"schedule_id": schedule.id},
            within=Range(field="number"),
            after=after,
            descending=True,
            limit=limit,
        )

    async def cancel(self, schedule_id: str, owner: Principal) -> Schedule:
        """Stop a schedule: nothing more is paid once this has returned. Twice does it once.

        Raises:
            NotFound: There is none, or it is another's.
            ScheduleEnded: Its last occurrence is over.
        """
        schedule = await self.schedule(schedule_id, owner)
        while schedule.status is ScheduleStatus.ACTIVE:
            # If the next occurrence was decided before, the one after it is cancelled.
            mark = mark_of(schedule, CANCELLED)
            decided = await place(self._journal, mark, now=self._clock())
            await self._advance(schedule, decided)
            schedule = await self.schedule(schedule_id, owner)
        if schedule.status is ScheduleStatus.COMPLETED:
            raise ScheduleEnded
        return schedule

    async def post_due(self) -> bool:
        """Decide what is due; tell whether anything was, since more may be due now."""
        due = await self._schedules.page(
            {"status": ScheduleStatus.ACTIVE},
            within=Range(field="next_attempt_at", below=self._clock() + _INSTANT),
            limit=_AT_ONCE,
        )
        results = await asyncio.gather(*map(self._attempt, due), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            _log.warning("schedules_not_posted", count=len(failures), error=repr(failures[0]))
        return any(result is True for result in results)

    async def _attempt(self, schedule: Schedule) -> bool:
        """Pay the next occurrence, put it off or give it up; tell whether it is decided."""
        current = await self._limits.current(schedule.wallet_id)
        limits = current.of(schedule.wallet_id, schedule.currency)
        parties = (schedule.wallet_id, schedule.to_wallet_id)
        outcome = await self._wallets.post(transfer_of(schedule, limits=limits), parties)
        decided = outcome.transfer
        if decided is None:
            now, attempts = self._clock(), schedule.attempts + 1
            at = retry_at(
                outcome.verdict, attempts=attempts, now=now, next_due_at=next_due_at(schedule)
            )
            if at is not None:
                return await self._put_off(schedule, attempts=attempts, at=at, now=now)
            decided = await place(self._journal, mark_of(schedule, outcome.verdict), now=now)
        await self._advance(schedule, decided)
        return True

    async def _put_off(
        self, schedule: Schedule, *, attempts: int, at: datetime, now: datetime
    ) -> bool:
        after = replace(schedule, attempts=attempts, next_attempt_at=at, updated_at=now)
        try:
            await self._schedules.replace(after)
        except VersionConflict:
            # Another process was quicker, or it was cancelled: look again.
            return True
        return False

    async def _advance(self, schedule: Schedule, decided: Transfer) -> None:
        """Write down what the journal has decided, once."""
        occurrence = occurrence_of(schedule, decided)
        try:
            async with self._storage.transaction() as transaction:
                await transaction.documents(Schedule).replace(advanced(schedule, decided))
                if occurrence is not None:
                    await transaction.documents(Occurrence).insert(occurrence)
        except (VersionConflict, DuplicateDocument):
            # Whoever came first has written the same, or has put it off: that is seen next time.
            return

    async def _fresh(self, schedule_id: str, sender: Principal, plan: Plan) -> Schedule:
        now = self._clock()
        refuse_impossible(
            start_at=plan.start_at, every=plan.every, count=plan.count, until=plan.until, now=now
        )
        to = await self._wallets.find(plan.recipient)
        if to == sender.wallet_id:
            raise SameAccount
        return Schedule(
            id=schedule_id,
            wallet_id=sender.wallet_id,
            to_wallet_id=to,
            amount_minor=plan.amount_minor,
            currency=plan.currency,
            description=plan.description,
            start_at=plan.start_at,
            every=plan.every,
            count=plan.count,
            until=plan.until,
            due_at=plan.start_at,
            next_attempt_at=plan.start_at,
            fingerprint=plan.fingerprint.hex(),
            created_at=now,
            updated_at=now,
        )


def _id_of(sender: Principal, key: str) -> str:
    return encode_id(PREFIX, derived_uuid("schedule-id", sender.user_id, key))
